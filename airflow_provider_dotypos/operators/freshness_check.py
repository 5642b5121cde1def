"""Whether each branch sells, and if not: whether it is closed, its till is silent, or what was loaded is late."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.errors import DotyposApiError, DotyposInputError
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.api.pos_errors import DotyposPosActionError, DotyposTillError
from airflow_provider_dotypos.api.retry_table import SILENT
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.hooks import metrics
from airflow_provider_dotypos.operators.sales_check import SalesCheckOperator
from airflow_provider_dotypos.sales.arguments import read_branches
from airflow_provider_dotypos.sales.freshness import (
    CURES,
    FAIL_ON,
    USUAL_GAP,
    Branch,
    BranchState,
    FreshnessVerdict,
    Gaps,
    check_fail_on,
    judge_branch,
    require_sales,
)
from airflow_provider_dotypos.sales.loaded_table import LoadedTable
from airflow_provider_dotypos.sales.newest_sales import ENTITY, NewestSales, ask_newest, sales_choice
from airflow_provider_dotypos.sales.opening_hours import FARTHEST, Holidays, OpeningHours, Weekly, milliseconds_of
from airflow_provider_dotypos.transfers.arguments import check_switches

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.hooks.dotypos import DotyposHook
    from airflow_provider_dotypos.transfers.sql.tables import Naming

log = logging.getLogger(__name__)

_DAY = milliseconds_of(timedelta(days=1))


class DotyposFreshnessCheckOperator(SalesCheckOperator):
    """Look for branches without a sale for too long, and find out why.

    Only opening hours count. A branch is ``fresh`` if it has sold something within `max_gap` of them, and ``closed`` if
    it hasn't and is closed now. Otherwise it has ``no sale``, or ``till silent`` if its till doesn't answer. If sales
    are those of a table or of files, and these don't reach far enough to tell, it has ``late data``.

    Without `conn_id` and `destination` the cloud is asked: by one request for the list of branches, one for the newest
    sales of all, and one for each open branch that isn't among those.

    :param max_gap: the longest time of opening hours without a sale, or a mapping of it by the ids of branches, with
        ``"others"`` for the rest. Defaults to an hour.
    :param opening_hours: hours by weekdays, such as ``{"mon-fri": "08:00-20:00", "sat": "08:00-12:00, 13:00-18:00"}``;
        by the id of a branch, a mapping of its own. Defaults to always open.
    :param timezone: IANA zone of the opening hours and holidays. Defaults to ``Europe/Prague``. (templated)
    :param holidays: days on which branches are closed: dates, or a function of a day and the id of a branch that
        returns whether it is closed. Defaults to none.
    :param branches: ids of the branches to check: one, comma-separated ones, or a list. Defaults to all branches of the
        cloud that aren't deleted. (templated)
    :param conn_id: Airflow connection of a database whose table is checked. (templated)
    :param table: the table of orders, or a view. Defaults to ``orders``. (templated)
    :param schema: the table's schema. Defaults to the connection's own. (templated)
    :param staging_schema: where `DotyposToSqlOperator` keeps its own tables, which say how far the table is loaded.
        Defaults to `schema`. (templated)
    :param naming: how the table's columns are named: ``snake``, or ``api``. Defaults to ``snake``.
    :param destination: the destination of an extraction, whose sets of orders are checked. (templated)
    :param destination_conn_id: Airflow connection of the files' store, where the path names none. (templated)
    :param shape: the digest at the end of the names of the sets' folders: sets of which shape are checked. Several if
        only their formats differ. Needed only if orders have sets of different shapes: other filters or fields.
        (templated)
    :param document_types: types of documents that count as sales, comma-separated or a list. Defaults to all but
        ``CASH_IN``, ``CASH_OUT``, ``EXTERNAL_INVOICE_PAYMENT`` and ``INVOICE_FROM_RECEIPTS``. (templated)
    :param ask_tills: whether the till of a branch without a sale is asked for its clock, which changes nothing.
        Defaults to ``True``.
    :param fail_on: verdicts that fail the task; ``()`` for none. Defaults to ``late data``, ``no sale`` and
        ``till silent``.
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection to Dotypos. (templated)
    :return: ``{"fresh", "cloud_id", "checked_at", "covered_until", "requests", "branches"}``: `fresh` is whether no
        branch has one of the three other verdicts, and a branch is
        ``{"branch_id", "name", "verdict", "last_sale", "open_for", "till"}``, with `open_for` in seconds of opening
        hours.
    :raises DotyposFreshnessError: if a verdict is one of `fail_on`. Airflow's retries check again.

    https://docs.api.dotypos.com/entity/order, /pos-actions
    """

    template_fields: Sequence[str] = (
        "timezone",
        "branches",
        "conn_id",
        "table",
        "schema",
        "staging_schema",
        "destination",
        "destination_conn_id",
        "shape",
        "document_types",
        "cloud_id",
        "dotypos_conn_id",
    )
    ui_color = "#d9f2d9"

    def __init__(
        self,
        *,
        max_gap: timedelta | Mapping[int | str, timedelta] = USUAL_GAP,
        opening_hours: Mapping[str | int, str | Weekly] | None = None,
        timezone: str = "Europe/Prague",
        holidays: Holidays = (),
        branches: int | str | Sequence[int | str] | None = None,
        conn_id: str | None = None,
        table: str | None = None,
        schema: str | None = None,
        staging_schema: str | None = None,
        naming: Naming = "snake",
        destination: str | None = None,
        destination_conn_id: str | None = None,
        shape: str | Sequence[str] | None = None,
        document_types: str | Sequence[str] | None = None,
        ask_tills: bool = True,
        fail_on: Collection[FreshnessVerdict] = FAIL_ON,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_gap = max_gap
        self.opening_hours = opening_hours
        self.timezone = timezone
        self.holidays = holidays
        self.branches = branches
        self.conn_id = conn_id
        self.table = table
        self.schema = schema
        self.staging_schema = staging_schema
        self.naming = naming
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.shape = shape
        self.document_types = document_types
        self.ask_tills = ask_tills
        self.fail_on = fail_on
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._check_arguments()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        super()._check_literals(arguments)
        if self.conn_id is not None and self.destination is not None:
            raise DotyposInputError("give conn_id or destination, or none of them to ask the cloud")
        check_switches(ask_tills=self.ask_tills)
        check_fail_on(self.fail_on)
        Gaps.of(self.max_gap)
        if "branches" in arguments:
            read_branches(self.branches)
        if "shape" in arguments:
            split_names(self.shape, "shape")
        if "document_types" in arguments:
            sales_choice(self.document_types)
        OpeningHours.of(self.opening_hours, self.timezone if "timezone" in arguments else "UTC", self.holidays)

    def _check(self, hook: DotyposHook, context: Context) -> dict[str, Any]:
        now = _now()
        hours, gaps = OpeningHours.of(self.opening_hours, self.timezone, self.holidays), Gaps.of(self.max_gap)
        client = hook.get_conn()
        cloud_id = client.settings.require_cloud_id()
        began_at = client.requests
        branches = self._branches(hook)
        newest, covered = self._newest(hook, hours, gaps, branches, cloud_id, now)
        states = []
        for branch in branches:
            last, gap = newest.newest.get(branch.id), gaps.of_branch(branch.id)
            state = judge_branch(hours, branch, last, gap=gap, now=now, covered=min(now, covered))
            states.append(self._with_till(hook, state) if state.verdict == "no sale" and self.ask_tills else state)
        for state in states:
            log.log(logging.WARNING if state.verdict in CURES else logging.INFO, "%s", state.line(hours.zone))
            self._send_age(state, hours, cloud_id, newest.begins, now)
        require_sales(states, self.fail_on, hours.zone, covered=covered, now=now)
        return {
            "fresh": not any(state.verdict in CURES for state in states),
            "cloud_id": cloud_id,
            "checked_at": iso(now),
            "covered_until": iso(min(now, covered)),
            "requests": client.requests - began_at,
            "branches": [state.as_mapping() for state in states],
        }

    def _send_age(self, state: BranchState, hours: OpeningHours, cloud_id: int, looked_from: int, now: int) -> None:
        """Send how old a branch's last sale is, or how far back was looked. While it is closed, that isn't an alert."""
        age = state.open_for
        if age is None:
            age = hours.open_for(state.branch.id, looked_from, now)
        seconds = 0 if state.verdict == "closed" else round(age / 1000)
        metrics.send("dotypos.sale.age", seconds, cloud=cloud_id, branch=state.branch.id)

    def _branches(self, hook: DotyposHook) -> list[Branch]:
        """Return which branches are checked. The cloud is asked for them, unless they are named."""
        if ids := read_branches(self.branches):
            return [Branch(id) for id in sorted(ids)]
        return sorted(Branch(int(row["id"]), str(row.get("name") or "")) for row in hook.rows("branches"))

    def _with_till(self, hook: DotyposHook, state: BranchState) -> BranchState:
        """Return a state with what the branch's till says."""
        from airflow_provider_dotypos.api.till import greet

        client = hook.get_conn()
        try:
            client.run(greet(client, str(state.branch.id), known=bool(state.branch.name)))
        except DotyposTillError as error:
            if error.reason == SILENT:
                return state._replace(verdict="till silent", till="silent")
        except (DotyposPosActionError, DotyposApiError) as error:
            # It takes no actions, or the token may send none: that says nothing of the till.
            log.info("%s: its till can't be asked: %s", state.branch, error)
            return state
        return state._replace(till="answers")

    def _newest(
        self, hook: DotyposHook, hours: OpeningHours, gaps: Gaps, branches: Sequence[Branch], cloud_id: int, now: int
    ) -> tuple[NewestSales, int]:
        """Return the newest sales, and up to when they would be seen."""
        choice = sales_choice(self.document_types)
        if self.conn_id is not None:
            newest = NewestSales(choice, now - FARTHEST * _DAY, now + 1)
            return newest, self._read_table(newest, cloud_id, now)

        def begin_of(branch: Branch, until: int) -> int:
            return hours.begin_of(branch.id, until, gaps.of_branch(branch.id))

        if self.destination is not None:
            from airflow_provider_dotypos.sales.set_sales import read_newest_in_sets, sets_below

            sets = sets_below(self.destination, self.destination_conn_id, cloud_id, ENTITY, self.shape)

            def begin_before(moment: int) -> int:
                return min((begin_of(branch, moment) for branch in branches), default=moment)

            return read_newest_in_sets(sets, choice, cloud_id, now, begin_before)
        newest = NewestSales(choice, 0, now + 1)
        wanted = {branch.id: begin_of(branch, now) for branch in branches if hours.is_open(branch.id, now)}
        ask_newest(newest, wanted, lambda by, limit: hook.rows(ENTITY, filter=by, sort="-completed", limit=limit))
        return newest, now

    def _read_table(self, newest: NewestSales, cloud_id: int, now: int) -> int:
        """Add the newest sales of the table, and return up to when it is loaded."""
        from airflow_provider_dotypos.sales.table_sales import loaded_until, read_newest_in_table

        table = LoadedTable.of(ENTITY, self.table, self.schema, self.naming)
        with self._opened_database() as database:
            read_newest_in_table(database, table, newest, cloud_id)
            until = loaded_until(database, table, cloud_id, self.staging_schema or self.schema)
        return now if until is None else until


def _now() -> int:
    """Return this moment, in epoch milliseconds."""
    return round(time.time() * 1000)
