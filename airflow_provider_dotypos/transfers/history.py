"""The first read of orders, their items and their payments, at the price of the orders alone.

Orders are walked once, with their items and payments nested in them. The sets of all three are made of what came.
``docs/background/nested-history.md`` says why no row is lost and none is doubled.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposPermissionError, DotyposValidationError
from airflow_provider_dotypos.api.list_log import list_log, speaking_of
from airflow_provider_dotypos.api.page import SECOND, decode_row
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple
from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.api.window import SETTLE, Window
from airflow_provider_dotypos.storage.patience import StorePatience
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.arguments import HISTORY_LISTS
from airflow_provider_dotypos.transfers.crew import Crew
from airflow_provider_dotypos.transfers.engine import Engine, extract, fill
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.manifest import Committed, find_set
from airflow_provider_dotypos.transfers.files.nested import (
    NESTED_FORMAT,
    PAYMENTS_OF_ORDERS,
    NestedError,
    NestedRow,
    NestedSet,
)
from airflow_provider_dotypos.transfers.files.sink import FileSink, set_folder
from airflow_provider_dotypos.transfers.piece_writer import PartAge, PieceWriter
from airflow_provider_dotypos.transfers.progress import Progress
from airflow_provider_dotypos.transfers.rows.columns import Columns
from airflow_provider_dotypos.transfers.selection import Selection, Slice
from airflow_provider_dotypos.transfers.sink import Walked
from airflow_provider_dotypos.transfers.wording import spoken

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.api.reading import Reader

log = list_log(__name__)

ORDERS = HISTORY_LISTS[0]

#: Where nested orders lie below the destination, until the sets that are made of them are committed.
NESTED_FOLDER = "_nested"

#: Which rows of an entity are read by its own list, because they come nested in no order.
_WITHOUT_ORDER: Mapping[str, Slice] = {
    "money-logs": Slice("without-order", ("transactionType", "notin", ",".join(PAYMENTS_OF_ORDERS))),
}

#: Rows that are asked for at once of the orders with the longest lists, and how many of these orders there are at most.
#: As many orders without children are asked for with them, out of so many.
_SAMPLE = 50
_SEARCHED = 1000

_WRITTEN_AT_ONCE = 2000


@dataclass(frozen=True)
class HistoryList:
    """One of the lists that a history consists of.

    :param selection: what to read of it.
    :param reader: reads it. An error of the list cancels it, and no other list's.
    :param begin: begins an attempt to commit its set.
    """

    selection: Selection
    reader: Reader
    begin: Callable[[], FileSink]

    @property
    def name(self) -> str:
        """The entity's name."""
        return self.selection.entity.name


def why_not_nested(windows: Mapping[str, Window]) -> str | None:
    """Return why a history can't be read from nested lists, or ``None`` if it can.

    :param windows: of the lists that are to be read, by entity.
    """
    windows = {name: windows[name] for name in HISTORY_LISTS if name in windows}
    if ORDERS not in windows or len(windows) == 1:
        return "not all of them have something to read"
    if any(window.since is not None for window in windows.values()):
        return (
            "not all of them begin at the beginning. In a later window, items may change whose order doesn't, and "
            "orders wouldn't bring them"
        )
    if len(set(windows.values())) > 1:
        return "their windows differ"
    return "their window ends within a second" if windows[ORDERS].until % SECOND else None


