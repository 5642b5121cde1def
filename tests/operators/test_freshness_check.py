"""Whether branches sell: the operator, on the cloud and on files (tables: `tests/transfers/sql/test_newest_sales.py`).

Tests `sales.freshness` and `sales.newest_sales`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.exceptions import DotyposFreshnessError
from airflow_provider_dotypos.operators import freshness_check
from airflow_provider_dotypos.operators.freshness_check import DotyposFreshnessCheckOperator
from airflow_provider_dotypos.sales.freshness import spoken_span
from airflow_provider_dotypos.sandbox import Sandbox
from tests.sales.shops import ms
from tests.statsd_receiver import receiving

#: A Monday.
NOW = "2026-03-02T11:00"
HOURS = {"mon-fri": "08:00-20:00"}

Extract = Callable[..., dict[str, Any]]


def check(**arguments: Any) -> dict[str, Any]:
    arguments = {"opening_hours": HOURS, "fail_on": (), "ask_tills": False, **arguments}
    context: Any = {}
    return DotyposFreshnessCheckOperator(task_id="check", **arguments).execute(context)


def verdicts(result: dict[str, Any]) -> dict[int, str]:
    return {branch["branch_id"]: branch["verdict"] for branch in result["branches"]}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the time by the check's clock."""

    def set_to(moment: str) -> None:
        monkeypatch.setattr(freshness_check, "_now", lambda: ms(moment))

    set_to(NOW)
    return set_to


@pytest.fixture
def branches(sandbox: Sandbox, connection: None) -> list[int]:
    """Three branches of the first cloud."""
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    first = shop.rows(cloud, "branches")[0]["id"]
    return [first, *(shop.insert(cloud, "branches", {"id": first + n, "name": f"Shop {n}"})["id"] for n in (1, 2))]


def sell(sandbox: Sandbox, branch: int, moment: str, **fields: Any) -> None:
    row = {"_branchId": branch, "completed": ms(moment), "versionDate": ms(moment), "documentType": "RECEIPT", **fields}
    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", row)


def test_the_cloud_is_asked_once_for_all_that_sell(sandbox: Sandbox, branches: list[int]) -> None:
    for branch in branches:
        sell(sandbox, branch, "2026-03-02T10:30")
    names = {row["id"]: row["name"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "branches")}
    result = check()
    assert result == {
        "fresh": True,
        "cloud_id": sandbox.cloud_ids[0],
        "checked_at": "2026-03-02T10:00:00.000Z",
        "covered_until": "2026-03-02T10:00:00.000Z",
        "requests": 3,  # a sign-in, the branches, the newest sales
        "branches": [
            {
                "branch_id": branch,
                "name": name,
                "verdict": "fresh",
                "last_sale": "2026-03-02T09:30:00.000Z",
                "open_for": 1800,
                "till": "not asked",
            }
            for branch, name in names.items()
        ],
    }
    sandbox.requests.clear()
    assert check(branches=branches)["requests"] == 1


def test_a_silent_branch_costs_one_more_request_whose_last_sale_is_found(sandbox: Sandbox, branches: list[int]) -> None:
    busy, silent, new = branches
    for minute in range(59):
        sell(sandbox, busy, f"2026-03-02T10:{minute:02}")
        sell(sandbox, busy, f"2026-03-02T10:{minute:02}:30")
    sell(sandbox, silent, "2026-02-27T18:00")  # on Friday, two opening hours before Monday
    for minute in range(3):  # no sales
        sell(sandbox, silent, f"2026-03-02T10:3{minute}", documentType="CASH_IN")
    result = check()
    assert result["requests"] == 5
    assert verdicts(result) == {busy: "fresh", silent: "no sale", new: "no sale"}
    assert [(branch["last_sale"], branch["open_for"]) for branch in result["branches"][1:]] == [
        ("2026-02-27T17:00:00.000Z", 5 * 3600),
        (None, None),
    ]
    assert not result["fresh"]
    assert verdicts(check(max_gap={silent: timedelta(hours=6), "others": timedelta(minutes=1)})) == {
        busy: "no sale",
        silent: "fresh",
        new: "no sale",
    }


