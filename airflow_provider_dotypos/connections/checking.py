"""Check many connections at once. A connection at fault affects its own line only."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent import futures

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.check import CheckResult, check, place_of
from airflow_provider_dotypos.connections.stored import StoredConnection

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 16

#: How long a person waits for all verdicts, in seconds: a server that hangs at every answer takes about half of it.
PATIENCE = 20.0


def check_all(connections: Sequence[StoredConnection], patience: float = PATIENCE) -> dict[str, CheckResult]:
    """Return a verdict on each connection, by its id.

    :param patience: seconds after which an unfinished check becomes a verdict, too.
    """
    threads = futures.ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="dotypos-check")
    checks = {each.conn_id: threads.submit(_check, each) for each in _one_of_each_host_first(connections)}
    futures.wait(checks.values(), patience)
    threads.shutdown(wait=False, cancel_futures=True)
    return {conn_id: _result_by_now(each, patience) for conn_id, each in checks.items()}


def _one_of_each_host_first(connections: Sequence[StoredConnection]) -> list[StoredConnection]:
    """Return the connections in an order in which a host that hangs keeps no other host waiting for threads."""
    seen: Counter[str | None] = Counter()
    ranks = {}
    for connection in connections:
        ranks[connection.conn_id] = seen[connection.base_url]
        seen[connection.base_url] += 1
    return sorted(connections, key=lambda connection: ranks[connection.conn_id])


def _result_by_now(check: futures.Future[CheckResult], patience: float) -> CheckResult:
    if check.cancelled():
        return CheckResult("not working", "Not checked: others took too long. Check this connection alone.")
    if not check.done():
        return CheckResult(
            "not working",
            f"No verdict within {patience:g} seconds: the server at API base URL is too slow. Check API base URL, or "
            "try again later.",
        )
    return check.result()


def _check(connection: StoredConnection) -> CheckResult:
    if connection.problem is not None:
        return CheckResult("not working", connection.problem)
    try:
        return check(connection.settings, _airflow.mask_secret)
    except Exception as error:  # of the connection's fields; the others must not suffer
        log.error("The connection %s can't be checked: %s", connection.conn_id, place_of(error))
        return CheckResult(
            "not working", f"The connection can't be checked ({type(error).__name__}); look at its fields."
        )
