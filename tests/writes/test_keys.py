from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import entities, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.writes.keys import NATURAL_KEYS, check_match, row_keys, source_key
from airflow_provider_dotypos.writes.values import read_value

PRODUCTS = find_entity("products")


@pytest.mark.parametrize(
    ("match", "fields"),
    [
        ("externalId", ("externalId",)),
        (["externalId"], ("externalId",)),
        ("externalId, name", ("externalId", "name")),
        (("_categoryId", "name"), ("_categoryId", "name")),
        ("ean", ("ean",)),
        ("id", ("id",)),
    ],
)
def test_rows_are_matched_by_fields(match: Any, fields: tuple[str, ...]) -> None:
    assert check_match(PRODUCTS, match) == fields


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ("", "match is empty: .* externalId or id"),
        ([], "match is empty"),
        ("external_id", "did you mean 'externalId'"),
        ("name,name", "twice"),
        ("display", "can't tell rows"),
        ("deleted", "can't tell rows"),
        ("tags", "can't tell rows"),
        ("translatedName", "can't tell rows"),
        ("_cloudId", "only you change"),
        ("versionDate", "only you change"),
        (5, "must be names"),
    ],
)
def test_fields_that_tell_nothing_apart_are_refused(match: Any, why: str) -> None:
    with pytest.raises(DotyposInputError, match=why):
        check_match(PRODUCTS, match)


def test_an_empty_match_names_the_natural_key() -> None:
    with pytest.raises(DotyposInputError, match="which is value of taxes"):
        check_match(find_entity("taxes"), "")


def test_natural_keys_are_fields_that_a_create_must_name() -> None:
    for name, fields in NATURAL_KEYS.items():
        entity = entities()[name]
        assert check_match(entity, fields) == fields
        assert all(entity.fields[field].required for field in fields)


@pytest.mark.parametrize(
    ("match", "raw", "row"),
    [
        (["externalId"], {"externalId": 42}, {"externalId": "42"}),
        (["id"], {"id": 7_123_456_789_012_345}, {"id": "7123456789012345"}),
        (["_categoryId", "name"], {"_categoryId": 5, "name": "Tea"}, {"_categoryId": "5", "name": "Tea"}),
        (["priceWithVat"], {"priceWithVat": "41.32231404958677685950"}, {"priceWithVat": "41.32231404958678"}),
        (["priceWithVat"], {"priceWithVat": "285.00"}, {"priceWithVat": 285.0}),
        (["ean"], {"ean": "859"}, {"ean": "859"}),
    ],
)
def test_a_row_of_the_source_and_one_of_the_cloud_have_the_same_key(
    match: list[str], raw: dict[str, Any], row: dict[str, Any]
) -> None:
    values = {name: read_value(PRODUCTS.fields[name], value) for name, value in raw.items()}
    assert row_keys(PRODUCTS, match, row) == [source_key(PRODUCTS, match, values)]


def test_a_row_of_the_cloud_has_a_key_for_each_value_of_a_list() -> None:
    row = {"ean": ["1", "2", "2"], "name": "Tea"}
    assert row_keys(PRODUCTS, ["name", "ean"], row) == [("Tea", "1"), ("Tea", "2")]


@pytest.mark.parametrize("row", [{}, {"ean": None}, {"ean": []}, {"ean": [""]}, {"ean": {}}])
def test_a_row_without_a_value_has_no_key(row: dict[str, Any]) -> None:
    assert row_keys(PRODUCTS, ["ean"], row) == []


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"ean": ["1", "2"]}, "ean has 2 values"),
        ({"ean": []}, "ean is empty"),
        ({}, "ean is empty"),
        ({"ean": ""}, "ean is empty"),
    ],
)
def test_a_row_of_the_source_has_one_key(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        source_key(PRODUCTS, ["ean"], values)