def test_closed_branches_cost_nothing_and_fail_nothing(
    sandbox: Sandbox, branches: list[int], now: Callable[[str], None]
) -> None:
    now("2026-03-02T21:00")
    assert {*verdicts(check(fail_on=["no sale"])).values()} == {"closed"}
    now(NOW)
    result = check(holidays=["2026-03-02"], branches=branches)
    assert {*verdicts(result).values()} == {"closed"}
    assert result["requests"] == 0
    sell(sandbox, branches[0], "2026-03-02T10:30")
    now("2026-03-02T20:30")
    assert verdicts(check(branches=branches, max_gap=timedelta(hours=12)))[branches[0]] == "closed"


def test_a_till_is_asked_only_if_its_branch_is_silent(sandbox: Sandbox, branches: list[int]) -> None:
    first, second, _ = branches
    sell(sandbox, second, "2026-03-02T10:30")
    result = check(ask_tills=True, branches=[first, second])
    assert verdicts(result) == {first: "no sale", second: "fresh"}
    assert [branch["till"] for branch in result["branches"]] == ["answers", "not asked"]
    assert [request.path.endswith("/pos-actions") for request in sandbox.requests].count(True) == 1
    sandbox.device.set(silent=True, patience=0)
    result = check(ask_tills=True, branches=[first, second])
    assert verdicts(result) == {first: "till silent", second: "fresh"}


