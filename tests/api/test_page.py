"""Reading list answers of every shape that the API may have (`page`)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.page import check_page, decode_row, one_line, read_page, timestamp


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


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:01Z",
        "2026-01-01T00:01:00Z[UTC]",
        "2026-01-01T01:01+01:00",
        "2026-01-01T01:01+0100",
        "2026-01-01T01:01:00+01:00[Europe/Prague]",
        "2026-01-01T01:01:00.000+01:00[Europe/Prague][u-ca=iso8601]",
        "2026-01-01t00:01:00.000000z",
    ],
)
def test_a_time_may_be_written_as_java_or_iso_9557_do(text: str) -> None:
    assert timestamp(text) == 1767225660000


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-15T12:00:00",
        "2026-01-15T12:00",
        "2026-01-15T12:00[Europe/Prague]",
        "2026-01-15T12Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00+99:00",
        "today",
        "",
        "2026-01-15",
    ],
)
def test_a_time_without_a_zone_or_sense_is_an_error_not_a_guess(text: str) -> None:
    with pytest.raises(DotyposResponseError, match="can't be read"):
        timestamp(text)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b'{"data": 5}', b'{"rows": []}', b'{"data": [1]}', b"5", b"\xff"]
)
def test_what_is_no_list_is_an_error_without_its_content(body: bytes) -> None:
    with pytest.raises(DotyposResponseError, match="not a Dotypos list"):
        read_page(body, None)


@pytest.mark.parametrize(
    "value",
    [1e300, -1e300, 10**18, "9" * 18, "9" * 5000, "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999-01:00", "٢٠٢٦"],
    ids=lambda value: str(value)[:20],
)
def test_a_time_outside_the_years_1_to_9999_is_an_error_of_ours(value: str | float) -> None:
    with pytest.raises(DotyposResponseError, match="can't be read"):
        read_page(msgspec.json.encode([{"id": "1", "versionDate": value}]), "versionDate")


@pytest.mark.parametrize("moment", [-62135596800000, 253402300799999])
def test_a_time_may_be_the_first_or_last_of_these_years(moment: int) -> None:
    assert timestamp(moment) == timestamp(str(moment)) == moment


DEEP = b"[" * 100_000 + b"]" * 100_000
LONG = b"9" * 5000


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b'{"data": ' + DEEP + b"}",
        b'{"extra": ' + DEEP + b', "data": []}',
        b'[{"id": "1", "note": ' + DEEP + b"}]",
        b'[{"id": "1", "note": "half of a character: \\ud83d", "x": ' + DEEP + b"}]",
        b'[{"id": ' + LONG + b"}]",
        b'[{"id": "1", "versionDate": ' + LONG + b"}]",
        b'[{"id": "1", "deleted": ' + LONG + b"}]",
        b'[{"id": "1", "versionDate": 1e400}]',
        b'{"data": [], "totalItemsCount": ' + LONG + b"}",
    ],
    ids=lambda body: str(body[:30]),
)
def test_what_no_decoder_takes_is_an_error_of_ours_that_may_pass(body: bytes) -> None:
    with pytest.raises(DotyposResponseError, match="not a Dotypos list") as caught:
        read_page(body, "versionDate")
    assert caught.value.passing
    assert len(str(caught.value)) < 300


def test_a_row_that_is_kept_but_has_no_values_in_python_is_an_error_of_ours() -> None:
    (row,) = read_page(b'[{"id": "1", "note": ' + LONG + b"}]", None).rows
    with pytest.raises(DotyposResponseError, match="row that can't be read"):
        decode_row(row)


@pytest.mark.parametrize("body", [b'[{"id": "1"}]', b'{"data": [{"id": "1"}], "perPage": "100"}'])
def test_a_byte_order_mark_in_front_is_passed_over(body: bytes) -> None:
    assert read_page(b"\xef\xbb\xbf" + body, None) == read_page(body, None)


@pytest.mark.parametrize("value", ["100", 100, "100.0", 100.0, "100.00"])
def test_counts_are_read_however_they_are_written(value: object) -> None:
    names = ("currentPage", "totalItemsOnPage", "perPage", "totalItemsCount", "nextPage", "lastPage")
    page = read_page(msgspec.json.encode({"data": [], **dict.fromkeys(names, value)}), None)
    assert {page.number, page.rows_on_page, page.per_page, page.total, page.next_page, page.last_page} == {100}


@pytest.mark.parametrize("value", [None, "", "-1", -1, "many", "1.5", 1.5, 1e300, "9" * 5000, "٣"])
def test_a_count_that_is_none_says_nothing(value: object) -> None:
    names = ("currentPage", "totalItemsOnPage", "perPage", "totalItemsCount", "lastPage")
    page = read_page(msgspec.json.encode({"data": [], **dict.fromkeys(names, value)}), None)
    assert {page.number, page.rows_on_page, page.per_page, page.total, page.last_page} == {None}
    assert check_page(page, 100, 1) is page


def envelope(rows: int, **told: object) -> bytes:
    return msgspec.json.encode({"data": [{"id": str(i)} for i in range(rows)], **told})


@pytest.mark.parametrize(
    ("rows", "number", "told"),
    [
        (0, 1, {"nextPage": "2"}),
        (0, 1, {"nextPage": "https://example.invalid/orders?page=2"}),
        (0, 1, {"totalItemsCount": "250"}),
        (0, 1, {"lastPage": "3"}),
        (0, 3, {"totalItemsCount": "250", "perPage": "100", "currentPage": "3"}),
        (0, 3, {"totalItemsCount": "120", "perPage": "50"}),
        (0, 1, {"totalItemsOnPage": "5"}),
        (4, 1, {"totalItemsOnPage": "5"}),
        (6, 1, {"totalItemsOnPage": "5"}),
        (5, 2, {"currentPage": "1"}),
    ],
)
def test_an_answer_that_contradicts_itself_is_none(rows: int, number: int, told: dict[str, object]) -> None:
    page = read_page(envelope(rows, **told), None)
    with pytest.raises(DotyposResponseError, match="contradicts itself") as caught:
        check_page(page, 100, number)
    assert caught.value.passing


@pytest.mark.parametrize(
    ("rows", "number", "told"),
    [
        (0, 1, {}),
        (0, 1, {"totalItemsCount": "0", "lastPage": "0", "nextPage": None, "currentPage": "1", "perPage": "100"}),
        (0, 1, {"totalItemsCount": "0", "lastPage": "1", "firstPage": "1", "nextPage": "1", "currentPage": "0"}),
        (0, 1, {"totalItemsCount": None, "lastPage": None, "currentPage": None}),
        (0, 3, {"totalItemsCount": "200", "lastPage": "2", "currentPage": "2", "perPage": "100"}),  # past the end
        (0, 3, {"totalItemsCount": "90", "lastPage": "1", "currentPage": "3"}),  # rows have left meanwhile
        (50, 1, {"totalItemsCount": "250", "perPage": "50", "totalItemsOnPage": "50"}),  # pages are capped
        (50, 1, {"totalItemsCount": "250", "perPage": "100", "nextPage": "2"}),  # capped without saying so
        (100, 1, {"totalItemsCount": "99", "nextPage": None}),  # counted a moment later
        (100, 3, {"currentPage": "3", "totalItemsCount": None, "nextPage": "4"}),
        (120, 1, {"perPage": "100"}),
    ],
)
def test_what_can_hide_no_row_contradicts_nothing(rows: int, number: int, told: dict[str, object]) -> None:
    page = read_page(envelope(rows, **told), None)
    assert check_page(page, 100, number) is page


@pytest.mark.parametrize("marker", [True, 1, 1.0, "1", "true"])
def test_a_deleted_row_is_marked_in_any_kind(marker: object) -> None:
    rows = [{"id": 1, "deleted": marker}, {"id": 2, "deleted": None}, {"id": 3}, {"id": 4, "deleted": False}]
    assert read_page(msgspec.json.encode(rows), None).deleted == [True, None, None, False]


def test_further_cursors_are_read_with_a_row() -> None:
    rows = [{"id": 1, "versionDate": 5, "stock": "1000"}, {"id": 2, "versionDate": 6}]
    page = read_page(msgspec.json.encode(rows), "versionDate", ("stock", "modified"))
    assert (page.cursors, page.earlier) == ([5, 6], [[1000, None], [None, None]])


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
            assert (page.ids, page.cursors, page.deleted) == (["1"], [1000], [None])


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
