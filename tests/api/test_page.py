"""Reading list answers of every shape that the API may have."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.page import one_line, read_page, timestamp


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from([0, 60, 120, -330]),
    st.sampled_from(["ms", "s", "us", "tenths", "epoch"]),
    st.sampled_from(["Z", "+00:00", "+0000", "offset", "offset-bare"]),
)
def test_a_timestamp_reads_the_same_however_it_is_written(
    moment: datetime, minutes: int, precision: str, zone: str
) -> None:
    moment = moment.replace(tzinfo=timezone.utc)
    ms = int((moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(microseconds=1)) // 1000
    if precision == "epoch":
        assert timestamp(str(ms)) == timestamp(ms) == ms
        return
    shown = moment + timedelta(minutes=minutes) if zone.startswith("offset") else moment
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    colon = ":" if zone == "offset" else ""
    suffix = f"{sign}{size // 60:02}{colon}{size % 60:02}" if zone.startswith("offset") else zone
    fractions = {"ms": (f".{shown.microsecond // 1000:03}", 1), "s": ("", 1000), "us": (f".{shown.microsecond:06}", 1)}
    fraction, tick = fractions.get(precision, (f".{shown.microsecond // 100_000}", 100))
    assert timestamp(f"{shown:%Y-%m-%dT%H:%M:%S}{fraction}{suffix}") == ms - ms % tick


@pytest.mark.parametrize("text", ["2026-01-15T12:00:00", "2026-13-01T00:00:00Z", "today", "", "2026-01-15"])
def test_a_time_without_a_zone_or_sense_is_an_error_not_a_guess(text: str) -> None:
    with pytest.raises(DotyposResponseError, match="can't be read"):
        timestamp(text)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b'{"data": 5}', b'{"rows": []}', b'{"data": [1]}', b"5", b"\xff"]
)
def test_what_is_no_list_is_an_error_without_its_content(body: bytes) -> None:
    with pytest.raises(DotyposResponseError, match="not a Dotypos list"):
        read_page(body, None)


@pytest.mark.parametrize("marker", [True, 1, 1.0, "1", "true"])
def test_a_deleted_row_is_marked_in_any_kind(marker: object) -> None:
    assert read_page(msgspec.json.encode([{"id": 1, "deleted": marker}, {"id": 2, "deleted": None}]), None).deleted == [
        True,
        False,
    ]


@pytest.mark.parametrize("id", [None, "abc", "", 1.5, "9" * 25, "9" * 19, 2**63, -(2**63) - 1])
def test_a_row_without_a_proper_id_is_an_error(id: object) -> None:
    with pytest.raises(DotyposResponseError):
        read_page(msgspec.json.encode([{"id": id}]), None)


@pytest.mark.parametrize("id", [2**63 - 1, -(2**63), 0, -401])
def test_an_id_may_have_64_bits(id: int) -> None:
    assert read_page(msgspec.json.encode([{"id": id}, {"id": str(id)}]), None).ids == [str(id)] * 2


def test_envelopes_and_bare_arrays_numbers_and_texts_are_read_alike() -> None:
    for row in ({"id": "1", "versionDate": "1000"}, {"id": 1, "versionDate": 1000, "deleted": None}):
        for body in ([row], {"data": [row], "perPage": "100"}, {"data": [row], "perPage": 100, "nextPage": None}):
            page = read_page(msgspec.json.encode(body), "versionDate")
            assert (page.ids, page.cursors, page.deleted) == (["1"], [1000], [False])


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()))))
def test_a_pretty_printed_row_becomes_one_line_with_the_same_content(row: dict[str, object]) -> None:
    pretty = msgspec.json.format(msgspec.json.encode(row), indent=2).replace(b"\n", b"\r\n")
    line = bytes(one_line(msgspec.Raw(pretty)))
    assert b"\n" not in line
    assert b"\r" not in line
    assert msgspec.json.decode(line) == row


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\ude00 begun late", "\ufffd begun late"),
        (r"\ud83d\ud83d\ude00 twice", "\ufffd😀 twice"),
        (r"whole \uD83D\uDE00, and \\ud83d is text, \ud83d", "whole 😀, and \\ud83d is text, \ufffd"),
    ],
)
def test_half_a_character_in_a_text_does_not_keep_its_page_from_being_read(sent: str, read: str) -> None:
    page = read_page(b'{"data":[{"id":"1","note":"%s"},{"id":"2"}],"perPage":"100"}' % sent.encode(), None)
    assert page.ids == ["1", "2"]
    assert msgspec.json.decode(page.rows[0])["note"] == read
