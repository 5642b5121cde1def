"""The command that runs storms: what it prints, and how it ends."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.sandbox import Limit, Sandbox
from tests.storms import scenarios
from tests.storms.command import main
from tests.storms.scenarios import Figures


@pytest.fixture(autouse=True)
def _logging_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logging.disable", lambda level: None)


def test_it_prints_what_the_storms_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "walk", "--storms", "2", "--seed", "5"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| walk |")]
    _, _, storms, failed, rows, requests, lost, doubled, *_ = [cell.strip() for cell in row.split("|")]
    assert (storms, failed, lost, doubled) == ("2", "0", "0", "0")
    assert int(rows.replace(",", "")) > 0
    assert int(requests) > 0


def test_it_shares_the_seeds_between_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "walk", "--minutes", "0.002", "--seed", "5", "--jobs", "2"]) == 0
    assert "| walk | " in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["raises", "loses"])
def test_a_broken_promise_is_an_error_that_names_the_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    def storm(seed: int, api: Sandbox) -> Figures:
        if seed == 6 and broken == "raises":
            raise AssertionError("lost or doubled")
        return Figures(rows=10, requests=1, lost=int(seed == 6))

    monkeypatch.setitem(scenarios.SCENARIOS, "walk", storm)
    assert main(["--only", "walk", "--storms", "3", "--seed", "5"]) == 1
    printed = capsys.readouterr()
    assert "python -m tests.storms --only walk --seed 6 --storms 1" in printed.out
    assert "FAILED" in printed.err


def test_every_storm_begins_with_a_sandbox_that_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    met = []

    def storm(seed: int, api: Sandbox) -> Figures:
        met.append((api.limit, api.latency))
        api.limit, api.latency = Limit(1), 0.01
        return Figures()

    monkeypatch.setitem(scenarios.SCENARIOS, "walk", storm)
    assert main(["--only", "walk", "--storms", "2"]) == 0
    assert met == [(None, 0.0)] * 2
