"""What is unknown of writes, in each position: `WRITE_CHOICES`.

Tests `sandbox/api/writes`, `sandbox/api/rules`, `sandbox/api/query`.
"""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, WRITE_CHOICES
from tests.sandbox.api.test_writes import category, product  # noqa: F401 (a fixture)
from tests.sandbox.conftest import Api, complaints


@pytest.fixture
def row(api: Api, category: int) -> dict[str, Any]:  # noqa: F811
    (created,) = api("POST", "products", json=[product(category, externalId="E-1")]).json()
    return dict(created)


def write(api: Api, method: str, row: dict[str, Any], body: Any, **headers: str) -> Any:
    path = f"products/{row['id']}"
    return api(method, path, json=body, headers={"If-Match": api("GET", path).headers["ETag"]} | headers)


def test_each_position_of_each_switch_has_its_turn() -> None:
    turns = list(Behaviour.of_writes(ties="shuffled"))
    assert turns[0] == Behaviour(ties="shuffled")
    assert len(set(turns)) == 1 + sum(len(positions) - 1 for positions in WRITE_CHOICES.values())
    assert {name: getattr(BEST_KNOWN, name) for name in WRITE_CHOICES} == {
        name: positions[0] for name, positions in WRITE_CHOICES.items()
    }
    assert all(turn.own_ids == "unknown" for turn in Behaviour.of_writes(own_ids="unknown"))


@pytest.mark.parametrize(("position", "status"), [("taken", 201), ("refused", 400), ("unknown", 404)])
def test_ids_of_ours(api: Api, sandbox: Sandbox, category: int, position: str, status: int) -> None:  # noqa: F811
    sandbox.behaviour = Behaviour(own_ids=position)
    assert api("PUT", "products/77", json=product(category)).status_code == status
    listed = api("PUT", "products", json=[product(category, id=78), product(category, id=79)])
    assert listed.status_code == (200 if status == 201 else status)


def test_a_list_of_new_rows_may_want_if_match(api: Api, sandbox: Sandbox, category: int) -> None:  # noqa: F811
    sandbox.behaviour = Behaviour(list_creates="guarded")
    body = [product(category, id=78), product(category, id=79)]
    assert api("PUT", "products", json=body).status_code == 428
    assert api("PUT", "products", json=body, headers={"If-Match": "*"}).status_code == 412
    sandbox.behaviour = Behaviour()
    assert api("PUT", "products", json=body).status_code == 200
    assert api("PUT", "products", json=body).status_code == 428


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_refused_list_may_be_stored_in_part(
    api: Api,
    sandbox: Sandbox,
    cloud: int,
    category: int,  # noqa: F811
    method: str,
) -> None:
    rows = [product(category, name=name) for name in ("a", "", "c")]
    rows[1]["vat"] = 21
    if method == "PUT":
        rows = [row | {"id": number} for number, row in enumerate(rows, 1)]
    assert "[1].vat" in complaints(api(method, "products", json=rows))
    assert sandbox.shop.rows(cloud, "products") == []
    sandbox.behaviour = Behaviour(refused_lists="partly")
    assert "[1].vat" in complaints(api(method, "products", json=rows))
    assert [row["name"] for row in sandbox.shop.rows(cloud, "products")] == ["a"]


@pytest.mark.parametrize(
    ("position", "change", "with_vat", "without"),
    [
        ("prices", {"priceWithVat": "60.5"}, "60.5", "50"),
        ("prices", {"priceWithoutVat": "50"}, "60.5", "50"),
        ("prices", {"vat": "1.0"}, "50", "41.3223140495868"),
        ("vat", {"priceWithVat": "60.5"}, "60.5", "50"),
        ("vat", {"vat": "1.0"}, "41.3223", "41.3223140495868"),
        ("none", {"priceWithVat": "60.5"}, "60.5", "41.3223140495868"),
        ("none", {"priceWithoutVat": "50"}, "50", "50"),
    ],
)
def test_prices_move_one_another(
    api: Api, sandbox: Sandbox, row: dict[str, Any], position: str, change: Any, with_vat: str, without: str
) -> None:
    sandbox.behaviour = Behaviour(price_coupling=position)
    changed = write(api, "PATCH", row, change).json()
    assert (changed["priceWithVat"], changed["priceWithoutVat"]) == (with_vat, without)


