"""A plan of writes, applied by a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.overrides import describe
from airflow_provider_dotypos.api.window import SETTLE
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, literals
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.writes.applying.approval import check_approval, check_mapped
from airflow_provider_dotypos.writes.applying.options import MAX_AGE, ApplyOptions, Create, FailOn, Method

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.writes.plan import PlanHeader


class DotyposApplyPlanOperator(BaseOperator):
    """Apply a plan that ``DotyposPlanWritesOperator`` has made: each row is written once, and no edit is overwritten.

    A row that somebody has changed since the plan was made is a conflict: it stays as it is, the other rows are
    written, and the task fails. The report beside the plan says of each row what became of it. If the task ends in
    between, it goes on where it ended: when the request budget is used up, it gives its slot back until enough of it is
    free. Two tasks that apply the same plan at once do no harm.

    Before anything else a single row is written. If it isn't as planned then, or if the API has changed a field that
    the plan doesn't name, the task fails and writes nothing more.

    :param plan: the plan's path: ``plan`` in what ``DotyposPlanWritesOperator`` returns. (templated)
    :param digest: the plan's ``digest``, so that no other plan is applied. (templated)
    :param approval: what the approving task returned: ``"{{ ti.xcom_pull('approve') }}"``. Unless somebody chose
        *Approve* after the plan was made, nothing is written. Defaults to ``None``: no approval is needed. (templated)
    :param max_age: the age up to which a plan is applied; one that was begun in time is brought to its end. Defaults to
        a day.
    :param method: how rows are written: ``patch``, row by row; ``put``, by lists; ``auto``, by what fits the number of
        rows and the request budget. Defaults to ``auto``.
    :param create: how rows are created: ``put``, under an id that follows from the key, exactly once; ``post``, where
        the API takes no ids of ours: a row whose answer is lost is looked up by its key, and a request that is carried
        out very late can create it twice. Defaults to ``put``.
    :param fail_on: which outcome fails the task: ``any`` row that isn't as planned, ``none``, or a share of the plan's
        rows above which it fails, such as 0.01. Defaults to ``any``.
    :param settle: seconds until a write shows in the API. Defaults to 60.
    :param cloud_id: the cloud. Defaults to the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: the ``counts`` of rows by what became of them, the ``report``'s path, and the number of ``requests``.
    :raises AirflowFailException: if a retry can't help: rows that were rejected or in conflict, a plan that isn't
        approved, too old, changed or another cloud's, a first write that did what the plan doesn't say.

    https://docs.api.dotypos.com/api-reference/general/methods, …/etags
    """

    template_fields: Sequence[str] = ("plan", "digest", "approval", "cloud_id", "dotypos_conn_id")
    template_fields_renderers = {"approval": "json"}  # noqa: RUF012 (as Airflow declares it)
    ui_color = "#ffe3c2"

    def __init__(
        self,
        *,
        plan: str,
        digest: str,
        approval: Any = None,
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
        self.plan = plan
        self.digest = digest
        self.approval = approval
        self.max_age = max_age
        self.method = method
        self.create = create
        self.fail_on = fail_on
        self.settle = settle
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._written_approval = approval  # a template that renders to nothing is no approval
        self._hook: DotyposHook | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> dict[str, Any]:
        """Apply the plan, and return what became of its rows."""
        from airflow_provider_dotypos.api.retry import PUT_OFF_SOON
        from airflow_provider_dotypos.writes.plan_file import open_plan

        with airflow_failures(self.dotypos_conn_id, context, resumes=True):
            _check_digest(self.digest)
            self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id, patience=PUT_OFF_SOON)
            with closing(self._hook), open_plan(self.plan, self.digest) as plan:
                self._check_approved(plan.header, context)
                return self._hook.apply_plan(
                    plan,
                    max_age=self.max_age,
                    method=self.method,
                    create=self.create,
                    fail_on=self.fail_on,
                    settle=self.settle,
                )

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _check_approved(self, header: PlanHeader, context: Context) -> None:
        if self._written_approval is not None:
            check_mapped(self._written_approval, getattr(context.get("ti"), "map_index", -1))
            approval = check_approval(self.approval, header.made_at)
            self.log.info("The plan was approved by %s at %s.", approval.by, approval.at)

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        ApplyOptions(self.method, self.create, self.fail_on, self.settle, self.max_age)
        if "plan" in arguments:
            check_address(self.plan, "plan")
        if "digest" in arguments:
            _check_digest(self.digest)


def _check_digest(digest: object) -> None:
    if not isinstance(digest, str) or len(digest) != 64 or not digest.isalnum():
        raise DotyposInputError(
            f"digest must be the plan's digest, 64 hex digits, not {describe(digest)}: give what planning has returned"
        )
