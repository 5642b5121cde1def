"""Lines about deliveries in the server's log."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.webhooks.notices import MOST_KINDS, PAUSE, Notices


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_kind_has_a_line_at_once_and_one_an_hour(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(clock)
    for _ in range(10_000):
        notices.warn("wrong")
    notices.warn("slow")
    assert caplog.messages == ["Webhooks: wrong", "Webhooks: slow"]

    clock.now = PAUSE
    notices.warn("wrong")
    assert caplog.messages[2:] == ["Webhooks: wrong (9999 more since the last such line)"]


def test_kinds_are_few(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(clock)
    for kind in range(MOST_KINDS * 2):
        notices.warn(str(kind))
    assert len(caplog.messages) == MOST_KINDS


def test_a_new_kind_has_the_place_of_one_that_is_long_past(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A server runs for months, and what it has refused in the first weeks must not silence what fails today."""
    notices = Notices(clock)
    for kind in range(MOST_KINDS):
        notices.warn(str(kind))
    clock.now = PAUSE
    notices.warn("today")
    assert caplog.messages[-1] == "Webhooks: today"
