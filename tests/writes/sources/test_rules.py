from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.writes.sources.rules import check_whole, checked_row

CLOUD = 355
PRODUCTS = find_entity("products")


def problems(
    raw: dict[str, Any], entity: str = "products", match: tuple[str, ...] = ("externalId",), **how: Any
) -> Any:
    """Return the problems of a row by their field."""
    key: dict[str, Any] = {} if "externalId" not in match else {"externalId": "A-1"}
    _, wrong = checked_row(find_entity(entity), key | raw, 7, match=match, cloud_id=CLOUD, **how)
    assert all(problem.row == 7 for problem in wrong)
    return {problem.field: problem.what for problem in wrong}


WRONG = [
    ("products", {"prize": 1}, "prize", "has no such field"),
    ("products", {"priceWithVt": 1}, "priceWithVt", "did you mean 'priceWithVat'"),
    ("products", {"pricewithvat": 1}, "pricewithvat", "did you mean 'priceWithVat'.*isn't in quotes"),
    ("products", {None: 1}, "None", "has no such field"),
    ("products", {"versionDate": "2026-01-15T12:00:00Z"}, "versionDate", "the API sets it or ignores it"),
    ("products", {"id": 5}, "id", "the API sets it or ignores it"),
    ("products", {"purchasePriceWithoutVat": 5}, "purchasePriceWithoutVat", "ignores it"),
    ("products", {"externalIds": ["x"]}, "externalIds", "ignores it"),
    ("products", {"priceWithVat": "dear"}, "priceWithVat", "must be a number"),
    ("products", {"name": "x" * 401}, "name", "at most 400 characters"),
    ("products", {"tags": ["a", "b,c"]}, "tags", "characters"),
    ("products", {"tags": "new?"}, "tags", "characters"),
    ("products", {"imageUrl": "https://x"}, "imageUrl", "can only be cleared"),
    ("products", {"deleted": True}, "deleted", r"actions=\('delete',\)"),
    ("products", {"deleted": "true"}, "deleted", r"actions=\('delete',\)"),
    ("products", {"deleted": "maybe"}, "deleted", "must be true or false"),
    ("products", {"vat": 21}, "vat", r"did you mean 1\.21\?"),
    ("products", {"vat": "15.00"}, "vat", r"did you mean 1\.15\?"),
    ("products", {"vat": 0.21}, "vat", r"did you mean 1\.21\?"),
    ("products", {"vat": 100}, "vat", r"did you mean 2\?"),
    ("products", {"vat": 0}, "vat", r"such as 1\.21 for 21 %$"),
    ("products", {"vat": -1}, "vat", r"such as 1\.21 for 21 %$"),
    ("products", {"vat": 101}, "vat", r"such as 1\.21 for 21 %$"),
    ("products", {"vat": 2.01}, "vat", r"did you mean 1\.0201\?"),
    ("categories", {"vat": 10}, "vat", r"did you mean 1\.1\?"),
    ("products", {"_cloudId": 356}, "_cloudId", "another cloud than 355"),
    ("products", {"externalId": None}, "externalId", "missing or null"),
    ("customers", {"points": -1}, "points", "at least 0"),
    ("discount-groups", {"discountPercent": 101}, "discountPercent", "at most 100"),
]


@pytest.mark.parametrize(("entity", "raw", "name", "why"), WRONG)
def test_what_is_wrong_with_a_row_is_said(entity: str, raw: dict[str, Any], name: str, why: str) -> None:
    wrong = problems(raw, entity)
    assert list(wrong) == [name]
    with pytest.raises(ValueError, match=why):
        raise ValueError(wrong[name])


@pytest.mark.parametrize(
    ("entity", "raw"),
    [
        ("products", {"vat": 1}),
        ("products", {"vat": "1.21"}),
        ("categories", {"vat": 2}),
        ("products", {"tags": ["new", "vegan.2"]}),
        ("customers", {"points": 0}),
        ("customers", {"points": 10**6}),
        ("discount-groups", {"discountPercent": 100}),
        ("discount-groups", {"discountPercent": -5}),
    ],
)
def test_what_is_right_is_no_problem(entity: str, raw: dict[str, Any]) -> None:
    assert problems(raw, entity) == {}


