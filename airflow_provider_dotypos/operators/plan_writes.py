"""A plan of what is to be written to a cloud, made by a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, given, literals, refuse_empty
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.writes.keys import check_match
from airflow_provider_dotypos.writes.planning.arguments import (
    PlanArguments,
    check_actions,
    check_currency,
    check_entity,
    check_fields,
    check_nulls,
)
from airflow_provider_dotypos.writes.planning.limits import Limits
from airflow_provider_dotypos.writes.sources import source_of

if TYPE_CHECKING:
    from airflow.sdk import Context


#: Arguments without which a plan is for another cloud, writes more fields, or checks less.
NARROWING = ("cloud_id", "fields", "currency")


class DotyposPlanWritesOperator(BaseOperator):
    """Plan what has to be written to a cloud so that its rows are as a source says. Nothing is written.

    Rows are matched by the fields of `match`, and compared field by field. The plan is a file, which
    ``DotyposApplyPlanOperator`` applies. The task's log shows it as a table, with marks in place of personal data. The
    file holds the values, so on a disk only its owner can read it.

    Every problem of every row of the source is in one error. A plan that exceeds a limit isn't kept.

    :param entity: the entity whose rows are to be written, such as ``products``. (templated)
    :param source: the rows that are wanted: a list of dicts, such as another task's result; the path of a file
        (``.jsonl``, ``.csv``, ``.parquet``); ``Sql(conn_id, query)``, whose query may be the path of a ``.sql`` file
        beside the DAG; or a committed set: the result of a transfer, or its manifest's path. (templated)
    :param match: the fields that tell rows apart, as one text with commas or as several: ``externalId``, for instance,
        or ``id``. (templated)
    :param plan: the folder that gets the plan's file: an absolute path or an address, best with ``{{ run_id }}`` in it.
        (templated)
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
    :param cloud_id: the cloud. Defaults to the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: the ``plan``'s path, its ``digest``, the ``counts`` of rows, the ``requests`` that applying it takes, and a
        ``summary`` for people, in Markdown and without personal data.
    :raises AirflowFailException: if a retry can't help: wrong rows, an exceeded limit, a refused token.

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
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._given = given(self, NARROWING)
        self._hook: DotyposHook | None = None
        with argument_errors(self):
            check_plan_literals(literals(self))

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the plan, and return where it is and what it does."""
        with airflow_failures(self.dotypos_conn_id, context):
            refuse_empty(self, NARROWING, self._given)
            self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id)
            with closing(self._hook):
                return self._hook.plan_writes(
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

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()


def check_plan_literals(arguments: Mapping[str, Any]) -> None:
    """Raise if an argument of a plan that holds no template is wrong, by the code that checks it when the task runs.

    :param arguments: those of an operator's arguments that hold no template.
    :raises DotyposInputError: if one is wrong, or if they don't fit each other.
    """
    check_connection(arguments)
    if "plan" in arguments:
        check_address(arguments["plan"], "plan")
    if "source" in arguments and not _is_set(arguments["source"]):
        source_of(arguments["source"])
    if "nulls" in arguments:
        check_nulls(arguments["nulls"])
    if "limits" in arguments:
        Limits.of(arguments["limits"])
    if "currency" in arguments:
        check_currency(arguments["currency"])
    if "entity" in arguments:
        entity = check_entity(arguments["entity"])
        checks = {"match": check_match, "actions": check_actions, "fields": check_fields}
        for name, check in checks.items():
            if name in arguments:
                check(entity, arguments[name])
        if {"match", "actions", "fields"} <= arguments.keys():
            names = ("match", "actions", "fields", "currency")
            PlanArguments.of(entity.name, **{name: arguments[name] for name in names if name in arguments})


def resolved(source: Any) -> Any:
    """Return what an operator's `source` gives, with the committed set in place of its manifest's path.

    :param source: the argument; a transfer's result stands for its newest set.
    """
    if not _is_set(source):
        return source
    from airflow_provider_dotypos.transfers.manifest import read_manifest

    return read_manifest(source["manifest"] if isinstance(source, Mapping) else source)


def _is_set(source: Any) -> bool:
    """Return whether a source is a committed set: a transfer's result, or the path of a manifest."""
    if isinstance(source, Mapping):
        return "manifest" in source
    name = str(source).rstrip("/").rpartition("/")[2] if isinstance(source, str) else ""
    return name.startswith("_manifest-") and name.endswith(".json")