def test_unknown_fields(api: Api, sandbox: Sandbox, category: int, row: dict[str, Any]) -> None:  # noqa: F811
    assert "colour: unknown field" in complaints(write(api, "PATCH", row, {"colour": "red"}))
    sandbox.behaviour = Behaviour(unknown_fields="ignored")
    assert "colour" not in write(api, "PATCH", row, {"colour": "red"}).json()
    sandbox.behaviour = Behaviour(unknown_fields="taken")
    assert write(api, "PATCH", row, {"colour": "red"}).json()["colour"] == "red"
    kept = write(api, "PATCH", row, {"name": "b"}).json()
    assert (kept["colour"], kept["name"]) == ("red", "b")
    assert write(api, "PUT", row, kept).json()["colour"] == "red"
    assert write(api, "PUT", row, product(category)).json()["colour"] is None


def test_a_shop_may_have_undocumented_fields(api: Api, sandbox: Sandbox, cloud: int, row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="colour"):
        sandbox.shop.update(cloud, "products", int(row["id"]), {"colour": "red"})
    sandbox.shop.undocumented.add("colour")
    sandbox.shop.update(cloud, "products", int(row["id"]), {"colour": "red"})
    assert api("GET", f"products/{row['id']}").json()["colour"] == "red"


def test_read_only_fields(api: Api, sandbox: Sandbox, row: dict[str, Any]) -> None:
    change = {"modifiedBy": "me", "externalIds": ["X"], "id": row["id"], "_cloudId": row["_cloudId"]}
    ignored = write(api, "PATCH", row, change).json()
    assert (ignored["modifiedBy"], ignored["externalIds"]) == (None, ["E-1"])
    sandbox.behaviour = Behaviour(read_only_fields="refused")
    assert complaints(write(api, "PATCH", row, change)) == "modifiedBy: can't be written, externalIds: can't be written"
    sandbox.behaviour = Behaviour(read_only_fields="taken")
    taken = write(api, "PATCH", row, change).json()
    assert (taken["modifiedBy"], taken["externalIds"], taken["id"]) == ("me", ["X"], row["id"])


def test_if_match_with_a_star(api: Api, sandbox: Sandbox, row: dict[str, Any]) -> None:
    star = {"If-Match": "*"}
    assert write(api, "PATCH", row, {"name": "b"}, **star).status_code == 412
    sandbox.behaviour = Behaviour(if_match_star="match")
    assert write(api, "PATCH", row, {"name": "b"}, **star).status_code == 200


@pytest.mark.parametrize("ticking", [True, False])
@pytest.mark.parametrize("position", ["unique", "recurring"])
def test_an_etag_may_recur(api: Api, sandbox: Sandbox, row: dict[str, Any], position: str, ticking: bool) -> None:
    sandbox.behaviour = Behaviour(etags=position)
    sandbox.shop.ticking = ticking
    path, name = f"products/{row['id']}", row["name"]
    tags = [api("GET", path).headers["ETag"]]
    tags += [write(api, "PATCH", row, {"name": to}).headers["ETag"] for to in ("other", name)]
    assert (tags[0] == tags[2], tags[0] == tags[1]) == (position == "recurring", False)
    assert api("GET", path).headers["ETag"] == tags[2]


def test_an_etag_is_that_of_the_state_that_is_read(api: Api, sandbox: Sandbox, cloud: int, row: dict[str, Any]) -> None:
    path = f"products/{row['id']}"
    sandbox.shop.ticking = False
    sandbox.shop.advance(60)
    before = api("GET", path).headers["ETag"]
    sandbox.behaviour = Behaviour(commit_lag=10)
    sandbox.shop.update(cloud, "products", int(row["id"]), {"name": "till"})
    assert api("GET", path).headers["ETag"] == before
    assert api("PATCH", path, json={"name": "b"}, headers={"If-Match": before}).status_code == 412


