from __future__ import annotations

import itertools
import math
import uuid
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import Field, entities, find_entity
from airflow_provider_dotypos.sandbox import Behaviour, Shop
from airflow_provider_dotypos.sandbox.api.wire import write_row
from airflow_provider_dotypos.sandbox.behaviour import CHOICES
from airflow_provider_dotypos.writes import values
from airflow_provider_dotypos.writes.values import read_value, same


def field(name: str, entity: str = "products") -> Field:
    return find_entity(entity).field(name)


class Unit(Enum):
    PIECE = "Piece"


PRAGUE = timezone(timedelta(hours=1))

READ = [
    # doubles: canonical text, no exponent, no needless zeros
    ("products", "priceWithVat", 285, "285"),
    ("products", "priceWithVat", 285.0, "285"),
    ("products", "priceWithVat", "285.00", "285"),
    ("products", "priceWithVat", Decimal("285.50"), "285.5"),
    ("products", "priceWithVat", Decimal("1E+2"), "100"),
    ("products", "priceWithVat", "1e-7", "0.0000001"),
    ("products", "priceWithVat", " 41.32231404958677685950 ", "41.3223140495867768595"),
    ("products", "priceWithVat", 41.32231404958677, "41.32231404958677"),
    ("products", "priceWithVat", "-0.0", "0"),
    ("products", "priceWithVat", numpy.float64(1.5), "1.5"),
    ("products", "priceWithVat", numpy.int64(7), "7"),
    ("customer-accounts", "allowedMinimalBalance", Decimal("-1E+60"), "-1E+60"),
    # whole numbers: all digits
    ("products", "_categoryId", 7_123_456_789_012_345, "7123456789012345"),
    ("products", "_categoryId", "7123456789012345", "7123456789012345"),
    ("products", "_categoryId", Decimal("7123456789012345"), "7123456789012345"),
    ("products", "_categoryId", 7_123_456_789_012_345.0, "7123456789012345"),
    ("products", "_categoryId", -401, "-401"),
    ("products", "sortOrder", "5.0", "5"),
    ("products", "flags", -(2**40), str(-(2**40))),
    ("products", "minCustomerAge", "18", "18"),
    # text
    ("products", "externalId", "0042", "0042"),
    ("products", "externalId", 42, "42"),
    ("products", "externalId", Decimal("42"), "42"),
    ("products", "externalId", uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    ("products", "unit", Unit.PIECE, "Piece"),
    ("products", "name", "  Čaj 🍵 ", "  Čaj 🍵 "),
    ("customers", "note", "", ""),
    # truths
    ("products", "display", True, True),
    ("products", "display", "False", False),
    ("products", "display", 1, True),
    ("products", "display", 0, False),
    ("products", "display", "TRUE", True),
    ("products", "display", numpy.bool_(True), True),
    ("products", "display", b"\1", True),
    ("products", "priceWithVat", numpy.float32(125.1), "125.1"),
    ("products", "priceWithVat", numpy.float64(125.1), "125.1"),
    ("products", "display", b"\0", False),
    # times
    ("customers", "expireDate", "2026-01-15T12:00:00Z", "2026-01-15T12:00:00.000Z"),
    ("customers", "expireDate", "2026-01-15T13:00:00.5+01:00", "2026-01-15T12:00:00.500Z"),
    ("customers", "expireDate", "2026-01-15T12:00:00+0000", "2026-01-15T12:00:00.000Z"),
    ("customers", "expireDate", datetime(2026, 1, 15, 13, tzinfo=PRAGUE), "2026-01-15T12:00:00.000Z"),
    ("customers", "expireDate", 1_768_478_400_000, "2026-01-15T12:00:00.000Z"),
    ("customers", "expireDate", "1768478400000", "2026-01-15T12:00:00.000Z"),
    ("customers", "expireDate", pandas.Timestamp("2026-01-15T12:00:00Z"), "2026-01-15T12:00:00.000Z"),
    ("customers", "birthday", 10**9 - 1, "1970-01-12T13:46:39.999Z"),
    ("customers", "birthday", 10**10, "1970-04-26T17:46:40.000Z"),
    ("customers", "birthday", "0985-07-01T00:00:00Z", "0985-07-01T00:00:00.000Z"),
    # lists
    ("products", "ean", "8594001", ["8594001"]),
    ("products", "ean", 8594001, ["8594001"]),
    ("products", "ean", ["1", 2], ["1", "2"]),
    ("products", "tags", '["a", "b"]', ["a", "b"]),
    ("products", "tags", "[not JSON", ["[not JSON"]),
    ("products", "tags", numpy.array(["a", "b"]), ["a", "b"]),
    ("products", "allergens", [1, "7"], ["1", "7"]),
    # objects
    ("products", "translatedName", {"en": "Tea", "de": None}, {"en": "Tea", "de": None}),
    ("products", "translatedName", '{"en": "Tea"}', {"en": "Tea"}),
    ("products", "translatedName", None, None),
]


@pytest.mark.parametrize(("entity", "name", "value", "read"), READ)
def test_a_value_is_read_as_the_api_writes_it(entity: str, name: str, value: object, read: object) -> None:
    got = read_value(field(name, entity), value)
    assert got == read
    assert type(got) is type(read)


REFUSED = [
    ("priceWithVat", math.nan, "not NaN, which pandas has for missing values; give None for null"),
    ("priceWithVat", math.inf, "must be a number such as 41.5, not one so large or so small"),
    ("priceWithVat", Decimal("NaN"), "give None for null"),
    ("priceWithVat", Decimal("sNaN"), "give None for null"),
    ("priceWithVat", pandas.NA, "missing value of pandas"),
    ("priceWithVat", "NaN", "must be a number"),
    ("priceWithVat", "1e300", "below 2"),
    ("priceWithVat", "1E+999999999999", "not one so large or so small"),
    ("priceWithVat", Decimal("1E-400"), "not one so large or so small"),
    ("_categoryId", Decimal("1E+999999999999"), "not one so large or so small"),
    ("priceWithVat", 2**53, "below 2"),
    ("priceWithVat", "12,50", "write a point in place of the comma"),
    ("priceWithVat", "1 234.50", "must be a number such as 41.5"),
    ("priceWithVat", "12.50 Kč", "must be a number"),
    ("priceWithVat", "1_000", "must be a number"),
    ("priceWithVat", "١٢", "must be a number"),
    ("priceWithVat", True, "must be a number such as 41.5, not a value of type bool"),
    ("priceWithVat", "", "must be a number"),
    ("priceWithVat", [1], "not a value of type list"),
    ("_categoryId", 1.5, "not one with a fraction"),
    ("_categoryId", 2.0**53, "all its digits"),
    ("_categoryId", 9_007_199_254_740_994.0, "all its digits"),
    ("_categoryId", "9007199254740994.0", "all its digits"),
    ("_categoryId", "2.4137645982054e+15", "all its digits"),
    ("_categoryId", 2**63, "at most 64 bits"),
    ("minCustomerAge", 2**31, "at most 32 bits"),
    ("name", "x" * 401, "at most 400 characters"),
    ("name", 1.5, "format the number"),
    ("name", Decimal("42.00"), "format the number"),
    ("name", b"x", "decode it"),
    ("name", True, "must be text"),
    ("name", "half \ud83d", "lone surrogate"),
    ("name", "a\0b", "NUL"),
    ("name", date(2026, 1, 1), "must be text"),
    ("notes", ["x" * 1001], "at most 1000 characters"),
    ("display", "yes", "true or false"),
    ("display", 2, "true or false"),
    ("display", b"1", "true or false"),
    ("ean", "", r"give \[\] for none"),
    ("ean", {"1"}, "must be a list"),
    ("tags", [None], "must be text"),
    ("allergens", ["milk"], "must be a whole number"),
    ("translatedName", "Tea", "texts by language"),
    ("translatedName", {"en": {"x": 1}}, "must be text"),
    ("translatedName", {1: "Tea"}, "texts by language"),
]


@pytest.mark.parametrize(("name", "value", "why"), REFUSED)
def test_a_value_that_a_field_cannot_hold_is_refused(name: str, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_value(field(name), value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("2026-01-15", "not a bare date"),
        (date(2026, 1, 15), "not a bare date"),
        ("2026-01-15T12:00:00", "a time with its zone"),
        (datetime(2026, 1, 15), "a zone can't be guessed"),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), "in the years 1 to 9999, in UTC"),
        (pandas.NaT, "missing value of pandas"),
        (10**9, "not seconds"),
        (10**10 - 1, "not seconds"),
        ("1768478400", "not seconds"),
        (True, "a time with its zone"),
        ("tomorrow", "a time with its zone"),
        (10**18, "a time with its zone"),
    ],
)
def test_a_time_that_leaves_something_to_guess_is_refused(value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_value(field("expireDate", "customers"), value)


def test_nothing_of_a_value_is_in_a_message() -> None:
    for name, value, _ in REFUSED:
        if isinstance(value, str) and len(value.strip()) > 3:
            with pytest.raises(ValueError, match="must") as raised:
                read_value(field(name), value)
            assert value.strip() not in str(raised.value)


def test_every_writable_field_has_a_reader() -> None:
    types = {f.type for entity in entities().values() for f in entity.fields.values() if not f.read_only}
    assert types <= set(values._READERS)
    with pytest.raises(ValueError, match="can't be written"):
        read_value(field("branches", "manifest"), [])


SAME = [
    ("priceWithVat", "41.32231404958677685950", "41.32231404958678", True),
    ("priceWithVat", "285", 285.0, True),
    ("priceWithVat", "285.00", "285", True),
    ("priceWithVat", "1E+2", "100", True),
    ("priceWithVat", "285", "285.01", False),
    ("priceWithVat", None, "0", False),
    ("priceWithVat", None, None, True),
    ("_categoryId", "7123456789012345", 7_123_456_789_012_345, True),
    ("_categoryId", "7123456789012345", "7123456789012346", False),
    ("flags", "-1", -1, True),
    ("name", "a", "a ", False),
    ("name", "", None, True),  # can't be null
    ("externalId", "", None, False),  # may be null
    ("externalId", "42", 42, True),
    ("tags", ["a", "b"], ["b", "a"], True),
    ("tags", ["a"], "a", True),
    ("tags", [], None, True),
    ("tags", ["a"], None, False),
    ("ean", ["1", "2"], ["2", "1"], False),
    ("ean", ["1"], "1", True),
    ("allergens", ["1", "7"], [7, 1], True),
    ("display", True, "true", True),
    ("display", None, False, False),
    ("deleted", None, False, True),
    ("deleted", None, True, False),
    ("translatedName", {"en": "Tea", "de": None}, {"en": "Tea"}, True),
    ("translatedName", {"en": "Tea"}, {"en": "tea"}, False),
    ("translatedName", {}, None, False),
    ("priceWithVat", "odd", "odd", True),  # what a row holds against its type
    ("priceWithVat", "odd", "1", False),
    ("name", "x" * 500, "x" * 500, True),
]


@pytest.mark.parametrize(("name", "one", "other", "equal"), SAME)
def test_values_are_compared_by_what_they_mean(name: str, one: Any, other: Any, equal: bool) -> None:
    assert same(field(name), one, other) is equal
    assert same(field(name), other, one) is equal


@pytest.mark.parametrize(
    "form",
    [
        "2026-01-15T12:00:00.000Z",
        "2026-01-15T12:00:00Z",
        "2026-01-15T12:00:00+0000",
        "2026-01-15T13:00:00.000+01:00",
        1_768_478_400_000,
        "1768478400000",
        "2026-01-15T12:00:00.250Z",  # beside one that shows no fraction
    ],
)
def test_a_time_is_the_same_in_each_form_of_answers(form: object) -> None:
    expire = field("expireDate", "customers")
    assert same(expire, "2026-01-15T12:00:00.000Z", form)
    assert not same(expire, "2026-01-15T12:00:01.000Z", form)
    assert not same(expire, None, form)


def test_two_times_with_fractions_are_compared_with_them() -> None:
    assert not same(field("expireDate", "customers"), "2026-01-15T12:00:00.250Z", "2026-01-15T12:00:00.251Z")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=1 - 2**53, max_value=2**53 - 1))
