"""The limit on requests: limit, and how the door refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.sandbox import Fault, Limit, Sandbox
from tests.patience import PATIENCE
from tests.sandbox.conftest import Api, sign_in


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


#: Seconds between requests: some in one instant, some exactly a window (20) apart.
gaps = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 7, 19, 20, 21]), max_size=80)


def admitted(limit: Limit, clock: Clock, gaps: list[int]) -> list[tuple[float, float | None]]:
    answers = []
    for gap in gaps:
        clock.now += gap
        answers.append((clock.now, limit.admit("a")))
    return answers


@given(gaps, st.integers(1, 6), st.booleans())
def test_a_sliding_window_never_holds_more(gaps: list[int], requests: int, refused_count: bool) -> None:
    clock = Clock()
    limit = Limit(requests, 20, "sliding", refused_count=refused_count, clock=clock)
    counted: list[float] = []
    for moment, wait in admitted(limit, clock, gaps):
        within = [other for other in counted if moment - other < 20]
        assert (wait is None) == (len(within) < requests)
        if wait is None or refused_count:
            counted.append(moment)
        if wait is not None:
            # The wait ends when enough have left the window, and no sooner.
            later = moment + wait
            assert len([other for other in counted if later - other < 20]) < requests
            assert len([other for other in counted if later - 0.5 - other < 20]) >= requests


@given(gaps, st.integers(1, 6), st.booleans())
def test_a_fixed_window_starts_with_its_first_request(gaps: list[int], requests: int, refused_count: bool) -> None:
    clock = Clock()
    start, count = float("-inf"), 0
    limit = Limit(requests, 20, refused_count=refused_count, clock=clock)
    for moment, wait in admitted(limit, clock, gaps):
        if moment - start >= 20:
            start, count = moment, 0
        assert wait == (None if count < requests else start + 20 - moment)
        count += wait is None


@given(gaps, st.integers(1, 6), st.sampled_from(["fixed", "sliding"]))
def test_who_waits_as_told_is_let_in(gaps: list[int], requests: int, window: str) -> None:
    clock = Clock()
    limit = Limit(requests, 20, window, refused_count=True, clock=clock)
    for gap in gaps:
        clock.now += gap
        wait = limit.admit("a")
        if wait is not None:
            clock.now += wait
            assert limit.admit("a") is None


def test_counts_are_apart(clock: Clock) -> None:
    limit = Limit(1, 20, clock=clock)
    assert [limit.admit(key) for key in ("a", "b", "a")] == [None, None, 20]


def test_every_call_counts_and_the_refusal_says_when(sandbox: Sandbox, api: Api, clock: Clock) -> None:
    sandbox.limit = Limit(3, 1800, clock=clock)
    sign_in(sandbox, sandbox.cloud_ids[0])
    assert [api("GET", "branches").status_code for _ in range(3)] == [200, 200, 429]
    clock.now += 99.5
    refused = api("GET", "branches")
    assert refused.headers["Retry-After"] == "1701"
    body = refused.json()
    assert list(body) == ["timestamp", "status", "error", "reason", "message"]
    assert (body["status"], body["error"], body["reason"]) == (429, "Too Many Requests", "TOO_MANY_REQUESTS")
    assert sign_in(sandbox, sandbox.cloud_ids[0]).status_code == 429
    assert [request.status for request in sandbox.requests][-4:] == [200, 429, 429, 429]
    clock.now += 1701
    assert api("GET", "branches").status_code == 200


def test_without_retry_after(sandbox: Sandbox, api: Api) -> None:
    sandbox.limit = Limit(1, retry_after=False)
    api("GET", "branches")
    refused = api("GET", "branches")
    assert (refused.status_code, refused.headers.get("Retry-After")) == (429, None)


@pytest.mark.parametrize(
    ("per", "statuses"),
    [
        # Two for the first cloud, a sign-in for the second, two for no cloud, the first cloud with another token,
        # and the second.
        ("cloud", [200, 429, 201, 200, 429, 429, 429]),
        ("token", [200, 429, 201, 429, 429, 200, 200]),
        ("server", [200, 429, 429, 429, 429, 429, 429]),
    ],
)
def test_what_has_a_count_of_its_own(sandbox: Sandbox, cloud: int, per: str, statuses: list[int]) -> None:
    other = sandbox.cloud_ids[1]
    tokens = [sign_in(sandbox, cloud).json()["accessToken"] for _ in range(2)]
    second = sign_in(sandbox, other).json()["accessToken"]

    def get(token: str, path: str) -> Callable[[], requests.Response]:
        headers = {"Authorization": f"Bearer {token}"}
        return lambda: requests.get(f"{sandbox.url}/v2/clouds{path}", headers=headers, timeout=PATIENCE)

    calls = [
        get(tokens[0], f"/{cloud}/branches"),
        get(tokens[0], f"/{cloud}/branches"),
        lambda: sign_in(sandbox, str(other)),
        get(tokens[0], ""),
        lambda: sign_in(sandbox),
        get(tokens[1], f"/{cloud}/branches"),
        get(second, f"/{other}/branches"),
    ]
    sandbox.limit = Limit(1, per=per)
    assert [call().status_code for call in calls] == statuses


def test_a_refused_request_meets_no_fault(sandbox: Sandbox, api: Api) -> None:
    sandbox.limit = Limit(1)
    sandbox.faults.append(Fault("503", skip=1))
    assert [api("GET", "branches").status_code for _ in range(2)] == [200, 429]
    sandbox.limit = None
    assert api("GET", "branches").status_code == 503


def test_the_controls(sandbox: Sandbox, api: Api) -> None:
    url = f"{sandbox.url}/_sandbox"
    made = requests.post(f"{url}/limit", json={"requests": 1, "window": "sliding"}, timeout=PATIENCE)
    settings = {
        "requests": 1,
        "seconds": 1800.0,
        "window": "sliding",
        "retry_after": True,
        "refused_count": False,
        "per": "cloud",
    }
    assert (made.status_code, made.json()) == (201, settings)
    assert [api("GET", "branches").status_code for _ in range(2)] == [200, 429]
    assert requests.get(url, timeout=PATIENCE).json()["limit"] == settings
    assert requests.delete(f"{url}/limit", timeout=PATIENCE).status_code == 200
    assert api("GET", "branches").status_code == 200
    assert requests.get(url, timeout=PATIENCE).json()["limit"] is None


@pytest.mark.parametrize(
    "body",
    [{"window": "open"}, {"per": "user"}, {"requests": 0}, {"requests": True}, {"seconds": 0}, {"clock": 1}, {"x": 1}],
)
def test_the_controls_refuse_nonsense(sandbox: Sandbox, body: dict[str, object]) -> None:
    assert requests.post(f"{sandbox.url}/_sandbox/limit", json=body, timeout=PATIENCE).status_code == 400
    assert sandbox.limit is None