class NestedHistory:
    """Extracts orders, items and payments from the beginning up to one time, by one walk over orders.

    :param names: the entities to extract: ``orders``, and ``order-items``, ``money-logs`` or both.
    :param window: from the beginning. It ends at a whole second.
    :param reader: walks the nested orders. The API may refuse to nest them, and an error cancels it; so no list has it.
    :param destination: below which the nested orders lie meanwhile.
    :param settle: seconds that a change may need to show in the API.
    :param personal_data: whether the nested orders hold personal data.
    :param patience: how long an object store that fails is asked again.
    :param overwrite: whether sets are replaced. Then nested orders that another task instance has left aren't used.
    :param try_number: see `Attempt.begin`, as for `origin`.
    """

    def __init__(
        self,
        names: Collection[str],
        window: Window,
        reader: Reader,
        destination: ObjectStoragePath,
        *,
        settle: float = SETTLE,
        personal_data: bool = True,
        patience: StorePatience | None = None,
        overwrite: bool = False,
        try_number: int = 1,
        origin: str = "",
    ) -> None:
        self.reader = reader
        self._window = window
        self._settle = settle
        self._patience = patience
        self._overwrite = overwrite
        self._try_number = try_number
        self._origin = origin
        include = [field for field, child in find_entity(ORDERS).includes.items() if child.entity in names]
        selection = Selection.of(
            ORDERS, cloud_id=reader.cloud_id, include=",".join(include), flatten=True, personal_data=personal_data
        )
        self._selection = replace(selection, open_end=True)
        self._folder = destination / NESTED_FOLDER / set_folder(self._selection, window, NESTED_FORMAT)
        self._walk: Future[NestedSet | None] = Future()
        self._walks = threading.Lock()

    def extract(self, each: HistoryList, crew: Crew) -> Committed:
        """Commit the set of a list, and return it; one that exists is kept.

        The first list that needs the nested orders has them walked. They are walked once, however often this is tried.

        :param crew: whose thread this is.
        """
        sink = each.begin()
        try:
            nested = None if sink.finished is not None else self._nested_orders(crew)
            if nested is not None:
                return fill(sink, lambda: self._write(each, sink, nested, crew), each.reader)
        except NestedError as problem:
            log.warning("%s. So %s are read by themselves.", problem, spoken(each.name))
            sink = each.begin()
        except FileNotFoundError:  # another try has committed all sets, and removed the nested orders then
            sink = each.begin()
            if sink.finished is None:
                raise
        return extract(each.selection, self._window, each.reader, sink, settle=self._settle, crew=crew)

    def _nested_orders(self, crew: Crew) -> NestedSet | None:
        """Return the nested orders, once a thread has walked them; ``None`` if the API refuses to nest."""
        if self._walks.acquire(blocking=False):
            try:
                with speaking_of(ORDERS):
                    self._walk.set_result(self._read_nested(crew))
            except BaseException as error:
                self._walk.set_exception(error)
            crew.notify()
        else:
            crew.help(self._walk.done)
            if (failure := self._walk.exception()) is not None:
                raise copy.copy(failure)  # each list has its own
        return self._walk.result()

    def clean_up(self) -> None:
        """Remove the nested orders. Only once all sets are committed and noted: until then they are made of these."""
        Store(self._folder, self._patience).remove()

    def _read_nested(self, crew: Crew) -> NestedSet | None:
        """Walk the orders, unless an earlier attempt has."""
        sink = FileSink.begin(
            self._folder,
            self._selection,
            self._window,
            NESTED_FORMAT,
            overwrite=self._overwrite and not self._has_nested(),
            patience=self._patience,
            try_number=self._try_number,
            origin=self._origin,
        )
        log.info("Orders are read together with their %s.", " and ".join(map(spoken, self._selection.children)))
        try:
            # An item may be dated before its order, by the time that a change needs to show. So twice that time has to
            # pass, until all orders show whose items lie before the window's end.
            extract(self._selection, self._window, self.reader, sink, settle=2 * self._settle, crew=crew)
        except (DotyposPermissionError, DotyposValidationError) as refusal:
            log.warning("Orders can't be read with nested lists, so each list is read by itself: %s", refusal)
            return None
        try:
            return NestedSet(read_manifest(self._folder, verify=True))
        except DamagedSetError as damage:
            self.clean_up()
            cure = "They were removed. Run the task again: it reads orders anew"
            raise DamagedSetError(f"nested orders that an earlier try left are damaged. {cure} ({damage})") from None

    def _has_nested(self) -> bool:
        """Return whether an earlier try of this task instance has walked the orders."""
        nested = find_set(Store(self._folder, self._patience))
        return nested is not None and {part.origin for part in nested.manifest.parts} == {self._origin}

    def _write(self, each: HistoryList, sink: FileSink, nested: NestedSet, crew: Crew) -> Walked:
        """Write the nested rows of a list, and those that are nested in no order.

        :raises NestedError: if that isn't all that the list holds.
        """
        if each.name == ORDERS:
            _write_rows(nested.orders(), sink, each.reader)
            tail = Window(nested.until, nested.settled) if nested.settled > nested.until else None
            return Walked(tail, nested.manifest.requests)
        others = 0
        if each.name in _WITHOUT_ORDER:
            selection = replace(each.selection, slice=_WITHOUT_ORDER[each.name])
            Engine(selection, each.reader, sink, self._settle, Progress, crew).walk(self._window)
            others = sum(part.rows for part in sink.attempt.parts if part.high is not None)
        _NestedCheck(each, nested, self._selection.children[each.name]).check(others)
        _write_rows(nested.children(each.name), sink, each.reader)
        return Walked(None, each.reader.requests)


def _write_rows(rows: Iterator[NestedRow], sink: FileSink, reader: Reader) -> None:
    """Write rows into parts without a range: no attempt may take them for what a walk has read."""
    piece = Piece(Stream("nested", (), None), None, 0)
    with PieceWriter(piece, sink.open(piece), sink.max_part_bytes, PartAge()) as writer:
        while chunk := list(itertools.islice(rows, _WRITTEN_AT_ONCE)):
            reader.check_cancelled()
            writer.take(Batch([row.row for row in chunk], [row.id for row in chunk], None))
        writer.end()


