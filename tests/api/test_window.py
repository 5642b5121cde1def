"""When a window can be read, by the clocks of this machine and of the server (`window`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.refusals import retry_after_seconds
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import Clocks, Window, seconds_until_settled, server_time
from tests.api.hostile import RawServer

HERE = datetime(2026, 1, 15, 10, 8, tzinfo=timezone.utc)
MINUTE = 60_000


def at(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def test_a_bare_date_begins_in_its_zone_as_text_and_as_a_date() -> None:
    window = Window.of("2026-03-29", "2026-03-30", timezone="Europe/Prague")
    assert Window.of(date(2026, 3, 29), date(2026, 3, 30), timezone="Europe/Prague") == window
    assert window.until - window.since == 23 * 60 * MINUTE  # type: ignore[operator]
    with pytest.raises(errors.DotyposInputError, match="since='2026-03-29' is a bare date: name its zone"):
        Window.of(date(2026, 3, 29), "2026-03-30T00:00:00Z")


@pytest.mark.parametrize("server", [None, timedelta(0), timedelta(minutes=-4), timedelta(hours=3)])
def test_a_window_is_read_once_its_end_has_settled_by_the_earlier_clock(server: timedelta | None) -> None:
    clocks = Clocks(HERE, None if server is None else HERE + server)
    behind = max(0.0, -server.total_seconds()) if server else 0.0
    assert seconds_until_settled(at(HERE), clocks, 60) == 60 + behind
    assert seconds_until_settled(at(HERE) - 10 * MINUTE, clocks, 60) == 0


@pytest.mark.parametrize(
    ("server", "difference"),
    [
        (HERE - timedelta(hours=1), r"09:08:00Z at Dotypos: Dotypos's clock is 60 minutes behind"),
        (HERE - timedelta(days=2), r"2026-01-13T10:08:00Z at Dotypos: Dotypos's clock is 2 days behind"),
        (HERE + timedelta(hours=5), r"15:08:00Z at Dotypos: this machine's clock is 5 hours behind"),
    ],
)
def test_two_clocks_that_disagree_are_both_told_and_may_agree_later(server: datetime, difference: str) -> None:
    clocks = Clocks(HERE, server)
    until = at(max(HERE, server)) - 10 * MINUTE
    with pytest.raises(errors.DotyposClockError, match=rf"2026-01-15T10:08:00Z here, .*{difference}") as caught:
        seconds_until_settled(until, clocks)
    assert not caught.value.permanent


@pytest.mark.parametrize("server", [None, HERE, HERE - timedelta(hours=1)])
def test_a_window_that_no_clock_has_reached_is_a_mistake(server: datetime | None) -> None:
    with pytest.raises(errors.DotyposInputError, match=r"in the future .*10:08:00Z here") as caught:
        seconds_until_settled(at(HERE) + 30 * MINUTE, Clocks(HERE, server))
    assert caught.value.permanent
    assert ("at Dotypos" in str(caught.value)) is (server is not None)


@pytest.mark.parametrize("settle", [-1.0, 86_401.0, 1e308, float("inf"), float("nan")])
def test_no_time_to_settle_is_longer_than_a_day(settle: float) -> None:
    with pytest.raises(errors.DotyposInputError, match="settle must be a number of seconds from 0 to 86400"):
        seconds_until_settled(at(HERE), Clocks(HERE), settle)


#: Pieces that dates are made of, and what resembles them.
PIECES = [
    "Thu,",
    "26",
    "Nov",
    "2026",
    "12:40:51",
    "GMT",
    "+0100",
    "-9999",
    "+99999999",
    "9" * 5000,
    "99999999999",
    "-5",
]
ODD_DATES = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join),
    st.sampled_from(
        [f"Thu, 26 Nov {year} 12:40:51 {zone}" for year in ("1", "0000", "9999") for zone in ("GMT", "-2359")]
    ),
    st.sampled_from([f"1 Jan {year} 0:0:0 +0000" for year in ("99999999999", "9" * 5000, "1" * 4000)]),
)


@given(ODD_DATES)
def test_any_date_is_a_time_or_none(value: str) -> None:
    date = server_time(value)
    assert date is None or 1969 <= date.year <= 9999
    retry_after_seconds(value)


@pytest.mark.parametrize(
    "value",
    ["Fri, 31 Dec 9999 23:59:59 GMT", "1 Jan 99999999999 0:0:0 +0000", "1 Jan 100 0:0:0 +2359", "9" * 5000, "€"],
)
def test_an_odd_date_of_a_server_breaks_no_call(value: str) -> None:
    with _answering(lambda: value) as server:
        client = _client(server)
        assert Reader(client).check_cloud() == {"id": "1"}
        assert abs((client.now() - datetime.now(timezone.utc)).total_seconds()) < 60


def test_an_extraction_by_a_server_an_hour_behind_says_so() -> None:
    def date() -> str:
        return format_datetime(datetime.now(timezone.utc) - timedelta(hours=1), usegmt=True)

    until = datetime.now(timezone.utc) - timedelta(minutes=10)
    with (
        _answering(date, b'{"data": []}') as server,
        pytest.raises(errors.DotyposClockError, match="Dotypos's clock is 60 minutes behind"),
    ):
        list(Reader(_client(server)).changes("orders", Window.of(None, until)))


def _answering(date: Callable[[], str], body: bytes = b'{"id": "1"}') -> RawServer:
    """Return a server whose answers bear a date."""

    def script(server: RawServer, request: bytes) -> Iterator[bytes]:
        head = b"HTTP/1.1 200 OK\r\nDate: " + date().encode() + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        yield head + body

    return RawServer(script)


def _client(server: RawServer) -> DotyposClient:
    channel.forget_tokens()
    return DotyposClient(Settings.from_fields(host=server.url, extra={"refresh_token": "r" * 32, "cloud_id": 1}))