@pytest.mark.parametrize("name", ["", ".portion", "  ", "a*b"])
def test_a_tag_has_a_name_that_tags_can_have(name: str) -> None:
    wrong = problems({"name": name, "display": True}, "tags", match=("externalId",))
    assert set(wrong) == {"name"}


@pytest.mark.parametrize(("value", "right"), [("21", True), ("0", True), ("-1", False), ("100.5", False)])
def test_a_tax_is_a_percentage(value: str, right: bool) -> None:
    assert (problems({"value": value}, "taxes", match=("name",)).get("value") is None) is right


@pytest.mark.parametrize("raw", [{}, {"Jan Novák": "+420 602 000 000", "jan@example.com": "x"}])
def test_names_that_may_be_values_are_not_shown(raw: dict[str, Any]) -> None:
    wrong = problems(raw, match=())
    assert wrong == {None: "has no field of products: columns must have the names of fields"}


def test_a_column_in_another_case_is_named_with_its_field() -> None:
    raw = {"externalid": "A-1", "pricewithvat": 1}  # of PostgreSQL, where an alias isn't in quotes
    for fields in (None, ["priceWithVat"]):
        _, wrong = checked_row(PRODUCTS, raw, 1, match=["externalId"], cloud_id=CLOUD, fields=fields)
        said = {problem.field: problem.what for problem in wrong}
        assert set(said) == {"externalid", "pricewithvat", "externalId"}
        assert "did you mean 'priceWithVat'? Databases fold the case" in said["pricewithvat"]
        assert "did you mean 'externalId'?" in said["externalid"]
    assert problems({"externalId": "A-1", "externalid": 7, "name": "x"}, fields=["name"]) == {}


def test_a_strange_name_of_a_column_is_cut() -> None:
    (name,) = problems({"x\n" * 100: 1})
    assert name.startswith("'x\\nx")
    assert len(name) == 61
    assert set(problems({"x" * 60: 1, "y" * 61: 1})) == {"x" * 60, "'" + "y" * 59 + "…"}


def test_every_problem_of_a_row_is_said_at_once() -> None:
    raw = {name: value for entity, row, _, _ in WRONG if entity == "products" for name, value in row.items()}
    assert set(problems(raw)) == {name for entity, _, name, _ in WRONG if entity == "products"}


def test_a_right_row_gives_its_values_in_the_form_of_the_api() -> None:
    raw = {"externalId": 42, "priceWithVat": "285.00", "deleted": False, "_cloudId": str(CLOUD), "ean": "859"}
    values, wrong = checked_row(PRODUCTS, raw, 1, match=["externalId"], cloud_id=CLOUD)
    assert wrong == []
    assert values == {"externalId": "42", "priceWithVat": "285", "ean": ["859"]}


def test_a_null_leaves_its_field_alone_unless_nulls_clear() -> None:
    raw = {"externalId": "A-1", "description": None, "imageUrl": None}
    kept, _ = checked_row(PRODUCTS, raw, 1, match=["externalId"], cloud_id=CLOUD)
    cleared, wrong = checked_row(PRODUCTS, raw, 1, match=["externalId"], cloud_id=CLOUD, nulls="clear")
    assert kept == {"externalId": "A-1"}
    assert cleared == {"externalId": "A-1", "description": None, "imageUrl": None}
    assert wrong == []


def test_a_field_that_cannot_be_null_is_not_cleared() -> None:
    wrong = problems({"name": None, "vat": None, "externalId": None}, nulls="clear")
    assert "an empty text" in wrong["name"]
    assert "an empty text" not in wrong["vat"]
    assert "missing or null" in wrong["externalId"]


def test_fields_that_are_not_to_be_written_are_not_looked_at() -> None:
    raw = {"externalId": "A-1", "versionDate": "x", "nested": [{}], "vat": 21, "_cloudId": CLOUD, "priceWithVat": 1}
    values, wrong = checked_row(PRODUCTS, raw, 1, match=["externalId"], cloud_id=CLOUD, fields=["priceWithVat"])
    assert wrong == []
    assert values == {"externalId": "A-1", "priceWithVat": "1"}


def test_the_cloud_of_a_row_is_looked_at_whatever_is_written() -> None:
    assert set(problems({"_cloudId": 1}, fields=["priceWithVat"])) == {"_cloudId"}
    assert problems({"_cloudId": None}) == {}


