"""The hook's ways to write what was planned, and to change one row."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.window import SETTLE
from airflow_provider_dotypos.hooks import metrics
from airflow_provider_dotypos.hooks.part import HookPart
from airflow_provider_dotypos.writes.applying.options import MAX_AGE, ApplyOptions, Create, FailOn, Method
from airflow_provider_dotypos.writes.errors import DotyposWritesFailedError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.writes.plan_file import Plan


class ApplyCalls(HookPart):
    """Writes of planned rows, and of one row. A part of ``DotyposHook``."""

    def apply_plan(
        self,
        plan: str | ObjectStoragePath | Plan,
        digest: str | None = None,
        *,
        max_age: timedelta = MAX_AGE,
        method: Method = "auto",
        create: Create = "put",
        fail_on: FailOn = "any",
        settle: float = SETTLE,
    ) -> dict[str, Any]:
        """Write what a plan says, each row once, and nobody's edit overwritten.

        A row that somebody has changed since the plan was made is a conflict, and stays as it is. If it ends in
        between, apply the same plan again: what is done isn't done again.

        :param plan: the plan's path, as `plan_writes` has returned it, or a plan from ``open_plan``.
        :param digest: the digest that it must have. Defaults to any.
        :param max_age: the age up to which a plan is applied. Defaults to a day.
        :param method: how rows are written: ``patch``, row by row; ``put``, by lists; ``auto``, by what fits the number
            of rows and the request budget. Defaults to ``auto``.
        :param create: how rows are created: ``put``, under an id that follows from the key, exactly once; ``post``,
            where the API takes no ids of ours: a row whose answer is lost is looked up by its key, and a request that
            is carried out very late can create it twice. Defaults to ``put``.
        :param fail_on: which outcome is an error: ``any`` row that isn't as planned, ``none``, or a share of the plan's
            rows above which it is one, such as 0.01. Defaults to ``any``.
        :param settle: seconds until a write shows in the API. Defaults to 60.
        :return: the ``counts`` of rows by what became of them, the path of the ``report`` on each row, which lies
            beside the plan, and the number of ``requests``.
        :raises DotyposPlanError: if the plan is another cloud's, too old, or not as it was made.
        :raises DotyposSideEffectError: if the first write did what the plan doesn't say. Nothing more is written.
        :raises DotyposWritesFailedError: if rows aren't as planned, as `fail_on` says.

        https://docs.api.dotypos.com/api-reference/general/methods, …/etags
        """
        from airflow_provider_dotypos.writes.applying.applying import apply_plan
        from airflow_provider_dotypos.writes.plan_file import Plan, open_plan

        with self._errors():
            options = ApplyOptions(method, create, fail_on, settle, max_age)
            with nullcontext(plan) if isinstance(plan, Plan) else open_plan(plan, digest) as opened:
                header = opened.header
                counts: Mapping[str, int] = {}
                try:
                    applied = apply_plan(self.get_conn(), opened, options)
                    counts = applied.counts
                except DotyposWritesFailedError as error:
                    counts = error.counts
                    raise
                finally:
                    metrics.send_verdicts(header.cloud_id, header.entity, counts)
                return applied._asdict()

    def patch(
        self,
        entity: str,
        id: int | str,
        changes: Mapping[str, Any],
        *,
        expected: Mapping[str, Any] | None = None,
        settle: float = SETTLE,
    ) -> dict[str, Any]:
        """Change fields of one row, unless somebody else changes them, and return the row as it is then.

        The row is read, and written with the ETag of this read. If an answer is lost, or the row was edited in between,
        it is read again: what is done isn't done again, and edits of other fields are kept.

        :param entity: the row's entity, such as ``products``.
        :param id: the row's id.
        :param changes: the fields and what they are to hold, such as ``{"priceWithVat": Decimal("49.90")}``. ``None``
            clears a field.
        :param expected: what fields among `changes` hold, as far as you know. If one holds something else, nothing is
            written. Defaults to what they hold when the row is read.
        :param settle: seconds until a write shows in the API. Defaults to 60.
        :raises DotyposPlanError: if a field can't be changed so.
        :raises DotyposWritesFailedError: if the row isn't as wanted in the end: somebody changed it, or the API refuses
            it or doesn't take it.

        https://docs.api.dotypos.com/api-reference/general/methods, …/etags
        """
        from airflow_provider_dotypos.writes.applying.patch import patch

        with self._errors():
            client = self.get_conn()
            return client.run(patch(client, entity, id, changes, expected=expected, settle=settle))
