"""Single rows, plain lists and the walk, over real sockets (`reading`, `places`)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import listing
from airflow_provider_dotypos.api.entities import cloud_lists, find_entity
from airflow_provider_dotypos.api.markers import Division
from airflow_provider_dotypos.api.page import Page, read_page
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.api import wire
from tests.conftest import NewClient


@pytest.fixture
def reader(new_client: NewClient) -> Reader:
    return Reader(new_client())


def test_a_row_is_got_with_numbers_as_the_api_gives_them(sandbox: Sandbox, reader: Reader) -> None:
    row = sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"name": "Espresso", "priceWithVat": 50})
    read = reader.get("products", row["id"])
    assert (read["id"], read["name"], read["priceWithVat"]) == (str(row["id"]), "Espresso", "50")


@pytest.mark.parametrize("id", ["abc", "1/..", True, 1.5, ""])
def test_an_id_is_a_whole_number(reader: Reader, id: object) -> None:
    with pytest.raises(errors.DotyposInputError, match="whole number"):
        reader.get("products", id)  # type: ignore[arg-type]


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(allow_version="ignored", next_page="null")])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_rows_come_page_by_page_to_the_end(sandbox: Sandbox, reader: Reader, count: int, behaviour: Behaviour) -> None:
    sandbox.behaviour = behaviour
    for _ in range(count):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {})
    assert len(list(reader.rows("orders", sort="-versionDate"))) == count


def test_rows_hide_deleted_ones_and_changes_show_them(sandbox: Sandbox, reader: Reader) -> None:
    then = int((datetime.now(timezone.utc) - timedelta(hours=1)).timestamp() * 1000)
    for deleted in (False, True, None):
        sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"deleted": deleted, "versionDate": then})
    assert len(list(reader.rows("products"))) == 2
    assert len(list(reader.rows("products", filter="deleted|in|0,1"))) == 3
    window = Window(then, then + 1)
    assert len(list(reader.changes("products", window))) == 3
    assert len(list(reader.changes("products", window, filter="deleted|eq|0"))) >= 1


@pytest.mark.parametrize(
    ("known", "division", "filters"),
    [
        (None, Division(), [None, "deleted|eq|1"]),
        ("hides_null", Division(), [None, "deleted|eq|1"]),
        ("shows_null", Division(), ["deleted|in|0,1"]),
        ("shows_null", Division("two"), [None, "deleted|eq|1"]),
        (None, Division("one"), ["deleted|in|0,1"]),
        ("shows_null", Division(undated_rows="always"), ["deleted|in|0,1", "deleted|in|0,1"]),
    ],
)
def test_changes_take_one_filter_where_that_is_known_to_be_safe(
    sandbox: Sandbox, new_client: NewClient, known: str | None, division: Division, filters: list[str | None]
) -> None:
    reader = Reader(new_client(deleted_filter=known))
    assert list(reader.changes("taxes", Window(1000, 2000), division=division)) == []
    asked = [request.query["filter"] for request in sandbox.requests if request.path.endswith("/taxes")]
    markers = [[term for term in filter.split(";") if term.startswith("deleted")] for filter in asked]
    assert [term[0] if term else None for term in markers] == filters
    if division.undated_rows == "always":
        assert "versionDate|eq|null" in asked[1]


def test_an_empty_404_is_confirmed_by_asking_again_and_the_cloud_is_asked_for_once(
    sandbox: Sandbox, reader: Reader
) -> None:
    sandbox.behaviour = Behaviour(allow_version="ignored")
    for name in ("orders", "tables"):
        assert list(reader.changes(name, Window(1000, 2000))) == []
    assert list(reader.rows("reservations")) == []
    paths = [request.path.rsplit("/", 1)[-1] for request in sandbox.requests]
    cloud = str(sandbox.cloud_ids[0])
    assert paths == ["token", "orders", cloud, "orders", "tables", "tables", "reservations", "reservations"]


def test_a_list_with_rows_shows_that_the_cloud_exists(sandbox: Sandbox, reader: Reader) -> None:
    sandbox.behaviour = Behaviour(allow_version="ignored")
    assert list(reader.rows("branches"))
    assert list(reader.rows("reservations")) == []
    assert not any(request.path.endswith(str(sandbox.cloud_ids[0])) for request in sandbox.requests)


def test_a_wrong_cloud_is_not_an_empty_list(sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.behaviour = Behaviour(allow_version="ignored")
    with pytest.raises(errors.DotyposAuthenticationError, match="Cloud ID"):
        list(Reader(new_client(cloud_id=1)).rows("orders"))


def test_a_wrong_warehouse_is_not_an_empty_list(sandbox: Sandbox, reader: Reader) -> None:
    with pytest.raises(errors.DotyposNotFoundError):
        list(reader.rows("warehouse-products", warehouse_id=5))
    with pytest.raises(errors.DotyposNotFoundError):
        list(reader.changes("warehouse-products", Window(0, 1), warehouse_id=5))


def test_what_lies_below_a_warehouse_needs_one_for_rows_and_takes_all_for_changes(
    sandbox: Sandbox, reader: Reader
) -> None:
    cloud = sandbox.cloud_ids[0]
    second = sandbox.shop.insert(cloud, "warehouses", {"name": "Cellar"})["id"]
    first = sandbox.shop.rows(cloud, "warehouses")[0]["id"]
    for warehouse in (first, second):
        sandbox.shop.insert(cloud, "warehouse-products", {"_warehouseId": warehouse, "stockStatusVersiondate": 1000})
    with pytest.raises(errors.DotyposInputError, match="warehouse_id="):
        list(reader.rows("warehouse-products"))
    assert len(list(reader.rows("warehouse-products", warehouse_id=second))) == 1
    assert len(list(reader.changes("warehouse-products", Window(0, 5000)))) == 2
    assert len(list(reader.changes("warehouse-products", Window(0, 5000), warehouse_id=second))) == 1


class _Change(Fault):
    """Changes the shop before a list is answered for the second time, and harms no request."""

    def __init__(self, change: Callable[[], object], path: str) -> None:
        super().__init__("500", path=path, skip=1)
        self._change = change

    def strikes(self, method: str, path: str) -> bool:
        if super().strikes(method, path):
            self._change()
        return False


@pytest.mark.parametrize("deleted", [True, False])
def test_a_warehouse_that_is_deleted_or_restored_while_they_are_listed_is_read(
    sandbox: Sandbox, reader: Reader, deleted: bool
) -> None:
    cloud = sandbox.cloud_ids[0]
    warehouse = sandbox.shop.insert(cloud, "warehouses", {"deleted": not deleted})["id"]
    row = {"_warehouseId": warehouse, "stockStatusVersiondate": 1000}
    id = str(sandbox.shop.insert(cloud, "warehouse-products", row)["id"])
    change = functools.partial(sandbox.shop.update, cloud, "warehouses", warehouse, {"deleted": deleted})
    sandbox.faults.append(_Change(change, "/warehouses"))
    assert [row["id"] for row in reader.changes("warehouse-products", Window(0, 5000))] == [id]


def test_clouds_are_listed_by_a_token_without_a_cloud(sandbox: Sandbox, new_client: NewClient) -> None:
    clouds = Reader(new_client(cloud_id=None)).clouds()
    assert [row["id"] for row in clouds] == [str(id) for id in sandbox.cloud_ids]


def test_included_lists_are_nested(sandbox: Sandbox, reader: Reader) -> None:
    order = sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {})
    sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": order["id"]})
    row = next(reader.rows("orders", include=["orderItems", "moneyLogs"]))
    assert len(row["orderItems"]) == 1
    assert row["moneyLogs"] == []


def test_bytes_that_are_not_utf_8_do_not_keep_a_row_from_being_read(
    sandbox: Sandbox, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = wire.encode_row
    monkeypatch.setattr(wire, "encode_row", lambda *given: encode(*given).replace(b"ODD", b"\xe9"))
    then = int((datetime.now(timezone.utc) - timedelta(hours=1)).timestamp() * 1000)
    id = sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"name": "cafODD", "versionDate": then})["id"]
    assert [row["name"] for row in reader.rows("products")] == ["caf�"]
    assert [row["name"] for row in reader.changes("products", Window(then, then + 1))] == ["caf�"]
    assert reader.get("products", id)["name"] == "caf�"


class TestAnswersThatLackRows:
    """Answers without the rows that are there: such as say so themselves, and such as only the reader can know."""

    THEN = int((datetime.now(timezone.utc) - timedelta(hours=2)).timestamp()) * 1000

    @pytest.fixture(params=["orders", "tables"])  # without totals, and with
    def name(self, request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
        for i in range(250):
            sandbox.shop.insert(sandbox.cloud_ids[0], request.param, {"versionDate": self.THEN + 1000 * i})
        return str(request.param)

    def walk(self, reader: Reader, name: str) -> list[str]:
        return [row["id"] for row in reader.changes(name, Window(self.THEN, self.THEN + 3_600_000))]

    def lists(self, sandbox: Sandbox, name: str) -> int:
        return sum(request.path.endswith(name) for request in sandbox.requests)

    @pytest.mark.parametrize("kind", ["empty", "emptied"])
    @pytest.mark.parametrize("page", [2, 3])
    def test_a_walk_asks_again_and_loses_nothing(
        self, sandbox: Sandbox, reader: Reader, name: str, kind: str, page: int
    ) -> None:
        assert len(set(self.walk(reader, name))) == 250
        usual = self.lists(sandbox, name)
        sandbox.requests.clear()
        sandbox.faults.append(Fault(kind, path=f"/{name}", skip=page - 1))
        assert len(set(self.walk(reader, name))) == 250
        assert self.lists(sandbox, name) == usual + 1

    @pytest.mark.parametrize("kind", ["empty", "emptied"])
    @pytest.mark.parametrize("page", [2, 3])
    def test_rows_are_asked_for_again(self, sandbox: Sandbox, reader: Reader, name: str, kind: str, page: int) -> None:
        sandbox.faults.append(Fault(kind, path=f"/{name}", skip=page - 1))
        assert len(list(reader.rows(name, sort="versionDate"))) == 250
        assert self.lists(sandbox, name) == 4

    @pytest.mark.parametrize("page", [1, 2])
    def test_a_short_page_with_more_to_come_is_asked_for_again(
        self, sandbox: Sandbox, reader: Reader, name: str, page: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages = iter(range(1, 9))

        def read(body: bytes, cursor: str | None, earlier: tuple[str, ...]) -> Page:
            whole = read_page(body, cursor, earlier)
            if next(pages) != page:
                return whole
            return replace(whole, rows=whole.rows[:40], ids=whole.ids[:40], rows_on_page=40)

        monkeypatch.setattr(listing, "read_page", read)
        assert len({row["id"] for row in reader.rows(name, sort="versionDate")}) == 250
        assert self.lists(sandbox, name) == 4

    def test_what_contradicts_itself_for_good_is_an_error(self, sandbox: Sandbox, reader: Reader, name: str) -> None:
        sandbox.faults.append(Fault("emptied", path=f"/{name}", skip=1, times=1000))
        with pytest.raises(errors.DotyposResponseError, match=r"no rows, and says that there are more\. .* \(gave up"):
            self.walk(reader, name)

    def test_what_only_the_reader_knows_is_believed_when_it_comes_twice(
        self, sandbox: Sandbox, reader: Reader, name: str
    ) -> None:
        sandbox.faults.append(Fault("empty", path=f"/{name}", skip=1, times=2))
        assert len(self.walk(reader, name)) == 99

    def test_an_empty_window_costs_no_further_call(self, sandbox: Sandbox, reader: Reader) -> None:
        assert self.walk(reader, "orders") == []
        assert self.lists(sandbox, "orders") == 1

    def test_a_first_page_that_says_that_it_is_not_empty_is_asked_for_again(
        self, sandbox: Sandbox, reader: Reader
    ) -> None:
        sandbox.shop.insert(sandbox.cloud_ids[0], "tables", {"versionDate": self.THEN})
        sandbox.faults.append(Fault("emptied", path="/tables"))
        assert len(self.walk(reader, "tables")) == 1


def test_a_field_that_only_helps_to_sort_stops_no_entity(sandbox: Sandbox, reader: Reader) -> None:
    then = int((datetime.now(timezone.utc) - timedelta(hours=1)).timestamp() * 1000)
    sandbox.behaviour = Behaviour(unsortable=("tables.locationName", "taxes.value"))
    for _ in range(600):
        sandbox.shop.insert(sandbox.cloud_ids[0], "tables", {"versionDate": then})
    sandbox.shop.insert(sandbox.cloud_ids[0], "taxes", {"versionDate": then})
    assert len({row["id"] for row in reader.changes("tables", Window(then, then + 1))}) == 600
    assert len(list(reader.changes("taxes", Window(then, then + 1)))) == 1
    refused = [request.query["sort"] for request in sandbox.requests if request.status == 400]
    assert refused == ["versionDate,locationName,name,seats"]


def test_an_order_that_is_never_the_same_is_waited_for_as_long_as_patience_lasts(
    sandbox: Sandbox, reader: Reader
) -> None:
    then = int((datetime.now(timezone.utc) - timedelta(hours=1)).timestamp() * 1000)
    sandbox.behaviour = Behaviour(ties="shuffled")
    same = {"versionDate": then, "created": then, "updated": then}
    for _ in range(600):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", same)
    began = time.monotonic()
    with pytest.raises(errors.DotyposWalkError, match="isn't stable"):
        list(reader.changes("orders", Window(then, then + 1)))
    assert time.monotonic() - began >= 1
    assert not any(request.status >= 400 for request in sandbox.requests)


class TestPieces:
    WINDOW = Window(0, 5000)

    @pytest.mark.parametrize("name", [name for name in cloud_lists() if find_entity(name).parent is None])
    def test_pieces_are_made_without_a_request_and_without_waiting(
        self, sandbox: Sandbox, reader: Reader, name: str
    ) -> None:
        ahead = Window(0, int(datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()) * 1000)
        pieces = list(reader.pieces(find_entity(name), ahead))
        assert {(piece.lo, piece.hi, piece.parent) for piece in pieces} == {(0, ahead.until, None)}
        assert [piece.name for piece in pieces] == [piece.stream.name for piece in pieces]
        assert not sandbox.requests

    def test_a_piece_below_a_warehouse_is_named_after_it(self, sandbox: Sandbox, reader: Reader) -> None:
        id = str(sandbox.shop.rows(sandbox.cloud_ids[0], "warehouses")[0]["id"])
        stock = find_entity("warehouse-products")
        every = list(reader.pieces(stock, self.WINDOW))
        named = list(reader.pieces(stock, self.WINDOW, (), id))
        assert [piece.name for piece in every] == [piece.name for piece in named]
        assert {piece.name for piece in every} >= {f"{id}-live", f"{id}-deleted-null", f"{id}-live-versionDate"}
        assert all(
            "null" not in piece.name for piece in reader.pieces(stock, self.WINDOW, (), id, without_cursor=False)
        )

    def test_a_reader_is_ready_when_the_window_is_over(self, sandbox: Sandbox, reader: Reader) -> None:
        reader.ready(find_entity("orders"), self.WINDOW)
        reader.ready(find_entity("orders"), self.WINDOW)
        assert [request.path for request in sandbox.requests] == ["/v2/signin/token"]
        with pytest.raises(errors.DotyposInputError, match="in the future"):
            reader.ready(find_entity("orders"), Window(0, int(time.time() * 1000) + 3_600_000))

    @pytest.mark.parametrize(
        "wrong",
        [{"filter": "versionDate|gteq|1"}, {"include": "orderitems"}, {"warehouse_id": 5}, {"filter": "paid|like|x"}],
        ids=str,
    )
    def test_mistakes_show_before_anything_is_asked_for(
        self, sandbox: Sandbox, reader: Reader, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.DotyposInputError):
            next(reader.changes("orders", self.WINDOW, **wrong))
        assert not sandbox.requests


class TestGet:
    def test_one_object_takes_no_id(self, sandbox: Sandbox, new_client: NewClient) -> None:
        reader = Reader(new_client())
        assert reader.get("manifest")
        with pytest.raises(errors.DotyposInputError, match="manifest is one object"):
            reader.get("manifest", 123)

    @pytest.mark.parametrize("id", [None, True, "", "x", "1.0", 1.5, "--5", "٣", "²", "1" * 20, "1 2", "1/2"])
    def test_a_row_is_named_by_a_whole_number(self, sandbox: Sandbox, new_client: NewClient, id: object) -> None:
        with pytest.raises(errors.DotyposInputError, match="an id is a whole number"):
            Reader(new_client()).get("taxes", id)  # type: ignore[arg-type]
        assert not sandbox.requests

    def test_ids_of_the_system_are_read(self, sandbox: Sandbox, new_client: NewClient) -> None:
        with pytest.raises(errors.DotyposNotFoundError):
            Reader(new_client()).get("taxes", " -401 ")
