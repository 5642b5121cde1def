"""Deliveries that came by a queue: what they have said together, in the form of an asset event's payload.

Where Dotypos can't reach Airflow's API server, something public takes deliveries and puts them into a queue. A DAG that
takes them out learns here which rows have changed. Nothing of a row is kept but its id and the time of its change.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.overrides import read_given_cloud_id
from airflow_provider_dotypos.api.webhooks import check_lists
from airflow_provider_dotypos.webhooks.bodies import AHEAD, EARLIEST, BadBodyError, DeliveredRow, read_body
from airflow_provider_dotypos.webhooks.deliveries import Deliveries

log = logging.getLogger(__name__)

#: Most bytes of a message that are read.
MOST_BYTES = 1 << 20

#: Milliseconds before now at which a message may have come that doesn't say when. Queues keep messages so long.
LONGEST_WAIT = 14 * 86_400_000


class _Message(NamedTuple):
    """A message of a queue.

    :param received: when it came, in epoch milliseconds; ``None`` if it doesn't say so.
    :param body: what Dotypos delivered, or what is left of it.
    """

    received: int | None
    body: bytes


def queued_change(messages: Iterable[str | bytes], *, entity: str, cloud_id: int | str) -> dict[str, Any] | None:
    """Return what deliveries in a queue have said together, as an event of `dotypos_asset` holds it.

    A message is ``{"received": 1790000000000, "body": [{"orderid": 12, "versiondate": 1789999999123}]}``: when it came,
    in epoch milliseconds, and what Dotypos delivered. Of its rows the id and ``versiondate`` are enough. What Dotypos
    delivered may also be the message by itself.

    The result has the keys ``cloud_id``, ``entity``, ``since``, ``until``, ``count``, ``ids``, ``newest``, ``key`` and
    ``source``, and `changed_window` takes it. A message that can't be read says that something has changed, but not
    what: then there are no ``ids``, and the window begins ten minutes before it came. If it doesn't say when it came
    either, the window begins two weeks ago.

    :param messages: the messages, in any order. A message that comes twice counts once.
    :param entity: the list whose deliveries these are, such as ``orders``.
    :param cloud_id: the cloud.
    :return: the change; ``None`` if there are no messages.
    :raises DotyposInputError: if Dotypos delivers no changes of the list, or a message isn't text.
    """
    (name,) = check_lists([entity])
    cloud, now = read_given_cloud_id(cloud_id), time.time_ns() // 1_000_000
    unreadable = 0
    read: list[tuple[int, list[DeliveredRow]]] = []
    for message in messages:
        received, body = _read(message, now)
        rows: list[DeliveredRow] = []
        try:
            rows = read_body(body, name, now if received is None else received)
        except BadBodyError:
            unreadable += 1
        if received is None:
            # Only rows can say then when it was.
            received = now if rows and all(row.changed is not None for row in rows) else now - LONGEST_WAIT
        read.append((received, rows))
    if unreadable:
        log.warning(
            "%d messages of the queue can't be read as deliveries of %s. They count as changes of unknown rows.",
            *(unreadable, name),
        )
    if not read:
        return None
    deliveries = Deliveries(min(received for received, _ in read))
    for received, rows in read:
        deliveries.add(rows, received)
    fresh = deliveries.change((), ())
    assert fresh is not None  # nothing was reported before
    return fresh[0].payload(cloud, name, "webhook")


def _read(message: str | bytes, now: int) -> _Message:
    """Return a message's parts.

    :raises DotyposInputError: if it isn't text.
    """
    if not isinstance(message, (str, bytes)):
        raise DotyposInputError(f"messages must be texts or bytes, not values of type {type(message).__name__}")
    body = message.encode("utf-8", "replace") if isinstance(message, str) else message
    if len(body) > MOST_BYTES:
        return _Message(None, b"")
    try:
        # Numbers stay text: what one has lost of its digits has to show.
        envelope = json.loads(body, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return _Message(None, body)
    if not isinstance(envelope, Mapping):
        return _Message(None, body)
    text = envelope.get("received")
    received = int(text) if isinstance(text, str) and text.isdecimal() and len(text) <= 15 else 0
    rows = json.dumps(envelope.get("body")).encode()
    return _Message(received if EARLIEST <= received <= now + AHEAD else None, rows)
