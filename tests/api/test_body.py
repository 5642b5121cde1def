"""A write's body is sent exactly as given, or not at all (`body`)."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import uuid
from collections import UserDict, UserList
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api.body import encode_body, read_text
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.sandbox import Sandbox
from tests.conftest import NewClient

PRAGUE = timezone(timedelta(hours=1))
MOMENT = datetime(2026, 1, 1, 12, 30, tzinfo=PRAGUE)


@dataclasses.dataclass
class Price:
    amount: Any


class Unit(enum.Enum):
    PIECE = "Piece"
    BROKEN = math.nan


def looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def rows(value: object, at: int = 3) -> list[dict[str, object]]:
    return [{"name": str(i), **({"priceWithVat": value} if i == at else {})} for i in range(at + 1)]


UNSENDABLE = [
    math.nan,
    math.inf,
    -math.inf,
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
    datetime(2026, 1, 1),
    timedelta(1),
    b"bytes",
    bytearray(b"bytes"),
    {1, 2},
    frozenset({1}),
    Fraction(1, 3),
    "half a character \ud83d",
    1j,
    object(),
    (i for i in "ab"),
    Unit.BROKEN,
]


@pytest.mark.parametrize("value", UNSENDABLE, ids=lambda value: type(value).__name__)
def test_what_json_has_no_exact_form_for_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(errors.DotyposInputError, match=r"json\[3\]\.priceWithVat is "):
        encode_body(rows(value))
    with pytest.raises(errors.DotyposInputError, match=r"json\.items\[0\]\.amount is "):
        encode_body({"items": [Price(value)]})


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1,), b"name"])
def test_field_names_are_text(key: object) -> None:
    with pytest.raises(errors.DotyposInputError, match=r"a key of json\[0\]"):
        encode_body([{key: 1}])


@pytest.mark.parametrize("body", ["", "[]", "some text", 5, 1.5, True, MOMENT, Decimal(1), uuid.uuid4(), math.nan])
def test_a_body_is_an_object_or_an_array(body: object) -> None:
    with pytest.raises(errors.DotyposInputError, match="json"):
        encode_body(body)


def test_a_text_is_told_what_to_do() -> None:
    with pytest.raises(errors.DotyposInputError, match=r"json\.loads.*render_template_as_native_obj"):
        encode_body('[{"name": "vegan"}]')


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Decimal("41.322314049586776859504132231"), "41.322314049586776859504132231"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.00"), "-0.00"),
        (41.3223140495868, 41.3223140495868),
        (2**63, 2**63),
        (9007199254740993, 9007199254740993),
        (MOMENT, "2026-01-01T12:30:00.000+01:00"),
        (MOMENT.replace(microsecond=123000), "2026-01-01T12:30:00.123+01:00"),
        (MOMENT.replace(microsecond=123456), "2026-01-01T12:30:00.123456+01:00"),
        (date(2026, 1, 1), "2026-01-01"),
        (time(8, 30), "08:30:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Unit.PIECE, "Piece"),
        (Price(Decimal("1.10")), {"amount": "1.10"}),
        (UserDict(a=1), {"a": 1}),
        (UserList([1]), [1]),
        ((1, 2), [1, 2]),
        ("žluť 😀", "žluť 😀"),
        (None, None),
        (True, True),
    ],
    ids=str,
)
def test_what_json_has_a_form_for_goes_out_whole(value: object, sent: object) -> None:
    assert json.loads(encode_body({"value": value})) == {"value": sent}


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    body = {"a": numpy.float64(1.1), "b": numpy.int64(2**53 + 1), "c": numpy.float32(0.5)}
    assert json.loads(encode_body(body)) == {"a": 1.1, "b": 2**53 + 1, "c": 0.5}
    for value in (numpy.float64("nan"), numpy.datetime64("2026-01-01"), numpy.timedelta64(1, "s"), numpy.array([1])):
        with pytest.raises(errors.DotyposInputError, match=r"json\.a"):
            encode_body({"a": value})


def test_a_body_that_holds_itself_is_refused() -> None:
    with pytest.raises(errors.DotyposInputError, match="too deeply"):
        encode_body(looped())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
# A busy machine is no fault of a body's.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


@unhurried
@given(st.lists(json_values) | st.dictionaries(st.text(), json_values))
def test_json_arrives_as_it_was(body: Any) -> None:
    assert json.loads(encode_body(body)) == body


@unhurried
@given(st.lists(json_values) | st.dictionaries(st.text(), json_values), st.integers(0, 3))
def test_json_text_is_sent_as_it_stands(body: Any, indent: int) -> None:
    text = json.dumps(body, indent=indent)
    try:
        assert encode_body(read_text(text)) == text.encode()
    except errors.DotyposInputError:
        assert any(abs(number) > 2**63 for number in numbers_in(body))


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, (list, dict)):
        return [n for item in (value.values() if isinstance(value, dict) else value) for n in numbers_in(item)]
    return [value] if isinstance(value, (int, float)) else []


def test_a_time_that_is_none_is_refused_by_its_place() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(errors.DotyposInputError, match=r"json\[0\]\.a is NaT; send a time, or None for null"):
        encode_body([{"a": pandas.NaT}])


def test_json_text_with_a_number_that_is_none_tells_where() -> None:
    with pytest.raises(errors.DotyposInputError, match=r"object or array \(.*\(byte 6\)\)"):
        read_text('{"a": NaN}')


@pytest.mark.parametrize(
    "text", ["", "vegan", "[{'name': 'vegan'}]", '"text"', "5", "null", "[NaN]", "[1", "[" * 10**5]
)
def test_text_that_is_no_json_object_or_array_is_refused(text: str) -> None:
    with pytest.raises(errors.DotyposInputError, match="tojson"):
        read_text(text)


def test_nothing_is_sent_of_a_body_that_is_refused(sandbox: Sandbox, new_client: NewClient) -> None:
    for body in (rows(math.nan), "[]", msgspec.UNSET):
        with pytest.raises(errors.DotyposInputError):
            new_client().call("POST", "tags", json=body, decode=Answer.json)
    assert not sandbox.requests