def test_no_digit_of_a_number_is_lost(number: Decimal) -> None:
    price = field("priceWithVat")
    text = read_value(price, number)
    assert Decimal(text) == number
    assert read_value(price, text) == text
    assert same(price, text, repr(float(number)))  # as the double that a server makes of it


@given(st.floats(min_value=1 - 2**53, max_value=2**53 - 1))
def test_a_float_keeps_its_value(number: float) -> None:
    assert float(read_value(field("priceWithVat"), number)) == number


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_an_id_keeps_every_digit(id: int) -> None:
    category = field("_categoryId")
    assert read_value(category, id) == read_value(category, str(id)) == str(id)
    assert not same(category, str(id), str(id + 1))


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_is_cut_to_milliseconds_and_read_again(moment: datetime) -> None:
    expire = field("expireDate", "customers")
    try:
        text = read_value(expire, moment)
    except (ValueError, OverflowError):  # beyond the years 1 to 9999 in UTC
        return
    assert read_value(expire, text) == text
    assert same(expire, text, text.replace("Z", "+00:00"))


ONE_OF_EACH_TYPE = {known.type: known for entity in entities().values() for known in entity.fields.values()}


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.binary() | st.integers(), st.lists))
def test_whatever_a_row_holds_is_compared_without_an_error(value: Any) -> None:
    for known in ONE_OF_EACH_TYPE.values():
        assert same(known, value, value) is True or value != value


FORMS = ("timestamp_precision", "timestamp_zone", "nulls", "numbers")


def test_what_a_row_holds_is_the_same_in_every_form_of_answers() -> None:
    """So a plan of an unchanged source is empty, whichever form the API turns out to have."""
    shop = Shop.generate(seed=3, days=1, orders_per_day=1)
    behaviours = [
        Behaviour(**dict(zip(FORMS, choice, strict=True))) for choice in itertools.product(*map(CHOICES.get, FORMS))
    ]
    compared = Counter[str]()
    for entity in entities().values():
        rows = shop.rows(shop.cloud_ids[0], entity.name)[:5] if entity.writes else []
        for row in rows:
            answers = [write_row(row, behaviour) for behaviour in behaviours]
            for name, known in entity.fields.items():
                if known.read_only:
                    continue
                planned = read_value(known, answers[0].get(name))
                assert [name for answer in answers if not same(known, planned, answer.get(name))] == []
                compared[known.type] += 1
    assert {"double", "long", "timestamp", "string[]", "boolean", "string"} <= compared.keys()
