"""What this provider asks of Airflow itself, which is the same in all its versions (3.1 to 3.3).

Airflow's own modules are heavy, so each function imports what it needs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from airflow_provider_dotypos.api.errors import DotyposInputError

if TYPE_CHECKING:
    from airflow.sdk import Asset

log = logging.getLogger(__name__)

#: A task instance: its DAG, run, task and map index.
TaskInstanceKey: TypeAlias = tuple[str, str, str, int]

#: Runs whose states are asked for at once; their ids go into an address.
_RUNS_AT_ONCE = 20


#: What is under way to the supervisor: a loop keeps no task alive by itself.
_telling: set[asyncio.Future[Any]] = set()

#: Held while a task asks its supervisor for something: two threads at once can't, in 3.1 and in ``dag.test``.
asking = threading.RLock()


def _renew_asking() -> None:
    """Take a fresh lock in a forked child: one that another thread of the parent held would never be released there."""
    global asking
    asking = threading.RLock()


os.register_at_fork(after_in_child=_renew_asking)


class SharedStore:
    """One of Airflow's state stores, for several threads.

    :param store: the store.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""
        with asking:
            return self._store.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value, which JSON can hold."""
        with asking:
            self._store.set(key, value)


def mask_secret(value: str) -> None:
    """Have Airflow mask a secret in the logs of this process."""
    from airflow.sdk.log import mask_secret as mask

    with asking:
        mask(value)


def console() -> Any:
    """Return the console that Airflow's own commands print with; names in square brackets are no markup in it."""
    from airflow.cli.simple_table import AirflowConsole

    return AirflowConsole(markup=False, emoji=False)


@contextmanager
def stored_connections() -> Iterator[None]:
    """Have a command find connections in Airflow's database where the SDK looks one up, as Airflow's own commands do.

    Otherwise the SDK takes the process for a worker, which can't reach that database.
    """
    name = "_AIRFLOW_PROCESS_CONTEXT"
    before = os.environ.get(name)
    os.environ[name] = "server"
    try:
        with warnings.catch_warnings():
            # Airflow 3.3 warns of its own code, which finds the hook of a connection in its database.
            warnings.filterwarnings("ignore", r"ProvidersManager\.hooks is deprecated")
            yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def signed_in_user() -> Any:
    """Return core's dependency that returns a request's user or refuses it. A plugin's own app has no other."""
    from airflow.api_fastapi.core_api.security import get_user

    return get_user


def may_edit_connection(user: Any, conn_id: str | None, team: str | None = None) -> bool:
    """Return whether Airflow's auth manager lets a user edit a connection, or (``None``) make one."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails

    allowed: bool = get_auth_manager().is_authorized_connection(
        method="POST" if conn_id is None else "PUT",
        details=ConnectionDetails(conn_id=conn_id, team_name=team),
        user=user,
    )
    return allowed


def secret_key() -> str:
    """Return the key that all API servers of this Airflow share."""
    from airflow.configuration import conf

    return str(conf.get_mandatory_value("api", "secret_key"))


def base_url() -> str | None:
    """Return the address at which people reach this Airflow, if it is configured."""
    from airflow.configuration import conf

    return conf.get("api", "base_url", fallback=None) or None


def receives_webhooks() -> bool:
    """Return whether this Airflow's API server receives webhooks: it doesn't unless its configuration says so."""
    from airflow.configuration import conf

    return conf.getboolean("dotypos", "webhooks", fallback=False)


def has_teams() -> bool:
    """Return whether this Airflow keeps several teams apart (since 3.3)."""
    from airflow.configuration import conf

    return conf.getboolean("core", "multi_team", fallback=False)


class VariableRegister:
    """A text in an Airflow Variable, which tasks of all workers can reach: the ledger of a request budget.

    It goes by the task's line to its supervisor. ``Variable.get`` would take a failure for a missing Variable, which
    would be an empty ledger.

    :param digest: what tells ledgers apart.
    """

    def __init__(self, digest: str) -> None:
        self._key = f"dotypos_request_budget_{digest}"
        self.name = f"Variable {self._key}"

    def read(self) -> str | None:
        """Return the Variable's value; ``None`` if there is no such Variable."""
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable

        answer = self._ask(GetVariable(key=self._key))
        if isinstance(answer, ErrorResponse):
            if answer.error != ErrorType.VARIABLE_NOT_FOUND:
                raise RuntimeError(answer.error)
            return None
        value: str | None = answer.value
        return value

    def write(self, text: str) -> None:
        """Replace the Variable's value."""
        from airflow.sdk.execution_time.comms import PutVariable

        self._ask(
            PutVariable(
                key=self._key,
                value=text,
                description="Requests to Dotypos that count towards the request budget. Written by tasks and triggers.",
            )
        )

    def _ask(self, question: Any) -> Any:
        with asking:
            return _supervisor().send(question)


