"""Check many connections at once: a fault of one of them shows on its own line alone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent import futures

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.check import Verdict, check, place_of
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.connections.stored import StoredConnection

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 16

#: How long somebody waits for all verdicts, in seconds: a server that hangs at every answer takes about half of it.
PATIENCE = 20.0


def check_all(chosen: Sequence[StoredConnection], patience: float = PATIENCE) -> dict[str, Verdict]:
    """Return a verdict on each connection, by their ids.

    :param patience: seconds after which a check that isn't done becomes a verdict, too.
    """
    threads = futures.ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="dotypos-check")
    asked = {found.conn_id: threads.submit(_verdict, found) for found in _one_of_each_host_first(chosen)}
    futures.wait(asked.values(), patience)
    threads.shutdown(wait=False, cancel_futures=True)
    return {conn_id: _in_time(verdict, patience) for conn_id, verdict in asked.items()}


def _one_of_each_host_first(chosen: Sequence[StoredConnection]) -> list[StoredConnection]:
    """Return the connections in an order in which a host that hangs keeps no other one waiting for its threads."""
    seen: Counter[str | None] = Counter()
    ranks = {}
    for found in chosen:
        ranks[found.conn_id] = seen[found.base_url]
        seen[found.base_url] += 1
    return sorted(chosen, key=lambda found: ranks[found.conn_id])


def _in_time(verdict: futures.Future[Verdict], patience: float) -> Verdict:
    if verdict.cancelled():
        return Verdict("not working", "Not checked: others took too long. Check this connection alone.")
    if not verdict.done():
        return Verdict(
            "not working",
            f"No verdict within {patience:g} seconds: the server at API base URL is too slow. Check API base URL, or "
            "try again later.",
        )
    return verdict.result()


def _verdict(found: StoredConnection) -> Verdict:
    if found.problem is not None:
        return Verdict("not working", found.problem)
    try:
        return check(
            lambda: Settings.from_fields(host=found.host, port=found.port, extra=found.extra), _airflow.mask_secret
        )
    except Exception as error:  # of the connection's fields; the others must not suffer
        log.error("The connection %s can't be checked: %s", found.conn_id, place_of(error))
        return Verdict("not working", f"The connection can't be checked ({type(error).__name__}); look at its fields.")
