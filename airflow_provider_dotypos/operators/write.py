"""Rows of a source written to a cloud by one task, for plans that nobody has to approve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.window import SETTLE
from airflow_provider_dotypos.hooks.arguments import argument_errors, given, literals, refuse_empty
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.operators.plan_writes import NARROWING, check_plan_literals, resolved
from airflow_provider_dotypos.transfers.arguments import check_switches
from airflow_provider_dotypos.writes.applying.options import MAX_AGE, ApplyOptions, Create, FailOn, Method
from airflow_provider_dotypos.writes.errors import DotyposWritesFailedError
from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
from airflow_provider_dotypos.writes.sources import source_of
from airflow_provider_dotypos.writes.verdicts import FINAL

if TYPE_CHECKING:
    from airflow.sdk import Context


class DotyposWriteOperator(BaseOperator):
    """Plan what has to be written to a cloud so that its rows are as a source says, and apply the plan.

    It is ``DotyposPlanWritesOperator`` and ``DotyposApplyPlanOperator`` in one task, with their limits and promises,
    for plans that nobody has to approve. A try that was interrupted leaves its plan. The next try applies that plan to
    its end, if the source still has the same rows, and so doesn't read the cloud again. Otherwise it plans anew.

    :param entity: the entity whose rows are to be written, such as ``products``. (templated)
    :param source: the rows that are wanted: a list of dicts, such as another task's result; the path of a file
        (``.jsonl``, ``.csv``, ``.parquet``); ``Sql(conn_id, query)``, whose query may be the path of a ``.sql`` file
        beside the DAG; or a committed set: the result of a transfer, or its manifest's path. (templated)
    :param match: the fields that tell rows apart, as one text with commas or as several: ``externalId``, for instance,
        or ``id``. (templated)
    :param plan: the folder that gets the plan and the report: an absolute path or an address, best with
        ``{{ run_id }}`` in it. (templated)
    :param actions: what may be done: ``update`` and ``create``; or ``delete`` alone, which deletes every row that the
        source names; or ``anonymize`` alone, which deletes customers and blanks their personal data. A row that isn't
        there is a conflict unless ``create`` is named. Defaults to ``update``. (templated)
    :param fields: the fields to be written. Defaults to all that the source has. (templated)
    :param nulls: what a null of the source means: the field is left as it is (``keep``), or it is cleared
        (``clear``). Defaults to ``keep``. (templated)
    :param limits: limits that differ from the defaults, such as ``{"changes": 0.5, "price_move": None}``. ``None`` is
        no limit. (templated)
    :param currency: the currency of the source's prices, such as ``CZK``. A price of a row in another one is a
        conflict, and new rows get it. Defaults to no check. (templated)
    :param dry_run: stop after the plan. Defaults to ``False``.
    :param max_age: the age up to which a plan of an earlier try is applied. Defaults to a day.
    :param method: how rows are written: ``patch``, row by row; ``put``, by lists; ``auto``, by what fits the number of
        rows and the request budget. Defaults to ``auto``.
    :param create: how rows are created: ``put``, under an id that follows from the key, exactly once; ``post``, where
        the API takes no ids of ours, which can't be exact. Defaults to ``put``.
    :param fail_on: which outcome fails the task: ``any`` row that isn't as planned, ``none``, or a share of the rows
        above which it fails, such as 0.01. Defaults to ``any``.
    :param settle: seconds until a write shows in the API. Defaults to 60.
    :param cloud_id: the cloud. Defaults to the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: ``{"planned", "applied"}``: what ``DotyposPlanWritesOperator`` returns, and what
        ``DotyposApplyPlanOperator`` does, or ``None`` after a dry run.
    :raises AirflowFailException: if a retry can't help: wrong rows, an exceeded limit, rejected rows, a refused token.

    https://docs.api.dotypos.com/api-reference/general/methods
    """

    template_fields: Sequence[str] = (
        "entity",
        "source",
        "match",
        "plan",
        "actions",
        "fields",
        "nulls",
        "limits",
        "currency",
        "cloud_id",
        "dotypos_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"limits": "json"}  # noqa: RUF012 (as Airflow declares it)
    ui_color = "#ffe3c2"

    def __init__(
        self,
        *,
        entity: str,
        source: Any,
        match: str | Sequence[str],
        plan: str,
        actions: str | Sequence[str] = ("update",),
        fields: str | Sequence[str] | None = None,
        nulls: str = "keep",
        limits: Mapping[str, Any] | None = None,
        currency: str | None = None,
        dry_run: bool = False,
        max_age: timedelta = MAX_AGE,
        method: Method = "auto",
        create: Create = "put",
        fail_on: FailOn = "any",
        settle: float = SETTLE,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.entity = entity
        self.source = source
        self.match = match
        self.plan = plan
        self.actions = actions
        self.fields = fields
        self.nulls = nulls
        self.limits = limits
        self.currency = currency
        self._plans_only = dry_run  # dry_run is a method of every operator
        self.max_age = max_age
        self.method = method
        self.create = create
        self.fail_on = fail_on
        self.settle = settle
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._given = given(self, NARROWING)
        self._hook: DotyposHook | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> dict[str, Any]:
        """Plan and apply, and return both results."""
        from airflow_provider_dotypos.api.retry import PUT_OFF_SOON

        with airflow_failures(self.dotypos_conn_id, context, resumes=True):
            refuse_empty(self, NARROWING, self._given)
            self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id, patience=PUT_OFF_SOON)
            with closing(self._hook):
                if self._plans_only:
                    return {"planned": self._plan(self._hook), "applied": None}
                return self._write(self._hook, context)

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _write(self, hook: DotyposHook, context: Context) -> dict[str, Any]:
        """Apply the plan of an earlier try, or a new one, to its end."""
        from airflow_provider_dotypos.storage.store import Store, object_path
        from airflow_provider_dotypos.writes.planning.pending import PendingPlan

        pending = PendingPlan(Store(object_path(self.plan, argument="plan")), _airflow.origin(context))
        arguments = self._arguments()
        cloud_id = hook.get_conn().settings.require_cloud_id()
        planned = pending.read(arguments, source_of(resolved(self.source)), cloud_id, self.max_age)
        if planned is None:
            planned = self._plan(hook)
            pending.note(arguments, cloud_id, planned)
        else:
            self.log.info("An earlier try has left the plan %s. It is applied to its end.", planned["plan"])
        try:
            applied = hook.apply_plan(
                planned["plan"],
                planned["digest"],
                max_age=self.max_age,
                method=self.method,
                create=self.create,
                fail_on=self.fail_on,
                settle=self.settle,
            )
        except DotyposWritesFailedError as error:
            if error.counts.keys() <= FINAL:
                pending.forget()
            raise
        pending.forget()
        return {"planned": planned, "applied": applied}

    def _plan(self, hook: DotyposHook) -> dict[str, Any]:
        return hook.plan_writes(
            self.entity,
            resolved(self.source),
            self.match,
            self.plan,
            actions=self.actions,
            fields=self.fields,
            nulls=self.nulls,
            limits=self.limits,
            currency=self.currency,
        )

    def _arguments(self) -> PlanArguments:
        return PlanArguments.of(
            self.entity,
            self.match,
            actions=self.actions,
            fields=self.fields,
            nulls=self.nulls,
            limits=self.limits,
            currency=self.currency,
        )

    def _options(self) -> ApplyOptions:
        return ApplyOptions(self.method, self.create, self.fail_on, self.settle, self.max_age)

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_plan_literals(arguments)
        self._options()
        check_switches(dry_run=self._plans_only)
