"""Receives deliveries in Airflow's API server: an ASGI application without a framework, mounted by the plugin.

Anybody can reach it. So it refuses by what costs least: by path and size, then by connection and token, and it reads a
body last. What it answers to a wrong address says nothing about which connections exist.

https://docs.api.dotypos.com/others/webhook
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, NamedTuple

from airflow_provider_dotypos._airflow import receives_webhooks
from airflow_provider_dotypos.api.check import place_of
from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.api.webhooks import DeliveryAddress, delivery_token, read_delivery_path
from airflow_provider_dotypos.provider_info import WEBHOOKS_PATH
from airflow_provider_dotypos.webhooks.bodies import BadBodyError, DeliveredRow, read_body
from airflow_provider_dotypos.webhooks.deliveries import DeliveredList, Deliveries, Outcome
from airflow_provider_dotypos.webhooks.events import store_event
from airflow_provider_dotypos.webhooks.group_commit import GATHERING, GroupCommit
from airflow_provider_dotypos.webhooks.notices import notices
from airflow_provider_dotypos.webhooks.sources import DOUBT, LookUpError, Source, Sources, find_source

#: Most bytes of a body.
MOST_BYTES = 1 << 20

#: Most seconds that a body may take.
LONGEST = 10.0

#: Threads that ask the database, apart from those that the rest of the API server needs.
THREADS = 4


class Answer(NamedTuple):
    """What a delivery is answered.

    :param headers: besides those of all answers.
    """

    status: HTTPStatus
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


#: The connection isn't needed after a refusal, whose body may never end.
_CLOSE = (b"connection", b"close")

NOT_FOUND = Answer(HTTPStatus.NOT_FOUND, "Not Found", (_CLOSE,))
TOO_LARGE = Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A delivery has at most 1 MiB.", (_CLOSE,))
TOO_SLOW = Answer(HTTPStatus.REQUEST_TIMEOUT, "A delivery must come within 10 seconds.", (_CLOSE,))
ENCODED = Answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A delivery must not be compressed.", (_CLOSE,))
BAD_BODY = Answer(HTTPStatus.BAD_REQUEST, "A delivery is a JSON array of objects.")
LATER = Answer(HTTPStatus.SERVICE_UNAVAILABLE, "Not stored. Deliver it again later.", ((b"retry-after", b"30"), _CLOSE))

OUTCOMES = {
    Outcome.STORED: Answer(HTTPStatus.ACCEPTED, "Stored."),
    Outcome.REPEATED: Answer(HTTPStatus.ACCEPTED, "Stored before."),
    Outcome.UNNAMED: Answer(HTTPStatus.OK, "Not stored: no DAG names the asset of this list yet."),
    Outcome.FAILED: LATER,
}


class RefusedError(Exception):
    """A delivery is refused.

    :param notice: what the log says of it; nothing of what was sent.
    """

    def __init__(self, answer: Answer, notice: str) -> None:
        super().__init__(answer, notice)
        self.answer = answer
        self.notice = notice


class Receiver:
    """The application.

    :param look_up: returns a connection; called in a thread.
    :param store: stores an event; called in a thread.
    :param gathering: seconds for which deliveries of a list are gathered.
    :param longest: most seconds that a body may take.
    """

    def __init__(
        self,
        look_up: Callable[[str], Source | None] = find_source,
        store: Callable[[DeliveredList, Deliveries], Outcome] = store_event,
        *,
        gathering: float = GATHERING,
        longest: float = LONGEST,
    ) -> None:
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dotypos-webhooks")

        async def look_up_in_thread(conn_id: str) -> Source | None:
            return await asyncio.get_running_loop().run_in_executor(threads, look_up, conn_id)

        async def store_in_thread(delivered: DeliveredList, deliveries: Deliveries) -> Outcome:
            return await asyncio.get_running_loop().run_in_executor(threads, store, delivered, deliveries)

        self._sources = Sources(look_up_in_thread)
        self._events = GroupCommit(store_in_thread, gathering=gathering)
        self._longest = longest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        try:
            answer = await self._receive(scope, receive)
        except RefusedError as refused:
            notices.warn(refused.notice)
            answer = refused.answer
        except Exception as error:  # whatever: the server would log a traceback for each, in development with variables
            notices.warn(f"deliveries fail by {place_of(error)}, so they are put off")
            answer = LATER
        body = f"{answer.text}\n".encode()
        common = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": int(answer.status), "headers": [*common, *answer.headers]})
        await send({"type": "http.response.body", "body": body})

    async def _receive(self, scope: Any, receive: Any) -> Answer:
        if not receives_webhooks():
            raise RefusedError(
                NOT_FOUND, "deliveries are refused, because [dotypos] webhooks in the configuration isn't True"
            )
        address = read_delivery_path(scope["path"].partition(WEBHOOKS_PATH)[2])
        if address is None or scope["method"] not in ("GET", "POST"):
            raise RefusedError(NOT_FOUND, "requests are refused that can't be deliveries")
        headers = dict(scope["headers"])
        if _length(headers) > MOST_BYTES:
            raise RefusedError(TOO_LARGE, "deliveries of more than 1 MiB are refused")
        source = await self._check(address)
        received = time.time_ns() // 1_000_000
        rows: Sequence[DeliveredRow] = ()
        if scope["method"] == "POST":
            body = await self._read(address, headers, receive)
            # In a thread, because an array of a mebibyte takes a third of a second to look through.
            rows = await asyncio.to_thread(_read_rows, body, address, received)
        uri = list_uri(source.settings.base_url, address.cloud_id, address.entity)
        delivered = DeliveredList(uri, address.cloud_id, address.entity, source.teams)
        return OUTCOMES[await self._events.add(delivered, rows, received)]

    async def _check(self, address: DeliveryAddress) -> Source:
        """Return the connection of an address whose token is right.

        :raises RefusedError: if it isn't, or if Airflow can't be asked for the connection.
        """
        try:
            source = await self._sources.find(address.conn_id)
            if source is None:
                raise RefusedError(
                    NOT_FOUND, "deliveries for connections are refused that don't exist or aren't connected"
                )
            if not _is_right(address, source):
                source = await self._sources.find(address.conn_id, life=DOUBT)
        except LookUpError:
            raise RefusedError(LATER, "connections can't be read, so deliveries are put off") from None
        if source is None or not _is_right(address, source):
            raise RefusedError(
                NOT_FOUND,
                f"deliveries for the connection {address.conn_id} are refused, because their address holds a wrong "
                "token; if its Webhook Secret or Refresh Token is new, register its webhooks again",
            )
        return source

    async def _read(self, address: DeliveryAddress, headers: dict[bytes, bytes], receive: Any) -> bytes:
        """Return a body.

        :raises RefusedError: if it is too large or slow, or compressed.
        """
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise RefusedError(ENCODED, f"compressed deliveries {_of(address)} are refused")
        try:
            return await asyncio.wait_for(_read_body(receive), self._longest)
        except asyncio.TimeoutError:
            raise RefusedError(TOO_SLOW, f"deliveries {_of(address)} are refused that come too slowly") from None


def _read_rows(body: bytes, address: DeliveryAddress, received: int) -> list[DeliveredRow]:
    """Return the rows that a body names.

    :raises RefusedError: if the body isn't one of a delivery.
    """
    try:
        return read_body(body, address.entity, received)
    except BadBodyError:
        raise RefusedError(
            BAD_BODY, f"deliveries {_of(address)} are refused that aren't a JSON array of objects"
        ) from None


def _of(address: DeliveryAddress) -> str:
    return f"of {address.entity} for the connection {address.conn_id}"


def _length(headers: dict[bytes, bytes]) -> int:
    """Return the size that a request says its body has; 0 if it says none."""
    text = headers.get(b"content-length", b"")
    return int(text[:20]) if text.isdigit() else 0


def _is_right(address: DeliveryAddress, source: Source) -> bool:
    token = delivery_token(source.settings, address.cloud_id, address.entity)
    return hmac.compare_digest(token, address.token)


async def _read_body(receive: Any) -> bytes:
    """Return a request's body.

    :raises RefusedError: if it is too large, or its sender leaves.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(BAD_BODY, "deliveries that break off are refused")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise RefusedError(TOO_LARGE, "deliveries of more than 1 MiB are refused")
        more = message.get("more_body", False)
    return bytes(body)


app = Receiver()