class TriggererRegister(VariableRegister):
    """The same from a triggerer, whose line to its supervisor belongs to its loop. Threads ask, and wait for the loop.

    :param digest: what tells ledgers apart.
    """

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self._loop = asyncio.get_running_loop()

    def _ask(self, question: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(_supervisor().asend(question), self._loop).result()


def _supervisor() -> Any:
    """Return the line to the supervisor of this process; ``None`` if it has none."""
    from airflow.sdk.execution_time import task_runner

    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def triggerer_ledger() -> Callable[[str], VariableRegister] | None:
    """Return what opens the ledger of a request budget in a triggerer; ``None`` in a process without a supervisor."""
    return TriggererRegister if hasattr(_supervisor(), "asend") else None


async def read_connection(conn_id: str) -> Any:
    """Return a connection; the loop goes on meanwhile.

    It is read to its end even if nobody waits for it any more: in Airflow 3.1 an answer that nobody takes would be
    taken for that to the triggerer's next question, and end it.

    :raises AirflowNotFoundException: if there is none of this id.
    """
    from airflow.sdk import BaseHook

    return await asyncio.shield(asyncio.ensure_future(BaseHook.aget_connection(conn_id)))


def mask_secret_on_loop(value: str) -> None:
    """Have Airflow mask a secret in the logs of this process and, soon, of its supervisor, which writes them."""
    from airflow.sdk.execution_time.comms import MaskSecret
    from airflow.sdk.log import mask_secret as mask

    mask(value)  # what it asks of a supervisor fails on a loop, silently
    comms = _supervisor()
    if hasattr(comms, "asend"):
        telling = asyncio.ensure_future(_tell(comms, MaskSecret(value=value)))
        _telling.add(telling)
        telling.add_done_callback(_telling.discard)


async def _tell(comms: Any, message: Any) -> None:
    with suppress(Exception):  # the supervisor is ending; no log of ours holds a secret in any case
        await comms.asend(message)


def budget_ledger() -> Callable[[str], VariableRegister] | None:
    """Return what opens the ledger of a request budget; ``None`` outside of a task, which can reach no Variable."""
    from airflow.sdk import get_current_context

    try:
        get_current_context()
    except RuntimeError:
        return None
    return VariableRegister


def run_after(context: Any) -> datetime:
    """Return the time from which the DAG run could start.

    :raises DotyposInputError: if there is no DAG run.
    """
    moment: datetime = _require(context, "dag_run").run_after
    return moment


def task_instance(context: Any) -> TaskInstanceKey:
    """Return which task instance runs.

    :raises DotyposInputError: if none does.
    """
    ti = _require(context, "ti")
    return ti.dag_id, ti.run_id, ti.task_id, ti.map_index


def _require(context: Any, name: str) -> Any:
    value = context.get(name)
    if value is None:
        raise DotyposInputError(
            f"the task's context holds no {name}, because it runs outside of a DAG run: give since and until, or run "
            "it in one, for instance by dag.test()"
        )
    return value


def try_number(context: Any) -> int:
    """Return which try of the task instance runs; 1 outside of a DAG run."""
    number: int = getattr(context.get("ti"), "try_number", 1)
    return number


def is_retry(context: Any) -> bool:
    """Return whether Airflow has begun this try by itself, after one that failed or died; not if a person cleared it.

    A clear raises the most tries of a task instance by those that it has had.
    """
    ti = context.get("ti")
    most, retries = getattr(ti, "max_tries", None), getattr(getattr(ti, "task", None), "retries", None)
    return isinstance(most, int) and isinstance(retries, int) and try_number(context) > 1 + max(0, most - retries)


def origin(context: Any) -> str:
    """Return what all tries of this task instance have in common, in short; nothing outside of a DAG run."""
    ti = context.get("ti")
    if getattr(ti, "run_id", None) is None:
        return ""
    names = [str(getattr(ti, name, "")) for name in ("dag_id", "task_id", "run_id", "map_index")]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def first_put_off(context: Any) -> datetime | None:
    """Return when the task instance first gave its slot back, to be run again later."""
    first_date = getattr(context.get("ti"), "get_first_reschedule_date", None)
    first: datetime | None = None if first_date is None else first_date(context)
    return first


def succeeded(context: Any, runs: Iterable[TaskInstanceKey]) -> set[TaskInstanceKey]:
    """Return which task instances have succeeded, as far as Airflow can say."""
    by_task: defaultdict[tuple[str, str, int], list[str]] = defaultdict(list)
    for dag_id, run_id, task_id, map_index in runs:
        by_task[dag_id, task_id, map_index].append(run_id)
    done: set[TaskInstanceKey] = set()
    for (dag_id, task_id, map_index), run_ids in by_task.items():
        name = task_id if map_index < 0 else f"{task_id}_{map_index}"
        left = iter(run_ids)
        while chunk := list(islice(left, _RUNS_AT_ONCE)):
            try:
                with asking:
                    states = context["ti"].get_task_states(
                        dag_id=dag_id, map_index=map_index, task_ids=[task_id], run_ids=chunk
                    )
                well = [run_id for run_id in chunk if str(states.get(run_id, {}).get(name)) == "success"]
            except Exception as error:  # whatever it is: without an answer they count as not succeeded
                log.warning("Airflow didn't say whether earlier runs of %s have succeeded: %r", task_id, error)
                well = []
            done.update((dag_id, run_id, task_id, map_index) for run_id in well)
    return done


class Successes:
    """Which task instances have succeeded, asked for once: the many lists of a task begin with the same question."""

    def __init__(self) -> None:
        self._answers: dict[TaskInstanceKey, bool] = {}

    def among(self, context: Any, runs: set[TaskInstanceKey]) -> set[TaskInstanceKey]:
        """Return which of some task instances had succeeded when they were first asked for."""
        if new := runs - self._answers.keys():
            done = succeeded(context, new)
            self._answers.update({run: run in done for run in new})
        return {run for run in runs if self._answers[run]}


class ListEvent(NamedTuple):
    """What the event of a list's asset holds.

    :param written: whether rows were brought there; an outlet that is an alias gets no event otherwise.
    """

    asset: Asset
    extra: Mapping[str, Any]
    written: bool = True


def fill_outlet_events(
    context: Any, outlets: Iterable[Any], extra: Mapping[str, Any], lists: Sequence[ListEvent]
) -> None:
    """Have the asset events of a task's outlets hold something. Outside of a DAG run there are none.

    Airflow sends an event for each outlet of a task that succeeds, whatever the task did.

    :param extra: for outlets that are no list's asset.
    :param lists: of the lists' assets.
    """
    from airflow.sdk.definitions.asset import Asset, AssetAlias, AssetRef

    events = context.get("outlet_events")
    of_asset = {event.asset.uri: event.extra for event in lists}
    for outlet in outlets if events is not None else ():
        if isinstance(outlet, AssetAlias):
            for event in lists:
                if event.written:
                    events[outlet].add(event.asset, dict(event.extra))
        elif isinstance(outlet, (Asset, AssetRef)):
            events[outlet].extra.update(of_asset.get(getattr(outlet, "uri", ""), extra))