class _NestedCheck:
    """Compares nested rows with what their own list shows, by one or two requests.

    Every row that the list shows before the window's end has come with its order: a row that changes leaves the window,
    and none comes into it. So what the list shows, and didn't come, was not nested.

    :param columns: which fields came.
    """

    def __init__(self, each: HistoryList, nested: NestedSet, columns: Columns) -> None:
        self._name = name = each.name
        self._entity = each.selection.entity
        self._parent = next(c.parent for c in find_entity(ORDERS).includes.values() if c.entity == name)
        self._nested = nested
        self._columns = columns
        self._reader = each.reader
        self._cursor = self._entity.cursors[0]
        self._below: Triple = (self._cursor, "lt", str(nested.until))

    def check(self, others: int) -> None:
        """Raise unless the nested rows are what the list holds, as far as a few requests show.

        Where the API counts the list, its total decides. Elsewhere a page from the middle is compared, and the lists of
        those orders that have the most children, and of some that have none: if lists are cut or missing, these are.

        :param others: rows that came otherwise.
        :raises NestedError: if they aren't.
        """
        total, expected = self._look()
        looked_at, rows = len(expected), 0
        longest: list[tuple[int, int, str, list[str]]] = []
        childless = self._some_orders()
        by_order = itertools.groupby(self._nested.children(self._name), key=lambda row: row.parent)
        for number, (order, children) in enumerate(by_order):
            ids = []
            childless.pop(order, None)
            for child in children:
                rows += 1
                ids.append(child.id)
                if child.id in expected and self._content(child.row) != self._content(expected.pop(child.id)):
                    raise NestedError(f"A row of {self._name} isn't the same when an order nests it")
            if order not in self._nested.changed:
                heapq.heappush(longest, (len(ids), number, order, ids))
                if len(longest) > _SAMPLE:
                    heapq.heappop(longest)
        if expected:
            raise NestedError(
                f"Orders nest {looked_at - len(expected)} of {looked_at} {self._name} that were looked at"
            )
        if total is None:
            self._check_suspects(sorted(longest, reverse=True), list(childless)[:_SAMPLE])
        elif total > rows + others:
            raise NestedError(f"The API counts {total:,} {self._name}, and {rows + others:,} came")

    def _look(self) -> tuple[int | None, dict[str, msgspec.Raw]]:
        """Return how many rows the list holds, if the API counts them, and some of those that orders should nest."""
        page = self._reader.page(self._entity, (self._below, *self._from_the_middle()))
        if not page.rows:
            page = self._reader.page(self._entity, (self._below,))
        rows = {
            id: row
            for id, row in zip(page.ids, page.rows, strict=True)
            if decode_row(row).get("transactionType") in (None, *PAYMENTS_OF_ORDERS)
        }
        return page.total if self._entity.totals else None, rows

    def _from_the_middle(self) -> tuple[Triple, ...]:
        """Return the condition for the later half of a list that the API doesn't count."""
        if self._entity.totals or self._nested.middle is None:
            return ()
        return ((self._cursor, "gteq", str(self._nested.middle)),)

    def _some_orders(self) -> dict[str, None]:
        """Return the ids of orders from all of the window, but of those that came more than once."""
        orders = (order.id for order in self._nested.orders() if order.id not in self._nested.changed)
        step = max(1, self._nested.manifest.rows // _SEARCHED)
        return dict.fromkeys(itertools.islice(orders, None, None, step))

    def _check_suspects(self, longest: Sequence[tuple[int, int, str, list[str]]], childless: Sequence[str]) -> None:
        """Raise unless orders nest all that the list shows of those which have the most, and of those which have none.

        :param longest: the number of children, any number, the order and the ids of its children; the longest first.
        :param childless: orders that nest nothing.
        """
        orders: list[str] = []
        ids: set[str] = set()
        for length, _, order, children in longest:
            if orders and len(ids) + length > _SAMPLE:
                break
            orders.append(order)
            ids.update(children)
        orders.extend(childless)
        if not orders:
            return
        conditions = (self._below, (self._parent, "in", ",".join(orders)))
        for number in range(1, len(ids) // MAX_LIMIT + 2):
            page = self._reader.page(self._entity, conditions, number)
            if not page.rows:  # a gateway in trouble may answer alike, and hide what isn't nested
                page = self._reader.page(self._entity, conditions, number)
            if not ids.issuperset(page.ids):
                raise NestedError(f"Orders with many {self._name}, or without any, don't nest all of them")
            if not page.is_full(MAX_LIMIT, number):
                return

    def _content(self, row: msgspec.Raw) -> dict[str, Any]:
        """Return the fields of a row that came with orders. A field without a value may be null or missing."""
        (cut,) = self._columns.cut([row], Counter())
        return {name: value for name, value in decode_row(msgspec.Raw(cut)).items() if value is not None}
