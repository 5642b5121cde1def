"""Waiting inside a DAG until a row of a list has changed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from datetime import timezone as tz
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError
from airflow_provider_dotypos.api.overrides import describe
from airflow_provider_dotypos.api.query import Filter, filter_text
from airflow_provider_dotypos.api.watch import MOST_IDS, State, Watch, key_of, step
from airflow_provider_dotypos.api.window import instant, iso, time_zone
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, literals
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures, decision, in_short_lines, named

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.api.reading import Reader


class DotyposEntitySensor(BaseSensorOperator):
    """Wait until a row of a list has changed since a time, and return which ones have.

    Each poke is one request. With ``deferrable=True`` the first one is the worker's, and the triggerer goes on, with
    one poll for all sensors and watchers of the list. All modes return the same.

    While Dotypos refuses requests, or the connection's request budget is used up, the next poke waits until that is
    over, whatever `poke_interval` says. A poke whose failure may pass ends the try, as every sensor's does. A revoked
    token, a forbidden cloud or a bad filter fails the task at once, also with ``soft_fail=True``, which is for
    timeouts.

    :param entity: the list's name in the API's paths, such as ``money-logs``. It must have a field that shows changes.
        (templated)
    :param since: changes from here on count: a datetime with a zone, ISO 8601 text with one, or a bare date together
        with `timezone`. Defaults to the DAG run's ``run_after``, which retries and reschedules don't move. (templated)
    :param filter: further conditions, in the API's grammar (``"transactionType|eq|REGISTER_CLOSE"``) or as ``(field,
        operator, value)`` triples. (templated)
    :param deleted: whether deleted rows count. Defaults to ``False``.
    :param most_ids: most ids in the result, 0 to 100; with more rows it holds none. Defaults to 100.
    :param timezone: zone of a bare date in `since`, such as ``Europe/Prague``. (templated)
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :param deferrable: whether to wait in the triggerer, without a worker slot. Defaults to Airflow's ``[operators]
        default_deferrable``.
    :param poke_interval: seconds between two requests, or a ``timedelta``. Defaults to 60.
    :return: ``{"version", "cloud_id", "entity", "key", "since", "until", "count", "ids", "newest", "source"}``, as an
        asset's event has it: the changed rows lie in ``[since, until)``.
    :raises AirflowFailException: if a retry can't help.
    :raises AirflowSensorTimeout: if nothing has changed within `timeout`.

    https://docs.api.dotypos.com/api-reference/general/filter
    """

    template_fields: Sequence[str] = ("entity", "since", "filter", "timezone", "cloud_id", "dotypos_conn_id")
    ui_color = "#e3d9f2"

    def __init__(
        self,
        *,
        entity: str,
        since: str | date = "{{ dag_run.run_after.isoformat() }}",
        filter: Filter = None,
        deleted: bool = False,
        most_ids: int = MOST_IDS,
        timezone: str | None = None,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        deferrable: bool = _compat.default_deferrable(),
        poke_interval: timedelta | float = 60,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.entity = entity
        self.since = since
        self.filter = filter
        self.deleted = deleted
        self.most_ids = most_ids
        self.timezone = timezone
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self.deferrable = deferrable
        self._hook: DotyposHook | None = None
        self._reader: Reader | None = None
        self._not_before: datetime | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> Any:
        """Poke until something has changed, and return what. A deferrable sensor pokes once."""
        with airflow_failures(self.dotypos_conn_id, context):
            try:
                return super().execute(context)
            finally:
                if self._hook is not None:
                    self._hook.close()

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once. If nothing has changed yet, a deferrable sensor leaves the rest to the triggerer."""
        watch = Watch.of(self.entity, self.filter, deleted=self.deleted)
        begun = State.begin(instant(self.since, "since", self.timezone))
        state, change = begun, None
        self._not_before = None
        reader = self._open_reader()
        try:
            snapshot = reader.poll(
                watch.entity, [begun], deleted=watch.deleted, conditions=watch.conditions, walk=False
            )
            state, change = step(begun, snapshot, watch)
        except DotyposError as error:
            self._put_off(error)
        if change is not None:
            return PokeReturnValue(True, self._result(change.payload(reader.cloud_id, self.entity)))
        self.log.info("No %s have changed yet since %s.", self.entity, iso(begun.since))
        if self.deferrable:
            self._leave_to_triggerer(watch, max(begun.since, state.since), reader.cloud_id)
        return PokeReturnValue(False)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer. A failure of its is what a poke's would be."""
        with airflow_failures(self.dotypos_conn_id, context):
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except DotyposError as error:
                if self.never_fail:  # Airflow knows only its own errors here
                    raise _compat.skip_exception("Skipping due to never_fail is set to True.") from error
                raise

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Return what the trigger has seen change.

        :raises DotyposTriggerError: if it has failed.
        """
        from airflow_provider_dotypos.triggers.entity import read_event

        return self._result(read_event(event))

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        if not isinstance(self.deferrable, bool):
            raise DotyposInputError(f"deferrable must be True or False, not {describe(self.deferrable)}")
        if type(self.most_ids) is not int or not 0 <= self.most_ids <= MOST_IDS:
            raise DotyposInputError(f"most_ids must be 0 to {MOST_IDS}, not {describe(self.most_ids)}")
        if "entity" in arguments:
            Watch.of(self.entity, arguments.get("filter"), deleted=self.deleted)
        if "timezone" in arguments and self.timezone is not None:
            time_zone(self.timezone)
        if "since" in arguments and "timezone" in arguments:
            instant(self.since, "since", self.timezone)

    def _open_reader(self) -> Reader:
        """Return what asks: the same one for all pokes of a process, which signs in once."""
        from airflow_provider_dotypos.api.reading import Reader
        from airflow_provider_dotypos.api.retry import Patience

        if self._hook is None or self._reader is None:
            # Throttling that outlasts the pause is left to the next poke.
            patience = Patience(throttling=self.poke_interval)
            self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id, patience=patience)
            self._reader = Reader(self._hook.get_conn())
        return self._reader

    def _put_off(self, error: DotyposError) -> None:
        """Let the next poke wait until Dotypos and the request budget allow it, if they have refused this one.

        :raises DotyposError: if it has failed otherwise.
        """
        action, at = decision(error, resumes=True)
        if action == "fail" and self.silent_fail:  # which goes on after errors, but not after those of this kind
            raise _compat.fail_exception()(str(named(error, self.dotypos_conn_id))) from None
        if action != "again":
            raise error
        self._not_before = error.retry_at or at
        self.log.warning("%s", in_short_lines(f"{error} The next poke is at {self._not_before:%F %T %Z} or later."))

    def _get_next_poke_interval(self, *times: Any) -> float:
        """Return the seconds until the next poke. The jitter keeps tasks apart that wait for the same moment."""
        interval: float = super()._get_next_poke_interval(*times)
        if self._not_before is None:
            return interval
        left = (self._not_before - datetime.now(tz.utc)).total_seconds()
        return max(interval, left * random.uniform(1, 1.1))

    def _leave_to_triggerer(self, watch: Watch, since: int, cloud_id: int) -> None:
        """Defer until something has changed since a time (epoch ms)."""
        from airflow_provider_dotypos.triggers.entity import DotyposEntityTrigger

        trigger = DotyposEntityTrigger(
            entity=self.entity,
            since=iso(since),
            filter=filter_text(watch.conditions),
            deleted=self.deleted,
            cloud_id=cloud_id,
            dotypos_conn_id=self.dotypos_conn_id,
            poll_interval=max(1.0, self.poke_interval),  # the triggerer's loop has others to serve
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    def _result(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return what the task returns of what has changed: in each mode the same."""
        ids = payload["ids"]
        if ids is None:  # a poke doesn't read all of so many rows, and only a shared poll has counted them
            window = payload["since"], payload["until"]
            payload = payload | {"count": None, "key": key_of(window)}
        self.log.info(
            "%s %s have changed between %s and %s.",
            "Many" if payload["count"] is None else payload["count"],
            self.entity,
            payload["since"],
            payload["until"],
        )
        return payload | {"ids": ids if ids is not None and len(ids) <= self.most_ids else None}
