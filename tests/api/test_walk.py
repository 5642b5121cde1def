"""The promise of the walk (`walk`, `streams`, `pieces`, `passes`), under drift and all switches of the sandbox.

``make storms`` goes on with the same, with more rows and new seeds (`walk_storm`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import entities, find_entity
from airflow_provider_dotypos.api.errors import (
    DotyposInputError,
    DotyposValidationError,
    DotyposWalkError,
    error_for,
)
from airflow_provider_dotypos.api.page import Page, read_page
from airflow_provider_dotypos.api.query import window_conditions
from airflow_provider_dotypos.api.streams import Piece, streams
from airflow_provider_dotypos.api.walk import Query, walk
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Shop
from airflow_provider_dotypos.sandbox.behaviour import CHOICES
from tests.api.walking import (
    NOW_MS,
    SINCE,
    UNTIL,
    Drift,
    Server,
    Walked,
    drive,
    drive_together,
    empty_shop,
    follow,
)
from tests.examples import examples

WINDOW = Window(SINCE, UNTIL)

behaviours = st.builds(
    Behaviour,
    **{name: st.sampled_from(positions) for name, positions in CHOICES.items()},
    commit_lag=st.sampled_from([0.0, 5.0]),
)

#: How many rows share one instant, several times over; 350 are more than three pages.
ties = st.lists(st.sampled_from([1, 2, 60, 99, 100, 101, 350]), min_size=0, max_size=4)

#: One entity of each kind: without `deleted`, with it, with an unsortable cursor, with money.
KINDS = ("orders", "products", "courses", "money-logs", "customer-account-logs")


def fill(shop: Shop, name: str, tied: list[int], singles: int, seed: int) -> None:
    """Fill an entity: ties, single rows in and around the window, rows without a cursor, all kinds of `deleted`."""
    chance = random.Random(seed)
    entity = find_entity(name)
    cursor = entity.cursors[0]

    def insert(moment: int | None) -> None:
        row: dict[str, Any] = {cursor: moment}
        if entity.has_deleted:
            row["deleted"] = chance.choice([False, False, True, None])
        shop.insert(shop.cloud_ids[0], name, row)

    for size in tied:
        moment = chance.randrange(SINCE, UNTIL)
        for _ in range(size):
            insert(moment)
    for _ in range(singles):
        insert(chance.randrange(SINCE - 60_000, UNTIL + 60_000))
    insert(SINCE)
    insert(UNTIL)
    insert(UNTIL - 1)
    insert(SINCE - 1)
    if entity.fields[cursor].nullable:
        for _ in range(chance.randrange(0, 130)):
            insert(None)


def inside(shop: Shop, name: str, window: Window = WINDOW) -> set[str]:
    cursor = find_entity(name).cursors[0]
    return {
        str(row["id"])
        for row in shop.rows(shop.cloud_ids[0], name)
        if row[cursor] is None or (window.since or 0) <= row[cursor] < window.until
    }


def hides_nothing(behaviour: Behaviour) -> bool:
    """Return whether one filter for live and deleted rows is safe: it shows rows whose marker is null."""
    return behaviour.deleted_null == "live"


@pytest.mark.parametrize("name", KINDS)
@given(
    behaviour=behaviours,
    tied=ties,
    singles=st.integers(0, 260),
    rate=st.sampled_from([0.0, 0.5, 5.0]),
    one_filter=st.booleans(),
    seed=st.integers(0, 2**32),
)
@settings(
    max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_under_drift_no_row_is_lost_or_doubled(
    name: str, behaviour: Behaviour, tied: list[int], singles: int, rate: float, one_filter: bool, seed: int
) -> None:
    shop = empty_shop()
    fill(shop, name, tied, singles, seed)
    before = inside(shop, name)
    without_cursor = {
        str(row["id"]) for row in shop.rows(shop.cloud_ids[0], name) if row[find_entity(name).cursors[0]] is None
    }
    drift = Drift(shop, name, seed, rate)

    walked = drive(shop, name, WINDOW, behaviour, between=drift, one_filter=one_filter and hides_nothing(behaviour))

    unchanged = before - drift.touched
    lost = {id for id in unchanged if walked.counts[id] == 0}
    doubled = {id for id in unchanged - without_cursor if walked.counts[id] > 1}
    assert (lost, doubled) == (set(), set())
    # Rows that changed meanwhile: in this window or in the next (or gone for good).
    shop.advance(60)
    later = drive(shop, name, Window(UNTIL, shop.now()), behaviour)
    missing = before - drift.gone - set(walked.ids) - set(later.ids)
    assert missing == set()


@pytest.mark.parametrize("name", KINDS)
@given(
    behaviour=behaviours,
    tied=ties,
    singles=st.sampled_from([0, 30, 150, 900]),
    rate=st.sampled_from([0.0, 0.5, 5.0]),
    workers=st.integers(2, 9),
    one_filter=st.booleans(),
    seed=st.integers(0, 2**32),
)
@settings(
    max_examples=examples(7), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_of_several_workers_none_loses_or_doubles_a_row_at_the_seams(
    name: str, behaviour: Behaviour, tied: list[int], singles: int, rate: float, workers: int, one_filter: bool,
    seed: int,
) -> None:  # fmt: skip
    shop = empty_shop()
    fill(shop, name, tied, singles, seed)
    before = inside(shop, name)
    without_cursor = {
        str(row["id"]) for row in shop.rows(shop.cloud_ids[0], name) if row[find_entity(name).cursors[0]] is None
    }
    drift = Drift(shop, name, seed, rate)

    chance = random.Random(seed)
    one = one_filter and hides_nothing(behaviour)
    walked = drive_together(
        shop, name, WINDOW, behaviour, workers=workers, chance=chance, between=drift, one_filter=one
    )

    unchanged = before - drift.touched
    lost = {id for id in unchanged if walked.counts[id] == 0}
    doubled = {id for id in unchanged - without_cursor if walked.counts[id] > 1}
    assert (lost, doubled) == (set(), set())
    shop.advance(60)
    later = drive(shop, name, Window(UNTIL, shop.now()), behaviour)
    assert before - drift.gone - set(walked.ids) - set(later.ids) == set()


@pytest.mark.parametrize("name", KINDS)
@given(behaviour=behaviours, tied=ties, singles=st.integers(0, 260), seed=st.integers(0, 2**32))
@settings(
    max_examples=examples(7), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_of_a_quiet_entity_each_row_comes_exactly_once(
    name: str, behaviour: Behaviour, tied: list[int], singles: int, seed: int
) -> None:
    shop = empty_shop()
    fill(shop, name, tied, singles, seed)
    walked = drive(shop, name, WINDOW, behaviour)
    assert walked.counts == dict.fromkeys(inside(shop, name), 1)


@pytest.mark.parametrize("deleted_null", ["live", "excluded"])
def test_one_filter_loses_no_row_unless_it_hides_null_markers(deleted_null: str) -> None:
    """The assumption under which live and deleted rows are one stream, from both sides."""
    shop = empty_shop()
    rows = {
        marker: str(shop.insert(shop.cloud_ids[0], "taxes", {"versionDate": SINCE, "deleted": marker})["id"])
        for marker in (False, True, None)
    }
    behaviour = Behaviour(deleted_null=deleted_null)

    one = drive(shop, "taxes", WINDOW, behaviour, one_filter=True)
    two = drive(shop, "taxes", WINDOW, behaviour)

    hidden = {rows[None]} if deleted_null == "excluded" else set()
    assert set(two.ids) == set(rows.values())
    assert set(one.ids) == set(rows.values()) - hidden
    assert len(two.queries) - len(one.queries) == 2  # with a cursor and without


#: Moments near the edges of a window, to the millisecond: in the same second as an edge, and in others.
near_edges = st.one_of(
    st.none(),
    st.integers(SINCE - 1500, SINCE + 2500),
    st.integers(UNTIL - 1500, UNTIL + 2500),
    st.integers(SINCE, UNTIL),
)
stock_rows = st.lists(st.tuples(near_edges, near_edges, st.sampled_from([True, False, None])), max_size=150)
#: Windows whose edges lie on the second or not, one so short that it lies inside a second, and one from the beginning.
windows = st.one_of(
    st.builds(Window, st.integers(SINCE, SINCE + 999), st.integers(UNTIL, UNTIL + 999)),
    st.sampled_from([WINDOW, Window(SINCE + 200, SINCE + 700), Window(None, UNTIL + 3)]),
)


class Stock:
    """Stock rows of a warehouse, some of which change between requests, under one cursor or under both."""

    def __init__(self, rows: list[Any], rate: float, seed: int) -> None:
        self.shop = empty_shop()
        self.cloud = self.shop.cloud_ids[0]
        self.warehouse = self.shop.rows(self.cloud, "warehouses")[0]["id"]
        self.rate = rate
        self.random = random.Random(seed)
        self.touched: set[str] = set()
        self.ids = [self.insert(*row) for row in rows]

    def insert(self, stock: int | None, product: int | None, deleted: bool | None) -> int:
        row = {"stockStatusVersiondate": stock, "versionDate": product, "deleted": deleted}
        full = self.shop.insert(self.cloud, "warehouse-products", {"_warehouseId": self.warehouse, **row})
        return int(full["id"])

    def expected(self, window: Window) -> set[str]:
        return {
            str(row["id"])
            for row in self.shop.rows(self.cloud, "warehouse-products")
            if (row["stockStatusVersiondate"] is None and row["versionDate"] is None)
            or any(
                row[cursor] is not None and (window.since or 0) <= row[cursor] < window.until
                for cursor in ("stockStatusVersiondate", "versionDate")
            )
        }

    def __call__(self) -> None:
        self.shop.advance(0.5)
        for _ in range(int(self.rate) + (self.random.random() < self.rate % 1)):
            if self.ids:
                id = self.random.choice(self.ids)
                self.touched.add(str(id))
                changes: dict[str, Any] = self.random.choice(
                    [{"stockQuantityStatus": 5.0}, {"deleted": True}, {"stockQuantityStatus": 1.0, "name": "x"}]
                )
                self.shop.update(self.cloud, "warehouse-products", id, changes, warehouse_id=self.warehouse)


@given(
    behaviour=behaviours,
    rows=stock_rows,
    window=windows,
    rate=st.sampled_from([0.0, 0.5, 3.0]),
    workers=st.integers(1, 4),
    one_filter=st.booleans(),
    seed=st.integers(0, 2**32),
)
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_a_row_with_two_cursors_comes_once_if_either_lies_in_the_window(
    behaviour: Behaviour, rows: list[Any], window: Window, rate: float, workers: int, one_filter: bool, seed: int
) -> None:
    if one_filter:  # where that is safe
        behaviour = replace(behaviour, deleted_null="live")
    stock = Stock(rows, rate, seed)
    before = stock.expected(window)

    walked = drive_together(
        stock.shop, "warehouse-products", window, behaviour, workers=workers, chance=random.Random(seed),
        between=stock, one_filter=one_filter, warehouse_id=stock.warehouse,
    )  # fmt: skip

    unchanged = before - stock.touched
    assert {id: walked.counts[id] for id in unchanged} == dict.fromkeys(unchanged, 1)
    assert set(walked.ids) <= before | stock.touched
    stock.rate = 0
    stock.shop.advance(60)
    later = drive(
        stock.shop, "warehouse-products", Window(window.until, stock.shop.now()), behaviour,
        warehouse_id=stock.warehouse,
    )  # fmt: skip
    assert before - set(walked.ids) - set(later.ids) == set()


def test_a_row_in_the_second_of_a_windows_edge_costs_a_request_and_is_neither_lost_nor_repeated() -> None:
    window = Window(SINCE + 500, UNTIL)
    rows = [(SINCE + at, SINCE + 5000, False) for at in (100, 499, 500, 900)]
    counts = {}
    for precision in ("ms", "s"):
        stock = Stock(rows, 0, 0)
        behaviour = Behaviour(timestamp_precision=precision)
        walked = drive(stock.shop, "warehouse-products", window, behaviour, warehouse_id=stock.warehouse)
        assert walked.counts == dict.fromkeys(map(str, stock.ids), 1)
        counts[precision] = len(walked.queries)
    assert counts == {"ms": 6, "s": 7}


def tie(shop: Shop, name: str, rows: int) -> list[int]:
    """Give an entity rows of one instant that nothing else tells apart, either."""
    fields: dict[str, Any] = {"created": SINCE, "updated": SINCE, "modified": SINCE, "deleted": False}
    row = {field: value for field, value in fields.items() if field in find_entity(name).fields}
    row[find_entity(name).cursors[0]] = SINCE + 1000
    return [shop.insert(shop.cloud_ids[0], name, row)["id"] for _ in range(rows)]


class Leaving:
    """Rows of a tie that change while they are read, some between any two requests, and so leave the window."""

    def __init__(self, shop: Shop, name: str, ids: list[int], rate: float, seed: int) -> None:
        self.shop = shop
        self.name = name
        self.staying = list(ids)
        self.rate = rate
        self.random = random.Random(seed)

    def __call__(self) -> None:
        self.shop.advance(0.1)
        for _ in range(int(self.rate) + (self.random.random() < self.rate % 1)):
            if self.staying:
                id = self.staying.pop(self.random.randrange(len(self.staying)))
                self.shop.update(self.shop.cloud_ids[0], self.name, id, {})


def test_ties_beyond_what_an_address_can_exclude_are_read_by_page_numbers() -> None:
    shop = empty_shop()
    tie(shop, "orders", 900)
    walked = drive(shop, "orders", WINDOW)
    assert len(walked.counts) == 900
    assert set(walked.counts.values()) == {1}
    assert max(walked.lengths) < 6500
    assert len(walked.queries) <= 17  # six pages that can't be excluded, there and back; 23 by two whole passes


def test_an_order_that_is_never_the_same_is_an_error_not_a_loss() -> None:
    shop = empty_shop()
    tie(shop, "orders", 900)
    with pytest.raises(DotyposWalkError, match=r"share one instant.*order of equal rows isn't stable"):
        drive(shop, "orders", WINDOW, Behaviour(ties="shuffled"))


def test_an_order_that_becomes_stable_is_waited_for() -> None:
    shop = empty_shop()
    tie(shop, "orders", 900)
    calm = shop.now() + 5000
    shuffled = Behaviour(ties="shuffled")
    walked = drive(shop, "orders", WINDOW, lambda: shuffled if shop.now() < calm else Behaviour())
    assert set(walked.counts.values()) == {1}
    assert len(walked.counts) == 900
    assert walked.waits == [2.0, 6.0]


@pytest.mark.parametrize("rate", [1 / 12, 1 / 2, 3, 40])
@pytest.mark.parametrize("name", ["orders", "courses"])  # sorted by the cursor, and not
def test_rows_that_leave_a_large_tie_hide_no_other(name: str, rate: float) -> None:
    for seed in range(8):
        shop = empty_shop()
        leaving = Leaving(shop, name, tie(shop, name, 700), rate, seed)
        walked = drive(shop, name, WINDOW, between=leaving)
        assert all(walked.counts[str(id)] == 1 for id in leaving.staying)
        assert not walked.waits
        assert name != "orders" or len(walked.queries) <= 14


@given(
    rows=st.integers(90, 460) | st.integers(461, 1000),
    rate=st.sampled_from([0.0, 0.1, 1.0, 10.0, 60.0]),
    name=st.sampled_from(["orders", "products", "money-logs", "customer-account-logs"]),
    behaviour=behaviours,
    seed=st.integers(0, 2**32),
)
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_of_a_tie_of_any_size_no_row_that_stays_is_lost(
    rows: int, rate: float, name: str, behaviour: Behaviour, seed: int
) -> None:
    shop = empty_shop()
    leaving = Leaving(shop, name, tie(shop, name, rows), rate, seed)
    try:
        walked = drive(shop, name, WINDOW, behaviour, between=leaving)
    except DotyposWalkError:
        assert behaviour.ties == "shuffled"
        return
    assert {walked.counts[str(id)] for id in leaving.staying} <= {1}


@pytest.mark.parametrize("name", sorted(name for name, row in entities().items() if row.cursors and row.tie_breakers))
@pytest.mark.parametrize("named", [True, False])
def test_no_entity_depends_on_a_field_that_only_helps_to_sort(name: str, named: bool) -> None:
    entity = find_entity(name)
    shop = empty_shop()
    placeholders = {}
    row: dict[str, Any] = dict.fromkeys(entity.cursors, SINCE + 1000)
    if entity.parent:
        id = shop.rows(shop.cloud_ids[0], entity.parent.entity)[0]["id"]
        placeholders = {entity.parent.argument: id}
        row[entity.parent.field] = id
    for _ in range(640):
        shop.insert(shop.cloud_ids[0], name, row)
    refused = entity.tie_breakers[-1:] if named else entity.tie_breakers
    behaviour = Behaviour(unsortable=tuple(f"{name}.{field}" for field in refused))

    walked = drive(shop, name, WINDOW, behaviour, **placeholders)

    assert set(walked.counts.values()) == {1}
    assert len(walked.counts) >= 640
    sorts = {query.sort for query in walked.queries if query.page > 1}
    further = tuple(name for name in entity.tie_breakers if name not in refused)
    assert sorts == ({(cursor, *further) for cursor in entity.cursors} if entity.cursor_sortable else {further})
    by_cursor = (entity.cursors[0],) if entity.cursor_sortable else ()
    by_value = [query for query in walked.queries if any("gteq" in term for term in query.conditions)]
    assert by_value[0].sort == by_cursor


@pytest.mark.parametrize("said", ["", "can't sort like this"])
def test_a_refusal_that_names_no_field_costs_all_that_only_help(said: str) -> None:
    shop = empty_shop()
    tie(shop, "tables", 640)
    violations = [{"fieldName": None, "message": said}]
    server = Server(shop, "tables")

    def answer(query: Query, cursor: str | None) -> Page:
        if len(query.sort) > 1:
            refusal = error_for("GET", "tables", 400, {}, msgspec.json.encode({"violations": violations}))
            raise cast("DotyposValidationError", refusal)
        return server.answer(query, cursor)

    assert len(walk_with(server, answer).counts) == 640


def test_what_is_refused_without_them_stays_refused() -> None:
    shop = empty_shop()
    tie(shop, "tables", 640)
    with pytest.raises(DotyposValidationError):
        drive(shop, "tables", WINDOW, Behaviour(unsortable=("tables.versionDate",)))


@given(
    name=st.sampled_from(KINDS),
    behaviour=behaviours,
    rows=st.integers(101, 500),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_empty_answer_against_better_knowledge_loses_nothing(
    name: str, behaviour: Behaviour, rows: int, seed: int, data: st.DataObject
) -> None:
    shop = empty_shop()
    chance = random.Random(seed)
    cursor = find_entity(name).cursors[0]
    for moment in chance.sample(range(SINCE, UNTIL, 1000), rows):
        shop.insert(shop.cloud_ids[0], name, {cursor: moment})
    without = walk_with(server := Server(shop, name, behaviour), server.answer)
    turn = data.draw(st.integers(1, len(without.queries) - 1))  # of the first answer nothing is known before

    server = Server(shop, name, behaviour)
    walked = walk_with(server, lambda query, moved: glitch(server, query, moved, turn))

    assert walked.counts == without.counts
    assert len(walked.queries) - len(without.queries) in (0, 1)


@pytest.mark.parametrize("name", ["orders", "tables"])  # which name a next page, and which are counted as well
def test_one_empty_answer_amid_a_tie_loses_nothing(name: str) -> None:
    shop = empty_shop()
    tie(shop, name, 600)
    later = shop.insert(shop.cloud_ids[0], name, {"versionDate": SINCE + 5000})
    without = walk_with(server := Server(shop, name), server.answer)
    assert len(without.counts) == 601
    for turn in range(1, len(without.queries)):
        server = Server(shop, name)
        walked = walk_with(server, lambda query, moved, turn=turn, server=server: glitch(server, query, moved, turn))
        assert set(walked.counts.values()) == {1}
        # Of orders, which aren't counted, nothing tells that there are any behind the tie.
        assert set(without.counts) - set(walked.counts) <= ({str(later["id"])} if name == "orders" else set())


@pytest.mark.parametrize("name", ["orders", "tables"])
def test_ties_of_exactly_a_page_cost_a_request_each(name: str) -> None:
    shop = empty_shop()
    for i in range(8):
        for _ in range(100):
            shop.insert(shop.cloud_ids[0], name, {"versionDate": SINCE + 1000 * i})
    shop.insert(shop.cloud_ids[0], name, {"versionDate": SINCE + 9000})
    walked = drive(shop, name, WINDOW)
    assert set(walked.counts.values()) == {1}
    assert len(walked.counts) == 801
    assert len([query for query in walked.queries if "null" not in str(query)]) == 9


def test_a_part_may_end_between_two_ties() -> None:
    shop = empty_shop()
    for i in range(3):
        for _ in range(100):
            shop.insert(shop.cloud_ids[0], "orders", {"versionDate": SINCE + 1000 * i})
    covered: list[int | None] = []
    walked = Walked()
    walked.take = lambda batch: covered.append(batch.covered)  # type: ignore[method-assign]
    (stream,) = streams(find_entity("orders"), WINDOW)[:1]
    follow(
        walked, walk(find_entity("orders"), Piece(stream, SINCE, UNTIL)), stream.cursor, Server(shop, "orders").answer
    )
    assert [moment for moment in covered if moment is not None] == [SINCE + 1000, SINCE + 2000, UNTIL]


def glitch(server: Server, query: Query, cursor: str | None, turn: int) -> Page:
    page = server.answer(query, cursor)
    return read_page(b'{"data": [], "perPage": "100"}', cursor) if len(server.walked.queries) - 1 == turn else page


def test_a_row_held_back_that_left_is_asked_for_once_more_and_then_given_up() -> None:
    shop = empty_shop()
    ids = [shop.insert(shop.cloud_ids[0], "orders", {"versionDate": SINCE + 1000 * i})["id"] for i in range(100)]
    server = Server(shop, "orders")

    def between() -> None:
        if len(server.walked.queries) == 1:
            shop.update(shop.cloud_ids[0], "orders", ids[-1], {})

    server.between = between
    walked = walk_with(server, server.answer)
    assert walked.ids == [str(id) for id in ids[:-1]]
    assert len(walked.queries) == 3


def test_an_empty_answer_is_not_believed_only_because_the_one_before_it_was_doubted() -> None:
    """A row held back has left, so the next answer is asked for once more; and that comes empty, though it had rows."""
    shop = empty_shop()
    ids = [shop.insert(shop.cloud_ids[0], "orders", {"versionDate": SINCE + 1000 * i})["id"] for i in range(150)]
    server = Server(shop, "orders")

    def between() -> None:
        if len(server.walked.queries) == 1:
            shop.update(shop.cloud_ids[0], "orders", ids[99], {})

    server.between = between
    walked = walk_with(server, lambda query, moved: glitch(server, query, moved, 2))
    assert walked.ids == [str(id) for id in ids if id != ids[99]]
    assert len(walked.queries) == 4


def test_a_row_is_known_to_lie_in_the_half_whose_start_its_time_was_cut_below() -> None:
    shop = empty_shop()
    for i in range(120):
        shop.insert(shop.cloud_ids[0], "courses", {"versionDate": SINCE + (900 if i < 60 else 1500)})
    behaviour = Behaviour(timestamp_precision="s")
    (stream,) = (stream for stream in streams(find_entity("courses"), WINDOW) if not stream.deleted and stream.cursor)

    def walked(turn: int) -> Walked:
        server = Server(shop, "courses", behaviour)
        piece = Piece(stream, SINCE + 500, SINCE + 2000)
        follow(
            server.walked,
            walk(server.entity, piece),
            stream.cursor,
            lambda query, moved: glitch(server, query, moved, turn),
        )
        return server.walked

    quiet = walked(-1)
    assert len(quiet.counts) == 120
    assert walked(1).counts == quiet.counts


def test_a_row_that_an_unstable_order_hides_amid_a_tie_is_still_known() -> None:
    """It was shown and held back, then a page of its instant came without it, and what is left comes empty."""
    entity = find_entity("orders")
    (stream,) = streams(entity, WINDOW)[:1]
    rows = {str(i): SINCE if i < 99 else SINCE + 5001 for i in range(200)}
    rows["0"] += 1  # shows milliseconds
    pages = iter([[*range(100)], [*range(100, 200)], [], [99]])

    def answer(query: Query, cursor: str | None) -> Page:
        ids = [str(i) for i in next(pages)]
        ids.sort(key=lambda id: rows[id])
        data = [{"id": id, "versionDate": rows[id]} for id in ids]
        return read_page(msgspec.json.encode({"data": data, "perPage": 100}), cursor)

    walked = Walked()
    follow(walked, walk(entity, Piece(stream, SINCE, UNTIL)), stream.cursor, answer)
    assert walked.counts == Counter(rows.keys())


def test_a_piece_that_was_split_off_as_large_is_not_believed_to_be_empty_at_once() -> None:
    shop = empty_shop()
    ids = [shop.insert(shop.cloud_ids[0], "orders", {"versionDate": SINCE + 6000 * i})["id"] for i in range(600)]
    (stream,) = streams(find_entity("orders"), WINDOW)[:1]
    for turn in range(-1, 6):
        server = Server(shop, "orders")
        owner = Piece(stream, SINCE, UNTIL, rate=100 / 600_000)
        upper = owner.split()
        assert upper is not None

        def answer(query: Query, cursor: str | None, server: Server = server, turn: int = turn) -> Page:
            return glitch(server, query, cursor, turn)

        follow(server.walked, walk(server.entity, upper), stream.cursor, answer)
        assert server.walked.ids == [str(id) for id in ids[300:]]


def test_an_empty_half_of_a_range_is_asked_for_once_more_if_the_whole_counted_more() -> None:
    """Of the upper half no row was seen: the whole's page showed rows of the lower one alone."""
    shop = empty_shop()
    for i in range(210):
        shop.insert(shop.cloud_ids[0], "courses", {"versionDate": SINCE + (i if i < 150 else 3599 - (i - 150)) * 1000})
    quiet = walk_with(server := Server(shop, "courses"), server.answer)
    upper_half = ("versionDate", "gteq", str((SINCE + UNTIL) // 2))
    turn = [query.conditions[0] for query in quiet.queries].index(upper_half)

    server = Server(shop, "courses")
    walked = walk_with(server, lambda query, moved: glitch(server, query, moved, turn))

    assert walked.counts == quiet.counts
    assert len(walked.queries) == len(quiet.queries) + 1


def test_a_list_that_ends_before_as_many_rows_as_were_counted_is_asked_for_once_more() -> None:
    shop = empty_shop()
    for i in range(250):
        shop.insert(shop.cloud_ids[0], "tables", {"versionDate": SINCE + 1000 * i})
    server = Server(shop, "tables")

    def answer(query: Query, cursor: str | None) -> Page:
        page = server.answer(query, cursor)
        if len(server.walked.queries) != 2:
            return page
        first = msgspec.json.decode(page.rows[0])  # the row that was held back, and nothing else
        return read_page(msgspec.json.encode({"data": [first], "perPage": "100", "totalItemsCount": "1"}), cursor)

    walked = walk_with(server, answer)
    assert len(walked.counts) == 250
    assert len(walked.queries) == 5  # three pages, one of them twice, and the rows without a cursor


def walk_with(server: Server, answer: Callable[[Query, str | None], Page]) -> Walked:
    """Walk every stream of a server's entity, over answers of another making."""
    for stream in streams(server.entity, WINDOW):
        follow(server.walked, walk(server.entity, Piece(stream, SINCE, UNTIL)), stream.cursor, answer)
    return server.walked


def test_a_quiet_run_of_full_pages_asks_for_little_more_than_the_pages() -> None:
    shop = empty_shop()
    for i in range(5000):
        shop.insert(shop.cloud_ids[0], "orders", {"versionDate": SINCE + 700 * i})
    walked = drive(shop, "orders", WINDOW)
    assert len(walked.counts) == 5000
    assert len(walked.queries) <= 52


def test_without_a_start_everything_up_to_the_end_comes() -> None:
    shop = empty_shop()
    for name in ("orders", "courses"):
        for i in range(250):
            shop.insert(shop.cloud_ids[0], name, {"versionDate": SINCE - i * 86_400_000})
        walked = drive(shop, name, Window(None, UNTIL))
        assert len(walked.counts) == 250
        assert set(walked.counts.values()) == {1}


def test_an_entity_without_a_cursor_is_read_whole() -> None:
    shop = empty_shop()
    for _ in range(230):
        shop.insert(shop.cloud_ids[0], "portions", {})
    walked = drive(shop, "portions", Window(None, UNTIL))
    assert len(walked.counts) == 230
    assert set(walked.counts.values()) == {1}


def test_a_filter_on_deleted_replaces_the_division_into_live_and_deleted_rows() -> None:
    shop = empty_shop()
    kept = shop.insert(shop.cloud_ids[0], "products", {"versionDate": SINCE, "deleted": False})
    shop.insert(shop.cloud_ids[0], "products", {"versionDate": SINCE, "deleted": True})
    walked = drive(shop, "products", WINDOW, filter="deleted|eq|0")
    assert walked.ids == [str(kept["id"])]


@pytest.mark.parametrize("name", sorted(name for name, row in entities().items() if row.cursors))
def test_a_filter_on_the_cursor_is_refused(name: str) -> None:
    cursor = find_entity(name).cursors[-1]
    with pytest.raises(DotyposInputError, match=f"{cursor} is the cursor"):
        window_conditions(find_entity(name), f"{cursor}|gteq|1")


def page_of(*cursors: int | None, full: bool = False) -> Page:
    rows = [{"id": str(i), "versionDate": cursor} for i, cursor in enumerate(cursors)]
    return read_page(msgspec.json.encode({"data": rows, "perPage": len(rows) if full else 100}), "versionDate")


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (page_of(SINCE + 9001, SINCE + 2001), "out of order"),
        (page_of(SINCE - 3001), "outside the range"),
        (page_of(UNTIL), "outside the range"),
        (page_of(None), "without versionDate"),
    ],
)
def test_rows_that_break_the_rules_are_an_error(page: Page, message: str) -> None:
    entity = find_entity("orders")
    steps = walk(entity, Piece(streams(entity, WINDOW)[0], WINDOW.since, WINDOW.until))
    next(steps)
    with pytest.raises(DotyposWalkError, match=message):
        steps.send(page)


