"""Extracting one window: the walk on one side, a sink on the other."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_dotypos.api.window import SETTLE, Window
from airflow_provider_dotypos.transfers.engine import Engine
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sink import Sink, SupersededError

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.reading import Reader

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

#: Requests after which an attempt should have something that the next one can go on with.
_MANY = 100


def extract(
    selection: Selection,
    window: Window,
    reader: Reader,
    sink: Sink[ResultT],
    *,
    settle: float = SETTLE,
) -> ResultT:
    """Extract a window into a sink and commit it; return the sink's result, of an earlier commit if there is one.

    An attempt that fails leaves what it has read; the next one keeps what of it is whole, and fetches what is missing.

    :param settle: seconds that a change may need to show in the API.
    :raises DotyposError: the API refused, or its answers can't be walked.
    """
    if (finished := sink.finished) is not None:
        return finished
    with sink:
        try:
            walked = Engine(selection, reader, sink, settle).walk(window)
            return sink.commit(walked)
        except SupersededError:
            return sink.give_way()
        except BaseException:
            sink.leave()
            if reader.requests >= _MANY and not sink.has_kept_rows:
                log.warning(
                    "Nothing that %d requests brought can be kept for the next attempt. It is one instant with very "
                    "many rows, or rows without a cursor, which count only when all of them are read. Under the same "
                    "limit the next attempt may fare alike: ask for a window or a filter that divides these rows.",
                    reader.requests,
                )
            raise