def test_rows_can_be_matched_by_an_id_that_no_write_sets() -> None:
    values, wrong = checked_row(PRODUCTS, {"id": 5, "priceWithVat": 1}, 1, match=["id"], cloud_id=CLOUD)
    assert (values, wrong) == ({"id": "5", "priceWithVat": "1"}, [])
    assert set(problems({"priceWithVat": 1}, match=("id",))) == {"id"}


NEW_TAG = {"name": "spicy", "display": True}


def whole(entity: str, values: dict[str, Any], now: dict[str, Any] | None) -> dict[str | None, str]:
    return {problem.field: problem.what for problem in check_whole(find_entity(entity), 3, values, now)}


def test_a_new_row_needs_every_required_field() -> None:
    assert whole("tags", NEW_TAG, None) == {}
    assert set(whole("tags", {}, None)) == {"name", "display"}
    assert set(whole("tags", {"name": None, "display": True}, None)) == {"name"}
    assert whole("tags", {}, {"name": "spicy"}) == {}


@pytest.mark.parametrize(
    ("values", "now", "right"),
    [
        ({"priceWithVat": "121", "priceWithoutVat": "100", "vat": "1.21"}, {}, True),
        ({"priceWithVat": "121", "priceWithoutVat": "100"}, {"vat": "1.21"}, True),
        ({"priceWithVat": "285", "priceWithoutVat": "235.54"}, {"vat": 1.21}, True),  # rounded to cents
        ({"priceWithVat": "1049", "priceWithoutVat": "826"}, {"vat": "1.27"}, True),  # a currency without cents
        ({"priceWithVat": "121", "priceWithoutVat": "100"}, {"vat": "1.15"}, False),
        ({"priceWithVat": "121", "priceWithoutVat": "100", "vat": "1.15"}, {"vat": "1.21"}, False),
        ({"priceWithVat": "121"}, {"priceWithoutVat": "1", "vat": "1.21"}, True),  # the API's affair, or the plan's
        ({"priceWithVat": None, "priceWithoutVat": "100"}, {"vat": "1.21"}, True),
        ({"priceWithVat": "121", "priceWithoutVat": "100"}, {}, True),  # nothing to compare by
    ],
)
def test_both_prices_of_a_row_agree(values: dict[str, Any], now: dict[str, Any], right: bool) -> None:
    assert (whole("products", values, now) == {}) is right


@pytest.mark.parametrize(
    ("values", "now", "right"),
    [
        ({"flags": "4", "requiresPriceEntry": True}, {}, True),
        ({"flags": "-4", "requiresPriceEntry": True}, {}, True),  # signed: bit 2 is set
        ({"flags": "4"}, {"requiresPriceEntry": True}, True),
        ({"flags": "4"}, {"requiresPriceEntry": False}, False),
        ({"requiresPriceEntry": True}, {"flags": "0"}, False),
        ({"name": "x"}, {"flags": "4", "requiresPriceEntry": False}, True),  # as it was
    ],
)
def test_flags_agree_with_the_field_that_says_the_same(
    values: dict[str, Any], now: dict[str, Any], right: bool
) -> None:
    assert (whole("products", values, now) == {}) is right


@pytest.mark.parametrize(
    ("entity", "values", "now", "right"),
    [
        ("customers", {"firstName": ""}, {"firstName": "Eva", "lastName": "", "companyName": ""}, False),
        ("customers", {"firstName": ""}, {"firstName": "Eva", "lastName": "Nová"}, True),
        ("customers", {"note": "x"}, {"firstName": ""}, True),
        ("customers", {"firstName": ""}, {"firstName": "Eva", "lastName": "", "companyName": "Tea"}, True),
        ("employees", {"name": " "}, {}, False),
        ("employees", {"phone": "1"}, {"name": ""}, True),
        ("taxes", {"value": "0"}, {"flags": "0"}, False),
        ("taxes", {"value": "0", "flags": "2"}, {}, True),
        ("taxes", {"value": "21"}, {"flags": "2"}, False),
        ("warehouse-branches", {"visible": True}, {"subscribed": False}, False),
        ("warehouse-branches", {"subscribed": False}, {"visible": True}, False),
        ("warehouse-branches", {"visible": True}, {"subscribed": True}, True),
    ],
)
def test_a_row_is_right_as_a_whole(entity: str, values: dict[str, Any], now: dict[str, Any], right: bool) -> None:
    assert (whole(entity, values, now) == {}) is right
