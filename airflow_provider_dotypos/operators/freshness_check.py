"""Whether each branch sells, and if not: whether it is closed, its till is silent, or what was loaded is late."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.errors import DotyposApiError, DotyposInputError
from airflow_provider_dotypos.api.pos_errors import DotyposPosActionError, DotyposTillError
from airflow_provider_dotypos.api.retry_table import SILENT
from airflow_provider_dotypos.api.window import iso, milliseconds
from airflow_provider_dotypos.hooks import metrics
from airflow_provider_dotypos.operators.sales_check import SalesCheckOperator
from airflow_provider_dotypos.sales.arguments import read_branches
from airflow_provider_dotypos.sales.errors import DotyposFreshnessError
from airflow_provider_dotypos.sales.freshness import (
    CURES,
    FAIL_ON,
    VERDICTS,
    Branch,
    BranchState,
    FreshnessVerdict,
    judge_branch,
    spoken_span,
)
from airflow_provider_dotypos.sales.loaded_table import LoadedTable
from airflow_provider_dotypos.sales.newest_sales import ENTITY, NewestSales, ask_newest, sales_choice
from airflow_provider_dotypos.sales.opening_hours import FARTHEST, Holidays, OpeningHours, Weekly, milliseconds_of
from airflow_provider_dotypos.transfers.arguments import check_switches
from airflow_provider_dotypos.transfers.wording import count

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.hooks.dotypos import DotyposHook
    from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet
    from airflow_provider_dotypos.transfers.sql.tables import Naming
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

log = logging.getLogger(__name__)

#: How many branches an error names. The log and the result hold all of them.
_NAMED = 5

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
        "document_types",
        "cloud_id",
        "dotypos_conn_id",
    )
    ui_color = "#d9f2d9"

    def __init__(
        self,
        *,
        max_gap: timedelta | Mapping[int | str, timedelta] = timedelta(hours=1),
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
        if isinstance(self.fail_on, str) or not {*self.fail_on} <= {*VERDICTS}:
            raise DotyposInputError(
                f"fail_on must be a list of {', '.join(VERDICTS)}, not {self.fail_on!r} (no template)"
            )
        gaps = {*self.max_gap.values()} if isinstance(self.max_gap, Mapping) else {self.max_gap}
        if not all(isinstance(gap, timedelta) and gap > timedelta(0) for gap in gaps) or not gaps:
            raise DotyposInputError(
                f"max_gap must be a timedelta of more than 0, or a mapping of them, not {self.max_gap!r} (no template)"
            )
        if isinstance(self.max_gap, Mapping):
            read_branches([str(branch) for branch in self.max_gap if branch != "others"])
        if "branches" in arguments:
            read_branches(self.branches)
        if "document_types" in arguments:
            sales_choice(self.document_types)
        OpeningHours.of(self.opening_hours, self.timezone if "timezone" in arguments else "UTC", self.holidays)

    def _check(self, hook: DotyposHook, context: Context) -> dict[str, Any]:
        now = _now()
        hours = OpeningHours.of(self.opening_hours, self.timezone, self.holidays)
        client = hook.get_conn()
        cloud_id = client.settings.require_cloud_id()
        began_at = client.requests
        branches = self._branches(hook)
        newest, covered = self._newest(hook, hours, branches, cloud_id, now)
        states = []
        for branch in branches:
            last = newest.newest.get(branch.id)
            state = judge_branch(hours, branch, last, gap=self._gap(branch), now=now, covered=min(now, covered))
            states.append(self._with_till(hook, state) if state.verdict == "no sale" and self.ask_tills else state)
        for state in states:
            log.log(logging.WARNING if state.verdict in CURES else logging.INFO, "%s", state.line(hours.zone))
            self._send_age(state, hours, cloud_id, newest.begins, now)
        self._conclude(hours, states, covered, now)
        return {
            "fresh": not any(state.verdict in CURES for state in states),
            "cloud_id": cloud_id,
            "checked_at": iso(now),
            "covered_until": iso(min(now, covered)),
            "requests": client.requests - began_at,
            "branches": [state.as_mapping() for state in states],
        }

    def _conclude(self, hours: OpeningHours, states: Sequence[BranchState], covered: int, now: int) -> None:
        """Raise if branches have a verdict that fails the task.

        :raises DotyposFreshnessError: if so.
        """
        failing = [state for state in states if state.verdict in self.fail_on]
        if not failing:
            return
        lines = [state.line(hours.zone) for state in failing]
        more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
        cures = [CURES[verdict] for verdict in CURES if any(state.verdict == verdict for state in failing)]
        reached = ""
        if covered < now and any(state.verdict == "late data" for state in failing):
            reached = f" What was loaded reaches up to {iso(covered)}, {spoken_span(now - covered)} ago."
        raise DotyposFreshnessError(
            f"{len(failing)} of {count(len(states), 'branches')}: {'; '.join([*lines[:_NAMED], *more])}.{reached} "
            f"{' '.join(cures)}",
            [state.as_mapping() for state in failing],
        )

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

    def _gap(self, branch: Branch) -> int:
        """Return how many milliseconds of opening hours a branch may have no sale for."""
        gaps = self.max_gap
        if isinstance(gaps, Mapping):
            by_id = {str(id): gap for id, gap in gaps.items()}
            return milliseconds_of(by_id.get(str(branch.id), by_id.get("others", timedelta(hours=1))))
        return milliseconds_of(gaps)

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
        self, hook: DotyposHook, hours: OpeningHours, branches: Sequence[Branch], cloud_id: int, now: int
    ) -> tuple[NewestSales, int]:
        """Return the newest sales, and up to when they would be seen."""
        choice = sales_choice(self.document_types)
        if self.conn_id is not None:
            newest = NewestSales(choice, now - FARTHEST * _DAY, now + 1)
            return newest, self._read_table(newest, cloud_id, now)
        if self.destination is not None:
            return self._read_sets(hours, branches, cloud_id, now)
        newest = NewestSales(choice, 0, now + 1)
        wanted = {
            branch.id: hours.begin_of(branch.id, now, self._gap(branch))
            for branch in branches
            if hours.is_open(branch.id, now)
        }
        ask_newest(newest, wanted, lambda by, limit: hook.rows(ENTITY, filter=by, sort="-completed", limit=limit))
        return newest, now

    def _read_table(self, newest: NewestSales, cloud_id: int, now: int) -> int:
        """Add the newest sales of the table, and return up to when it is loaded."""
        from airflow_provider_dotypos.sales.table_sales import read_newest_in_table
        from airflow_provider_dotypos.transfers.sql.loads import Loads

        table = LoadedTable.of(ENTITY, self.table, self.schema, self.naming)
        with self._opened_database() as database:
            read_newest_in_table(database, table, newest, cloud_id)
            loads = Loads(database.dialect, self.staging_schema or self.schema or None)

            def reached(transaction: Transaction) -> Any:
                return loads.reached(transaction, str(table), cloud_id)

            until = database.run(reached, interruptible=True)
        return now if until is None else milliseconds(until)

    def _read_sets(
        self, hours: OpeningHours, branches: Sequence[Branch], cloud_id: int, now: int
    ) -> tuple[NewestSales, int]:
        """Return the newest sales of the sets below the destination, and up to when these reach."""
        from airflow_provider_dotypos.sales.set_sales import AHEAD, read_sets

        sets = self._sets_from_newest(cloud_id)
        newest_set = next(sets, None)
        if newest_set is None:
            raise DotyposInputError(
                f"no committed set of {ENTITY} of cloud {cloud_id} lies below {self.destination}: extract them first, "
                "or correct destination"
            )
        covered, first = newest_set
        until = min(now, covered)
        begins = min((hours.begin_of(branch.id, until, self._gap(branch)) for branch in branches), default=until)
        newest = NewestSales(sales_choice(self.document_types), begins, now + 1)
        read = [first]
        for end, committed in sets:
            if end <= begins - AHEAD:
                break
            read.append(committed)
        read_sets(read, newest, cloud_id)
        return newest, covered

    def _sets_from_newest(self, cloud_id: int) -> Iterator[tuple[int, CommittedSet]]:
        """Yield where sets of orders end, and the sets, the latest end first. Each is opened when it is its turn."""
        from airflow_provider_dotypos.lake.sets import find_committed, set_folders
        from airflow_provider_dotypos.storage.store import object_path
        from airflow_provider_dotypos.transfers.files.committed_set import read_manifest

        destination = object_path(str(self.destination), self.destination_conn_id)
        folders = set_folders(destination, cloud_id, ENTITY)
        for folder in sorted(folders, key=lambda folder: folder.window.until, reverse=True):
            lake_set = find_committed(destination, cloud_id, ENTITY, folder)
            if lake_set is not None and not lake_set.manifest.snapshot:
                yield folder.window.until, read_manifest(lake_set.store.folder)


def _now() -> int:
    """Return this moment, in epoch milliseconds."""
    return round(time.time() * 1000)
