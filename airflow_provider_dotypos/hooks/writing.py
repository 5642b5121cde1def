"""Writing back, as methods of the hook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.hooks.part import HookPart

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.writes.sources import AnySource


class PlanCalls(HookPart):
    """Planning writes. A part of ``DotyposHook``."""

    def plan_writes(
        self,
        entity: str,
        source: AnySource,
        match: str | Sequence[str],
        plan: str | ObjectStoragePath,
        *,
        actions: str | Sequence[str] = ("update",),
        fields: str | Sequence[str] | None = None,
        nulls: str = "keep",
        limits: Mapping[str, Any] | None = None,
        currency: str | None = None,
    ) -> dict[str, Any]:
        """Compare rows with what the cloud holds by their keys, and keep what is to be written as a plan.

        Nothing is written to the cloud. The plan's file holds the values, so on a disk only its owner can read it.

        :param entity: the entity whose rows are to be written, such as ``products``.
        :param source: the rows that are wanted: an iterable of mappings, the path of a file (``.jsonl``, ``.csv``,
            ``.parquet``), ``Sql(conn_id, query)``, or anything with ``rows()``, such as a committed set.
        :param match: the fields that tell rows apart, such as ``externalId``, or ``id``.
        :param plan: the folder that gets the plan's file: an absolute path or an address.
        :param actions: what may be done: ``update``, ``create``; ``delete`` or ``anonymize`` (customers) alone.
            Defaults to ``update``.
        :param fields: the fields to be written. Defaults to all that the source has.
        :param nulls: what a null of the source means: the field is left as it is (``keep``) or cleared (``clear``).
        :param limits: limits that differ from the defaults, such as ``{"changes": 0.5}``.
        :param currency: the currency of the source's prices. A price of a row in another one is a conflict.
        :return: the ``plan``'s path, its ``digest``, the ``counts`` of rows, the ``requests`` that applying it takes,
            and a ``summary`` for people, in Markdown and without personal data.
        :raises DotyposPlanError: if rows of the source are wrong; it names every problem of every row.
        :raises DotyposLimitError: if the plan exceeds a limit.

        https://docs.api.dotypos.com/api-reference/general/methods
        """
        from airflow_provider_dotypos.storage.store import Store, object_path
        from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
        from airflow_provider_dotypos.writes.planning.planning import make_plan
        from airflow_provider_dotypos.writes.sources import source_of

        with self._errors():
            arguments = PlanArguments.of(
                entity, match, actions=actions, fields=fields, nulls=nulls, limits=limits, currency=currency
            )
            folder = object_path(plan, argument="plan")
            made = make_plan(self.get_conn(), arguments, source_of(source), Store(folder))
        self._report(entity)
        return {
            "plan": made.path,
            "digest": made.header.digest,
            "counts": dict(made.header.counts),
            "requests": dict(made.header.requests),
            "summary": made.summary,
        }
