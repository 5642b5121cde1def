"""Check many things at once, within the time that a person waits. What is at fault affects its own line only."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from functools import partial
from typing import TypeVar

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.access import Check, check_list
from airflow_provider_dotypos.api.check import CheckResult, check, new_client, place_of
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.connections.stored import StoredConnection

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_AT_ONCE = 16

#: How long a person waits for all verdicts, in seconds: a server that hangs at every answer takes about half of it.
PATIENCE = 20.0


def check_all(connections: Sequence[StoredConnection], patience: float = PATIENCE) -> dict[str, CheckResult]:
    """Return a verdict on each connection, by its id.

    :param patience: seconds after which an unfinished check becomes a verdict, too.
    """
    clients: list[DotyposClient] = []
    checks = {
        connection.conn_id: partial(_check, connection, clients.append)
        for connection in _one_of_each_host_first(connections)
    }
    running = _run(checks, _MOST_AT_ONCE, patience)
    for client in clients:
        client.cancel()  # a check that nobody waits for any more sends nothing more
    return {conn_id: _result_by_now(each, patience) for conn_id, each in running.items()}


def check_lists(settings: Settings, patience: float = PATIENCE) -> list[Check]:
    """Return which lists a working connection may read, by reading one row of each.

    :param patience: seconds after which an unfinished check becomes a result, too.
    """
    client = new_client(settings, _airflow.mask_secret)
    reader = Reader(client)
    checks = {name: partial(check_list, reader, entity) for name, entity in entities().items() if entity.listed}
    running = _run(checks, settings.max_concurrency, patience)
    client.cancel()
    return [_list_by_now(name, each) for name, each in running.items()]


def _run(calls: Mapping[str, Callable[[], T]], at_once: int, patience: float) -> dict[str, futures.Future[T]]:
    """Run calls in threads, and return what has become of each when the patience is over."""
    threads = futures.ThreadPoolExecutor(at_once, thread_name_prefix="dotypos-check")
    running = {name: threads.submit(call) for name, call in calls.items()}
    futures.wait(running.values(), patience)
    threads.shutdown(wait=False, cancel_futures=True)
    return running


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


def _list_by_now(name: str, check: futures.Future[Check]) -> Check:
    if check.cancelled() or not check.done():
        return Check(name, "unknown", "The server didn't answer in time.")
    error = check.exception()  # whatever a hostile server brings about
    return check.result() if error is None else Check(name, "failed", f"The check broke off ({type(error).__name__}).")


def _check(connection: StoredConnection, on_client: Callable[[DotyposClient], None]) -> CheckResult:
    if connection.problem is not None:
        return CheckResult("not working", connection.problem)
    try:
        return check(connection.settings, _airflow.mask_secret, on_client)
    except Exception as error:  # of the connection's fields; the others must not suffer
        log.error("The connection %s can't be checked: %s", connection.conn_id, place_of(error))
        return CheckResult(
            "not working", f"The connection can't be checked ({type(error).__name__}); look at its fields."
        )
