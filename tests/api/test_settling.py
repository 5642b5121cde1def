"""When a window has settled, and what an answer that came too early costs (`settling`), over real sockets."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.errors import DotyposClockError
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Sandbox
from tests.conftest import NewClient


@pytest.fixture
def reader(new_client: NewClient, monkeypatch: pytest.MonkeyPatch) -> Reader:
    channel.forget_tokens()
    client = new_client()
    slept: list[float] = []
    monkeypatch.setattr(client, "sleep", slept.append)
    reader = Reader(client)
    monkeypatch.setattr(reader, "slept", slept, raising=False)
    return reader


def window_ending(seconds: float) -> Window:
    """Return a window that ended some seconds ago."""
    until = int((time.time() - seconds) * 1000)
    return Window(until - 3_600_000, until)


def lists(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/orders") for request in sandbox.requests)


def waits(reader: Reader) -> list[int]:
    return [round(seconds) for seconds in reader.slept if seconds > 0]  # type: ignore[attr-defined]


def test_the_sign_in_shows_the_servers_clock_before_anything_is_asked_for(sandbox: Sandbox, reader: Reader) -> None:
    sandbox.date_offset = -100
    reader.meet()
    reader.meet()
    assert [request.path for request in sandbox.requests] == ["/v2/signin/token"]
    assert abs(reader.settled(60) / 1000 - (time.time() - 160)) < 60


def test_a_window_is_waited_for_by_the_servers_clock_and_asked_for_once(sandbox: Sandbox, reader: Reader) -> None:
    sandbox.date_offset = -100

    def sleep(seconds: float) -> None:
        reader.slept.append(seconds)  # type: ignore[attr-defined]
        sandbox.date_offset = 0 if seconds > 1 else sandbox.date_offset

    reader._client.sleep = sleep  # type: ignore[method-assign]
    list(reader.changes("orders", window_ending(70), settle=60))
    assert waits(reader) in ([90], [91])
    assert lists(sandbox) == 1


def test_an_answer_by_a_clock_that_has_not_come_so_far_is_asked_for_again(sandbox: Sandbox, reader: Reader) -> None:
    """The clock that is known was another machine's, or has been set."""
    reader.meet()
    sandbox.date_offset = -100
    offsets = iter([-100.0, 0.0])

    def sleep(seconds: float) -> None:
        if seconds > 1:
            reader.slept.append(seconds)  # type: ignore[attr-defined]
            sandbox.date_offset = next(offsets, 0.0) + 100

    reader._client.sleep = sleep  # type: ignore[method-assign]
    list(reader.changes("orders", window_ending(70), settle=60))
    assert lists(sandbox) == 2
    assert waits(reader)[0] in (90, 91)


def test_what_has_settled_once_is_not_looked_at_again(sandbox: Sandbox, reader: Reader) -> None:
    for i in range(250):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": int(time.time() * 1000) - 600_000 + i})
    rows = reader.changes("orders", window_ending(70), settle=60)
    next(rows)
    sandbox.date_offset = -3600
    assert len(list(rows)) == 249
    assert lists(sandbox) == 3


def test_a_clock_that_is_far_behind_is_an_error(sandbox: Sandbox, reader: Reader) -> None:
    reader.meet()
    sandbox.date_offset = -3600
    with pytest.raises(DotyposClockError, match="Dotypos's clock is 60 minutes behind"):
        list(reader.changes("orders", window_ending(70), settle=60))


def test_a_date_that_agrees_with_the_clock_does_not_set_it_back(new_client: NewClient) -> None:
    known = channel.open_channel(new_client().settings)
    known.forget()
    moment = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
    known._server_date = ("", moment + timedelta(milliseconds=900), time.monotonic())
    known.note_date("Sun, 01 Mar 2026 12:00:00 GMT")  # of a second that isn't over
    clock = known.server_clock
    assert clock is not None
    assert clock >= moment + timedelta(milliseconds=900)
    known.note_date("Sun, 01 Mar 2026 11:59:00 GMT")
    clock = known.server_clock
    assert clock is not None
    assert clock < moment