def test_the_error_names_branches_times_causes_and_what_to_do(
    sandbox: Sandbox, branches: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = branches
    sell(sandbox, first, "2026-03-02T09:12")
    sell(sandbox, second, "2026-03-02T10:30")
    with pytest.raises(DotyposFreshnessError) as failed:
        check(fail_on=["no sale", "till silent"])
    message = str(failed.value)
    assert "2 of 3 branches: branch" in message
    assert "no sale, last sale 2026-03-02 09:12 Europe/Prague, 1 h 48 min of opening hours ago" in message
    assert "(Shop 2): no sale, no sale was found" in message
    assert "call the shop: is it open?" in message
    assert [branch["branch_id"] for branch in failed.value.branches] == [first, third]
    assert not failed.value.permanent
    assert f"branch {second} (Shop 1): fresh" in caplog.text


def test_files_that_do_not_reach_far_enough_are_late(
    sandbox: Sandbox, branches: list[int], extract: Extract, tmp_path: Path
) -> None:
    first, second, third = branches
    lake = f"file://{tmp_path}/lake"
    utc = timezone.utc
    sell(sandbox, first, "2026-03-02T09:30")
    sell(sandbox, second, "2026-02-27T19:30")
    sell(sandbox, third, "2026-03-02T10:45")  # after what is extracted
    with pytest.raises(fail_exception(), match="destination: no sets lie below"):
        check(destination=lake)
    extract(since=datetime(2026, 2, 1, tzinfo=utc), until=datetime(2026, 3, 1, tzinfo=utc))
    extract(since=datetime(2026, 3, 1, tzinfo=utc), until=datetime(2026, 3, 2, 9, tzinfo=utc))  # ten o'clock in Prague
    result = check(destination=lake, branches=branches)
    assert verdicts(result) == {first: "late data", second: "no sale", third: "no sale"}
    assert result["covered_until"] == "2026-03-02T09:00:00.000Z"
    assert result["requests"] == 0
    extract(since=datetime(2026, 3, 2, 9, tzinfo=utc), until=datetime(2026, 3, 2, 10, tzinfo=utc))
    assert verdicts(check(destination=lake, branches=branches)) == {first: "no sale", second: "no sale", third: "fresh"}


def test_a_filtered_set_that_reaches_further_covers_nothing_of_the_others(
    sandbox: Sandbox, branches: list[int], extract: Extract, tmp_path: Path
) -> None:
    first, second, _ = branches
    sell(sandbox, second, "2026-03-02T09:30")
    whole, _ = (
        extract(since=datetime(2026, 3, 1, tzinfo=timezone.utc), until=until, **chosen)["manifest"]
        for until, chosen in (
            (datetime(2026, 3, 2, 9, tzinfo=timezone.utc), {}),
            (datetime(2026, 3, 2, 10, tzinfo=timezone.utc), {"filter": f"_branchId|eq|{first}"}),
        )
    )
    lake: dict[str, Any] = {"destination": f"file://{tmp_path}/lake", "branches": branches}
    with pytest.raises(fail_exception(), match=r"shape: .* orders hold rows of different shapes.*Choose with shape="):
        check(**lake)
    shape = Path(whole).parent.name.rpartition("_")[2]
    for chosen in (shape, [shape]):
        result = check(**lake, shape=chosen)
        assert verdicts(result)[second] == "late data"
        assert result["covered_until"] == "2026-03-02T09:00:00.000Z"
    with pytest.raises(fail_exception(), match=r"no committed set of orders .* of shape 0123abcd .*there: orders"):
        check(**lake, shape="0123abcd")


def test_the_error_says_how_far_the_data_reach(
    sandbox: Sandbox, branches: list[int], extract: Extract, tmp_path: Path
) -> None:
    sell(sandbox, branches[0], "2026-01-30T19:50")
    extract(since=None, until=datetime(2026, 2, 1, tzinfo=timezone.utc))
    lake = {"destination": f"file://{tmp_path}/lake", "branches": branches[0], "fail_on": ["late data"]}
    with pytest.raises(DotyposFreshnessError, match=r"What was loaded reaches up to 2026-02-01T00:00:00.000Z, 29 d"):
        check(**lake, max_gap=timedelta(days=2))


def test_the_age_of_each_last_sale_is_a_metric(
    sandbox: Sandbox, branches: list[int], now: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(sandbox, branches[0], "2026-03-02T09:30")
    name = f"airflow.dotypos.sale.age.{sandbox.cloud_ids[0]}.{branches[0]}"
    with receiving(monkeypatch) as statsd:
        check(branches=branches[0])
        now("2026-03-02T21:00")
        check(branches=branches[0])
        statsd.settle()
        assert statsd.gauge(name) == [5400, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_gap": 3600}, "max_gap must be a timedelta"),
        ({"max_gap": timedelta(0)}, "max_gap must be a timedelta"),
        ({"max_gap": {"shop": timedelta(hours=1)}}, "an id in max_gap"),
        ({"fail_on": "no sale"}, "fail_on must be a list"),
        ({"fail_on": ["late"]}, "fail_on must be a list of fresh, closed, late data, no sale, till silent"),
        ({"opening_hours": {"mo": "08:00-20:00"}}, "must be weekdays"),
        ({"holidays": "2026-12-24"}, "holidays must be a list"),
        ({"timezone": "Praha"}, "Praha"),
        ({"branches": "x"}, "an id in branches"),
        ({"conn_id": "shop", "destination": "file:///lake"}, "conn_id or destination"),
        ({"destination": "lake"}, "destination"),
        ({"naming": "camel"}, "naming must be"),
        ({"ask_tills": "yes"}, "ask_tills"),
        ({"shape": 5}, "shape must be names"),
    ],
    ids=repr,
)
def test_a_wrong_argument_shows_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with DAG("dag", schedule=None), pytest.raises(ValueError, match=message):
        DotyposFreshnessCheckOperator(task_id="check", **arguments)


def test_templates_are_checked_when_they_are_rendered() -> None:
    with DAG("dag", schedule=None):
        DotyposFreshnessCheckOperator(
            task_id="check", timezone="{{ var.value.zone }}", branches="{{ x }}", destination="{{ y }}", shape="{{ z }}"
        )


@pytest.mark.parametrize(
    ("minutes", "spoken"),
    [(0, "0 min"), (59, "59 min"), (60, "1 h"), (108, "1 h 48 min"), (48 * 60, "2 d"), (50 * 60, "2 d 2 h")],
)
def test_spans_are_spoken(minutes: int, spoken: str) -> None:
    assert spoken_span(minutes * 60_000) == spoken