def test_a_version_date_in_a_body(api: Api, sandbox: Sandbox, row: dict[str, Any]) -> None:
    change = {"name": "x", "versionDate": "2020-01-01T00:00:00Z"}
    assert write(api, "PATCH", row, change).status_code == 409
    sandbox.behaviour = Behaviour(version_in_body="ignored")
    changed = write(api, "PATCH", row, change).json()
    assert (changed["name"], changed["versionDate"] >= row["versionDate"]) == ("x", True)


@pytest.mark.parametrize(("position", "deleted"), [("applied", False), ("ignored", True), ("refused", None)])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_deleted_row_and_deleted_false(
    api: Api,
    sandbox: Sandbox,
    category: int,  # noqa: F811
    row: dict[str, Any],
    position: str,
    method: str,
    deleted: bool | None,
) -> None:
    sandbox.behaviour = Behaviour(undelete=position)
    api("DELETE", f"products/{row['id']}")
    body = product(category) if method == "PUT" else {"deleted": False}
    answer = write(api, method, row, body)
    if deleted is None:
        assert "deleted: must not be false" in complaints(answer)
    else:
        assert answer.json()["deleted"] is deleted


def test_external_ids_may_be_unique(api: Api, sandbox: Sandbox, category: int, row: dict[str, Any]) -> None:  # noqa: F811
    twin, other = product(category, externalId="E-1"), product(category, externalId="E-2")
    assert api("POST", "products", json=[twin, other]).status_code == 201
    sandbox.behaviour = Behaviour(external_ids="unique")
    assert api("POST", "products", json=[twin]).status_code == 409
    assert api("POST", "products", json=[product(category, externalId="E-3")] * 2).status_code == 409
    assert api("POST", "products", json=[product(category, externalId="E-4")]).status_code == 201
    assert write(api, "PATCH", row, {"externalId": "E-5"}).status_code == 200


def test_a_filter_may_have_escapes(api: Api, sandbox: Sandbox, category: int) -> None:  # noqa: F811
    names = ["a,b", "c;d", "e|f", r"g\h", "i"]
    api("POST", "products", json=[product(category, name=name, externalId=name) for name in names])

    def names_by(value: str) -> list[str]:
        answer = api("GET", "products", params={"filter": f"externalId|in|{value}"})
        return sorted(row["name"] for row in answer.json()["data"]) if answer.status_code == 200 else []

    escaped = r"a\,b,c\;d,e\|f,g\\h,i"
    assert names_by("a,b,i") == ["i"]
    assert names_by(escaped) == []
    sandbox.behaviour = Behaviour(filter_escapes="backslash")
    assert names_by(escaped) == sorted(names)


@pytest.mark.parametrize(
    ("position", "place"),
    [("indexed", {"fieldName": "[1].vat"}), ("bare", {"fieldName": "vat"}), ("path", {"path": ["[1]", "vat"]})],
)
def test_how_a_violation_names_a_field(
    api: Api,
    sandbox: Sandbox,
    category: int,  # noqa: F811
    position: str,
    place: dict[str, Any],
) -> None:
    sandbox.behaviour = Behaviour(violation_paths=position)
    answer = api("POST", "products", json=[product(category), product(category, vat=21)])
    assert answer.json()["violations"] == [place | {"message": "must be a multiplier from 1.0 to 2.0"}]


@pytest.mark.parametrize(
    ("position", "without", "other"), [("ignored", 200, 200), ("checked", 200, 412), ("required", 428, 412)]
)
def test_delete_with_if_match(
    api: Api, sandbox: Sandbox, row: dict[str, Any], position: str, without: int, other: int
) -> None:
    sandbox.behaviour = Behaviour(delete_if_match=position)
    path = f"products/{row['id']}"
    assert api("DELETE", path, headers={"If-Match": '"1"'}).status_code == other
    assert api("DELETE", path, headers={"If-Match": api("GET", path).headers["ETag"]}).status_code == 200
    assert api("DELETE", path).status_code == without
