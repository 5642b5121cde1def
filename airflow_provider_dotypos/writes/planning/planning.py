"""Making a plan: a source's rows against what the cloud holds by their keys. Nothing is written but the plan's file.

**Not there** is concluded by a look-up by key only (``look_up``). A whole list is read where that takes fewer requests,
or where no filter can ask for a key. Before a row is planned as a create its key is looked up all the same, as far as
filters can ask for it.

**All problems at once.** What is wrong with the source's rows alone costs no request. What shows only beside the
cloud's rows is looked for too, unless the first kind was met and the second would cost many requests: who mends a
source shouldn't pay for each try.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.budget import DotyposBudgetError, judge
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.costs import stream_requests
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.listing import ask_page
from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.api.query import MAX_LIMIT
from airflow_provider_dotypos.api.redaction import without_user
from airflow_provider_dotypos.api.retry_table import CONTRADICTION
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.api.streams import streams
from airflow_provider_dotypos.api.walk import Batch, Query
from airflow_provider_dotypos.api.window import OPEN_END, Window, iso, milliseconds
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.errors import DotyposLimitError, DotyposPlanError, Problem
from airflow_provider_dotypos.writes.judging import is_deleted
from airflow_provider_dotypos.writes.keys import Key, row_keys
from airflow_provider_dotypos.writes.look_up import Row, asked_index, can_be_asked, rows_by_key
from airflow_provider_dotypos.writes.plan import FORMAT, PlanHeader, PlannedRow
from airflow_provider_dotypos.writes.plan_file import PlanWriter
from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
from airflow_provider_dotypos.writes.planning.cloud_rows import CloudRows, new_cloud_rows
from airflow_provider_dotypos.writes.planning.deciding import decide
from airflow_provider_dotypos.writes.planning.table import headline, log_table, summary
from airflow_provider_dotypos.writes.price import price
from airflow_provider_dotypos.writes.read_all import ask_surely, read_all
from airflow_provider_dotypos.writes.sources.index import SourceIndex, index_source
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.source import Source

log = logging.getLogger(__name__)

#: Most requests that a source with problems is worth.
_WORTH = 10

#: What spares reading a whole list.
_MATCH_OTHERWISE = "Match by a field whose values a filter can ask for, such as id, so that not all rows are read"

#: Rows in the log's table, and in a summary.
_IN_LOG, _IN_SUMMARY = 100, 20


class MadePlan(NamedTuple):
    """A plan that was made.

    :param path: where its file is.
    :param header: its header.
    :param summary: what it does, as Markdown, without personal data.
    """

    path: str
    header: PlanHeader
    summary: str


def make_plan(client: DotyposClient, arguments: PlanArguments, source: Source, store: Store) -> MadePlan:
    """Make a plan and keep it.

    :param source: the rows that are wanted.
    :param store: the folder that gets the plan's file.
    :raises DotyposPlanError: if rows of the source are wrong: all problems of all rows at once.
    :raises DotyposLimitError: if the plan exceeds a limit.
    """
    before = client.requests
    planner = _Planner(client, arguments, source)
    try:
        return planner.make(store)
    except DotyposBudgetError as error:
        raise judge(error, client.requests - before, f"the rows of {source.name}", planner.cheaper) from None


class _Planner:
    """One plan in the making.

    :ivar cheaper: what makes it take fewer requests.
    """

    def __init__(self, client: DotyposClient, arguments: PlanArguments, source: Source) -> None:
        self._client = client
        self._arguments = arguments
        self._entity = arguments.entity
        self._source = source
        self._cloud_id = client.settings.require_cloud_id()
        self._problems = Problems()
        self._exceeded = 0  # how many of them are of limits
        self._counts: Counter[str] = Counter()
        self.cheaper = "Plan fewer rows at a time"

    def make(self, store: Store) -> MadePlan:
        """Make the plan; see `make_plan`."""
        arguments = self._arguments
        with index_source(
            self._source,
            self._entity,
            match=arguments.match,
            cloud_id=self._cloud_id,
            fields=arguments.fields,
            nulls=arguments.nulls,
            problems=self._problems,
        ) as index:
            self._counts["rows"] = len(index)
            if not self._problems:  # otherwise it may be empty because all of its rows are wrong
                self._note(arguments.limits.check_source(len(index)))
                self._check_fields(index)
            if len(index) > _WORTH * MAX_LIMIT:
                self._raise_problems()
            with new_cloud_rows() as cloud, PlanWriter(store) as writer:
                if len(index):
                    self._read_cloud(index, cloud)
                for planned in self._planned(index, cloud):
                    writer.add(planned)
                return self._finish(writer, index.digest)

    def _check_fields(self, index: SourceIndex) -> None:
        """Note a source of keys alone: it would change nothing, and look as if all was well."""
        matched = (*self._arguments.match, "_cloudId", "deleted")
        named = {*(self._arguments.fields or index.fields)}
        if len(index) and self._arguments.actions == ("update",) and named.issubset(matched):
            about = ", ".join(self._arguments.match)
            what = (
                f"there is nothing to write: no field but {about}, by which rows are matched; add columns to the source"
            )
            self._problems.add(Problem(None, None, what))

    def _read_cloud(self, index: SourceIndex, cloud: CloudRows) -> None:
        """Read the cloud's rows with the source's keys."""
        match = self._arguments.match
        if self._reads_whole(len(index)):
            log.info(
                "Reading all %s: looking up %s keys takes more, or can't be done.", self._entity.name, f"{len(index):,}"
            )

            count = 0

            def take(batch: Batch) -> None:
                nonlocal count
                count += len(batch.rows)
                rows = map(decode_row, batch.rows)
                cloud.put((key, row) for row in rows for key in row_keys(self._entity, match, row))

            self._client.run(read_all(self._client, self._entity, take))
            if not count and self._rows_in_all:  # a gateway that finds no server answers as an empty list does
                raise DotyposResponseError(f"{self._entity.name} came empty, and aren't", reason=CONTRADICTION)
            if "create" in self._arguments.actions:
                self._look_up((row.key for row in index.rows() if not cloud.find(row.key)), cloud)
            return
        self._look_up((row.key for row in index.rows()), cloud)
        if others := [row.key for row in index.rows() if not self._can_be_asked(row.key)]:
            self.cheaper = _MATCH_OTHERWISE
            rows = self._client.run(self._rows_by_key(others))
            cloud.put((key, row) for key, same in rows.items() for row in same)

    def _look_up(self, keys: Iterable[Key], cloud: CloudRows) -> None:
        """Read the rows of keys, as far as filters can ask for them."""
        for rows in self._looked_up(key for key in keys if self._can_be_asked(key)):
            cloud.put((key, row) for key, same in rows.items() for row in same)

    def _looked_up(self, keys: Iterator[Key]) -> Iterator[Mapping[Key, list[Row]]]:
        """Yield the rows of keys, a hundred keys at a time. Threads ask, as many as the connection allows."""
        concurrency = self._client.settings.max_concurrency
        asked: deque[Future[dict[Key, list[Row]]]] = deque()
        with ThreadPoolExecutor(concurrency, "dotypos-plan") as pool:
            try:
                while batch := [*itertools.islice(keys, MAX_LIMIT)]:
                    asked.append(pool.submit(self._client.run, self._rows_by_key(batch)))
                    if len(asked) > 2 * concurrency:
                        yield asked.popleft().result()
                while asked:
                    yield asked.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _rows_by_key(self, keys: Iterable[Key]) -> Flow[dict[Key, list[Row]]]:
        """Return the flow that returns the rows with some keys. Of customers also deleted ones hold personal data."""
        match = self._arguments.match
        actions = self._arguments.actions
        all_deleted = "anonymize" in actions and match != ("id",)
        surely = "create" in actions
        return rows_by_key(self._client, self._entity, match, keys, all_deleted=all_deleted, surely=surely)

    def _reads_whole(self, keys: int) -> bool:
        """Return whether the whole list is read, by the requests that it takes."""
        if asked_index(self._entity, self._arguments.match, ()) is None:
            self.cheaper = _MATCH_OTHERWISE
            return True
        by_key = -(-keys // MAX_LIMIT)
        live, *others = streams(self._entity, Window(None, OPEN_END))
        if by_key <= 1 + len(others):
            return False
        total = self._rows_in_all
        return total is not None and stream_requests(self._entity, live, total) + len(others) < by_key

    def _planned(self, index: SourceIndex, cloud: CloudRows) -> Iterator[PlannedRow]:
        """Yield the planned rows, and note what is wrong with them."""
        first_rows: dict[str, tuple[int, bool]] = {}
        by_list = any(self._entity.field(name).type.endswith("[]") for name in self._arguments.match)
        for source in index.rows():
            self._note_vat(source.number, source.values.get("vat"))
            rows = cloud.find(source.key)
            planned, problems = decide(self._arguments, self._cloud_id, source, rows)
            for problem in problems:
                self._problems.add(problem)
            ids = [str(row["id"]) for row in rows if not is_deleted(row)]
            if by_list and len(ids) == 1:
                first, changes = first_rows.setdefault(ids[0], (source.number, planned is not None))
                if first != source.number and (changes or planned is not None):
                    why = f"row {first} of the source is about the same row"
                    planned = PlannedRow("conflict", source.key, source.number, why=why)
            if planned is None:
                self._counts["unchanged"] += 1
                continue
            self._counts[planned.op] += 1
            self._note(self._arguments.limits.check_row(self._entity, planned))
            yield planned

    def _finish(self, writer: PlanWriter, source_digest: str) -> MadePlan:
        """Check the plan as a whole, log it, and keep it."""
        limits = self._arguments.limits
        total = self._rows_in_all if limits.needs_total(self._counts) else None
        self._note(limits.check_counts(self._counts, total))
        settings = self._client.settings
        header = PlanHeader(
            format=FORMAT,
            provider=__version__,
            cloud_id=self._cloud_id,
            base_url=settings.base_url,
            entity=self._entity.name,
            match=self._arguments.match,
            made_at=iso(milliseconds(datetime.now(timezone.utc))),
            source_digest=source_digest,
            counts=dict(self._counts),
            limits={name: getattr(limits, name) for name in limits.__struct_fields__},
            requests=price(self._entity, self._counts),
            salt=secrets.token_hex(16),
        )
        if len(self._problems) > self._exceeded:
            self._raise_problems()
        if rows := log_table(self._entity, header, writer.rows(), _IN_LOG):
            log.info("The plan:\n%s", rows)
        self._raise_problems()
        path, header = writer.commit(header)
        what = headline(self._entity, header, settings.cloud, settings.request_budget)
        log.info("Planned for %s The plan is in %s.", what, without_user(path))
        return MadePlan(path, header, summary(self._entity, header, writer.rows(), what, _IN_SUMMARY))

    def _raise_problems(self) -> None:
        """Raise what is wrong with rows, and which limits they exceed, if anything is."""
        only_limits = len(self._problems) == self._exceeded
        self._problems.raise_any(self._source.name, DotyposLimitError if only_limits else DotyposPlanError)

    def _note(self, exceeded: Iterable[Problem]) -> None:
        for problem in exceeded:
            self._problems.add(problem)
            self._exceeded += 1

    def _note_vat(self, number: int, vat: Any) -> None:
        if vat is not None and not self._arguments.limits.any_vat:
            for problem in self._arguments.limits.check_vat(number, vat, self._rates):
                self._problems.add(problem)

    @cached_property
    def _rates(self) -> frozenset[Decimal]:
        """The cloud's VAT rates, in percent."""
        return self._client.run(_tax_rates(self._client))

    @cached_property
    def _rows_in_all(self) -> int | None:
        """How many rows of the cloud aren't deleted; ``None`` if the API doesn't say it."""
        return self._client.run(_count(self._client, self._entity.url_path()))

    def _can_be_asked(self, key: Key) -> bool:
        index = asked_index(self._entity, self._arguments.match, (key,))
        return index is not None and can_be_asked(key[index])


def _count(client: DotyposClient, path: str) -> Flow[int | None]:
    """Return the flow that returns how many rows a list has."""
    page = yield from ask_page(client, path, {"limit": "1", "page": "1"})
    return page.total if page.rows else 0


def _tax_rates(client: DotyposClient) -> Flow[frozenset[Decimal]]:
    """Return the flow that returns the cloud's VAT rates, in percent."""
    taxes = find_entity("taxes")
    page = yield from ask_surely(client, taxes, taxes.url_path(), Query(()))
    return frozenset(Decimal(str(row["value"])) for row in map(decode_row, page.rows) if row.get("value") is not None)
