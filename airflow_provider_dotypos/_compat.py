"""The one file that knows Airflow versions (3.1 to 3.3)."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, cast

from airflow_provider_dotypos.provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR

log = logging.getLogger(__name__)

#: A task instance: its DAG, run, task and map index.
TaskInstanceKey: TypeAlias = tuple[str, str, str, int]

#: Runs whose states are asked for at once; their ids go into an address.
_RUNS_AT_ONCE = 20

#: How long a throttled task is put off that wasn't told how long.
_LEAST_WAIT, _MOST_WAIT = timedelta(minutes=5), timedelta(minutes=30)


def fail_exception() -> type[Exception]:
    """Return the exception that fails a task at once, whatever its retries."""
    return _exception("AirflowFailException")


def reschedule_exception(at: datetime) -> Exception:
    """Return the exception that gives the slot back and runs the task again at a time."""
    return _exception("AirflowRescheduleException")(at)


def _exception(name: str) -> type[Exception]:
    """Return one of Airflow's exceptions from where the version keeps it."""
    try:
        found = getattr(import_module("airflow.sdk.exceptions"), name)
    except AttributeError:  # 3.1
        found = getattr(import_module("airflow.exceptions"), name)
    return cast("type[Exception]", found)


@contextmanager
def airflow_failures(conn_id: str, resumed: Any = None) -> Iterator[None]:
    """Turn errors into what Airflow should do about them.

    What trying again can't cure (a revoked token, a forbidden cloud, a bad request) fails the task at once; a
    ``Retry-After`` too long to hold a slot for puts the task off until then; the rest is left to Airflow's retries.

    :param conn_id: the connection used, named where it may be what is wrong.
    :param resumed: the context of a task that goes on where it ended. Throttling of any kind puts it off.
    """
    from airflow_provider_dotypos.api.errors import (
        DotyposApiError,
        DotyposAuthenticationError,
        DotyposConfigurationError,
        DotyposError,
        DotyposPermissionError,
        DotyposRateLimitError,
    )

    try:
        yield
    except DotyposError as error:
        if error.permanent:
            connection_errors = (DotyposAuthenticationError, DotyposConfigurationError, DotyposPermissionError)
            named = f" (connection {conn_id!r})" if isinstance(error, connection_errors) else ""
            raise fail_exception()(f"{error}{named}") from error
        at = error.retry_at if isinstance(error, DotyposApiError) else None
        if at is not None and getattr(error, "too_long_to_wait", False):
            raise _put_off(error, at) from error
        if resumed is not None and (at is not None or isinstance(error, DotyposRateLimitError)):
            # A shorter Retry-After was waited out again and again, in vain: the next one is worth no more.
            soonest = datetime.now(timezone.utc) + _growing_wait(resumed)
            raise _put_off(error, soonest if at is None else max(at, soonest)) from error
        raise


def _put_off(error: Exception, at: datetime) -> Exception:
    log.warning("%s The task gives its slot back until %s. That takes none of its retries.", error, f"{at:%F %T %Z}")
    return reschedule_exception(at)


def _growing_wait(context: Any) -> timedelta:
    """Return how long to put a task off at least: as long as it has been put off so far, within limits.

    So the waits double, and soon pass half an hour together, which is the longest window that limits are known to have.
    The jitter keeps tasks apart that were put off together.
    """
    first_date = getattr(context.get("ti"), "get_first_reschedule_date", None)
    first = None if first_date is None else first_date(context)
    waited = timedelta(0) if first is None else datetime.now(timezone.utc) - first
    return min(max(waited, _LEAST_WAIT), _MOST_WAIT) * random.uniform(1, 1.1)


def mask_secret(value: str) -> None:
    """Have Airflow mask a secret in the logs of this process."""
    from airflow.sdk.log import mask_secret as mask

    mask(value)


def console() -> Any:
    """Return the console that Airflow's own commands print with; names in square brackets are no markup in it."""
    from airflow.cli.simple_table import AirflowConsole

    return AirflowConsole(markup=False, emoji=False)


def form_behaviour() -> dict[str, Any]:
    """Return the form's standard fields as Airflow 3.1 asks for them: the same, in another case."""
    return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}