def test_a_server_that_ignores_an_exclusion_is_noticed() -> None:
    entity = find_entity("orders")
    steps = walk(entity, Piece(streams(entity, WINDOW)[0], WINDOW.since, WINDOW.until))
    next(steps)
    tie = page_of(*[SINCE + 1] * 100, full=True)
    step = steps.send(tie)
    while not isinstance(step, Query):
        step = next(steps)
    assert any(operator == "notin" for _, operator, _ in step.conditions)
    with pytest.raises(DotyposWalkError, match="excluded"):
        steps.send(tie)


def test_a_server_that_caps_pages_lower_than_asked_loses_nothing() -> None:
    shop = empty_shop()
    for i in range(120):
        shop.insert(shop.cloud_ids[0], "orders", {"versionDate": SINCE + 10_000 * i})
    entity = find_entity("orders")
    steps = walk(entity, Piece(streams(entity, WINDOW)[0], WINDOW.since, WINDOW.until))
    ids: list[str] = []
    step = next(steps, None)
    while step is not None:
        if isinstance(step, Query):
            lo = next(int(v) for f, o, v in step.conditions if o == "gteq")
            rows = sorted(row["versionDate"] for row in shop.rows(shop.cloud_ids[0], "orders"))
            of_page = [moment for moment in rows if lo <= moment < UNTIL][:50]
            body = {"perPage": "50", "data": [{"id": moment, "versionDate": moment} for moment in of_page]}
            step = steps.send(read_page(msgspec.json.encode(body), "versionDate"))
        else:
            ids += step.ids
            step = next(steps, None)
    assert len(ids) == len(set(ids)) == 120


def test_the_end_of_the_window_is_half_open_to_the_millisecond() -> None:
    shop = empty_shop()
    cloud = shop.cloud_ids[0]
    ids = {
        moment: str(shop.insert(cloud, "orders", {"versionDate": moment})["id"])
        for moment in (SINCE - 1, SINCE, UNTIL - 1, UNTIL)
    }
    for precision in ("ms", "s"):
        behaviour = Behaviour(timestamp_precision=precision)
        assert drive(shop, "orders", WINDOW, behaviour).ids == [ids[SINCE], ids[UNTIL - 1]]
        later = drive(shop, "orders", Window(UNTIL, NOW_MS), behaviour)
        assert later.ids == [ids[UNTIL]]