def form_widgets() -> dict[str, Any]:
    """Return the form's own fields as the widgets that Airflow 3.1 asks for (its API server stands in for wtforms)."""
    from wtforms import IntegerField, PasswordField, StringField
    from wtforms.validators import Optional

    def widget(declared: dict[str, Any]) -> Any:
        schema = declared["schema"]
        kinds = {"integer": IntegerField, "number": IntegerField}
        kind = PasswordField if schema.get("format") == "password" else kinds.get(schema["type"][0], StringField)
        field = kind(declared["label"], description=declared["description"], validators=[Optional()])
        # The stand-in keeps what the form is drawn from as a JSON Schema, which knows sections and limits as well.
        known = getattr(getattr(field, "param", None), "schema", None)
        if isinstance(known, dict):
            known.update(schema)
        return field

    return {name: widget(declared) for name, declared in CONN_FIELDS.items()}


def signed_in_user() -> Any:
    """Return core's dependency that tells a request's user, or refuses it (an API server's own app has no other)."""
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


def skip_exception(message: str) -> Exception:
    """Return the exception that skips a task."""
    return _exception("AirflowSkipException")(message)


def has_state_store() -> bool:
    """Return whether tasks and assets have a state store (Airflow 3.3)."""
    return hasattr(import_module("airflow.sdk.execution_time.context"), "AssetStateStoreAccessors")


class StateStores(NamedTuple):
    """Where a task keeps what outlives it.

    :param asset: the state store of the task's first outlet asset.
    :param asset_name: that asset's name.
    :param task: the state store of the task instance.
    """

    asset: Any
    asset_name: str
    task: Any


def state_stores(context: Any, outlets: Sequence[Any]) -> StateStores:
    """Return the state stores of the task's first outlet asset and of the task instance (both since 3.3).

    :raises DotyposInputError: this Airflow has none, or the task has no such outlet.
    """
    from airflow_provider_dotypos.api.errors import DotyposInputError

    if not has_state_store():
        raise DotyposInputError(
            "going on from the last success needs Airflow 3.3, which keeps a watermark on an asset; here, give a "
            "window: since='{{ (dag_run.run_after - macros.timedelta(days=1)).isoformat() }}', "
            "until='{{ dag_run.run_after.isoformat() }}'"
        )
    asset = next((outlet for outlet in outlets if hasattr(outlet, "uri") and hasattr(outlet, "name")), None)
    if asset is None or "asset_state_store" not in context:
        raise DotyposInputError(
            "going on from the last success needs an asset to keep the watermark on: give outlets=[Asset(...)] (of a "
            "mapped task in .partial()), or give a window with since and until"
        )
    return StateStores(context["asset_state_store"][asset], str(asset.name), context["task_state_store"])


def succeeded(context: Any, runs: Iterable[TaskInstanceKey]) -> set[TaskInstanceKey]:
    """Return which task instances have succeeded, as far as Airflow can say."""
    by_task: defaultdict[tuple[str, str, int], list[str]] = defaultdict(list)
    for dag_id, run_id, task_id, map_index in runs:
        by_task[dag_id, task_id, map_index].append(run_id)
    done: set[TaskInstanceKey] = set()
    for (dag_id, task_id, map_index), run_ids in by_task.items():
        name = task_id if map_index < 0 else f"{task_id}_{map_index}"
        left = iter(run_ids)
        while some := list(islice(left, _RUNS_AT_ONCE)):
            try:
                states = context["ti"].get_task_states(
                    dag_id=dag_id, map_index=map_index, task_ids=[task_id], run_ids=some
                )
                well = [run_id for run_id in some if str(states.get(run_id, {}).get(name)) == "success"]
            except Exception as error:  # whatever it is: without an answer they count as not succeeded
                log.warning("Airflow didn't say whether earlier runs of %s have succeeded: %r", task_id, error)
                well = []
            done.update((dag_id, run_id, task_id, map_index) for run_id in well)
    return done


def task_instance(context: Any) -> TaskInstanceKey:
    """Return which task instance runs."""
    ti = context["ti"]
    return ti.dag_id, ti.run_id, ti.task_id, ti.map_index
