"""The operators that keep a destination in order, and the commands that do the same.

Tests `operators/compact`, `operators/prune`, `operators/upkeep`, `commands/compact`, `commands/prune`,
`commands/upkeep`, `lake/upkeep`.
"""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.cli import main
from airflow_provider_dotypos.exceptions import DotyposCancelledError
from airflow_provider_dotypos.lake.upkeep import read_until
from airflow_provider_dotypos.operators.compact import DotyposCompactOperator
from airflow_provider_dotypos.operators.erase_customer import DotyposEraseCustomerOperator
from airflow_provider_dotypos.operators.prune import DotyposPruneOperator
from airflow_provider_dotypos.operators.upkeep import DotyposUpkeepOperator
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.lake.test_compaction import APRIL, DAY, JANUARY


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """Two months of days, of two lists."""
    destination = ObjectStoragePath(f"file://{tmp_path}/lake")
    for day in (0, 1, 2, 31, 32):
        window = Window(JANUARY + day * DAY, JANUARY + (day + 1) * DAY)
        for entity in ("products", "tables"):
            rows = [product(id, window.since, name=f"{id} on {day}") for id in range(3)]
            commit_set(destination, window, [Rows(window.since, window.until, rows)], entity=entity)
    return str(destination)


def compact(**arguments: Any) -> dict[str, Any]:
    return DotyposCompactOperator(task_id="compact", **arguments).execute({})  # type: ignore[arg-type]


def prune(**arguments: Any) -> dict[str, Any]:
    return DotyposPruneOperator(task_id="prune", **arguments).execute({})  # type: ignore[arg-type]


def test_all_lists_are_compacted_and_pruned_once(lake: str) -> None:
    foreseen = compact(destination=lake, dry_run=True)
    assert foreseen["compacted"] == 4
    done = compact(destination=lake)
    facts = {"compacted": 4, "sets": 10, "rows_before": 30, "rows": 12}
    assert {name: done[name] for name in facts} == {name: foreseen[name] for name in facts} == facts
    assert done["bytes_before"] > done["bytes"] > 0
    again = compact(destination=lake)
    assert (again["compacted"], again["sets"]) == (0, 0), "a retry finds it done"

    assert prune(destination=lake)["sets"] == 0, "what is covered stays for a day"
    assert prune(destination=lake, grace=timedelta(0), dry_run=True)["covered"] == 10
    assert prune(destination=lake, grace=timedelta(0)) == {
        "sets": 10,
        "covered": 10,
        "by_age": 0,
        "rows": 30,
        "bytes": done["bytes_before"],
        "dry_run": False,
    }
    assert prune(destination=lake, grace=timedelta(0))["sets"] == 0
    assert prune(destination=lake, entities="tables", older_than=timedelta(days=1))["by_age"] == 1


def test_some_lists_and_months_can_be_named(lake: str) -> None:
    assert compact(destination=lake, entities=["products"], until=date(2026, 2, 1), cloud_id=CLOUD)["compacted"] == 1
    with pytest.raises(fail_exception(), match=r"no orders lie below .*: products of cloud \d+, tables of cloud \d+$"):
        compact(destination=lake, entities="orders")


@pytest.mark.parametrize(
    "operator",
    [
        DotyposCompactOperator(task_id="compact", destination="/lake"),
        DotyposPruneOperator(task_id="prune", destination="/lake"),
        DotyposEraseCustomerOperator(task_id="erase", destination="/lake", customer_id=1),
    ],
    ids=lambda operator: operator.task_id,
)
def test_airflow_can_copy_the_operator_into_a_part_of_its_dag(operator: DotyposUpkeepOperator) -> None:
    assert copy.deepcopy(operator).destination == "/lake"


def test_a_kill_ends_it_between_two_files(lake: str) -> None:
    operator = DotyposCompactOperator(task_id="compact", destination=lake)
    operator.on_kill()
    with pytest.raises(DotyposCancelledError, match="the next run does the rest"):
        operator.execute({})  # type: ignore[arg-type]
    assert compact(destination=lake)["compacted"] == 4


@pytest.mark.parametrize(
    ("operator", "arguments", "says"),
    [
        (DotyposCompactOperator, {"destination": "lake"}, "destination"),
        (DotyposCompactOperator, {"entities": "ordesr"}, "did you mean"),
        (DotyposCompactOperator, {"entities": ""}, "entities is empty"),
        (DotyposCompactOperator, {"until": "in spring"}, "until must be a datetime"),
        (DotyposCompactOperator, {"dry_run": "no"}, "dry_run must be True or False"),
        (DotyposCompactOperator, {"max_part_bytes": 0}, "max_part_bytes"),
        (DotyposCompactOperator, {"cloud_id": "x"}, "cloud_id"),
        (DotyposPruneOperator, {"grace": 1}, "grace must be a timedelta of at least 0 days"),
        (
            DotyposPruneOperator,
            {"entities": "orders", "older_than": timedelta(hours=1)},
            "older_than must be a timedelta of at least 1 days",
        ),
        (DotyposPruneOperator, {"older_than": timedelta(days=400)}, "entities: name the lists"),
        (DotyposPruneOperator, {"destination_conn_id": 7}, "destination_conn_id"),
    ],
)
def test_a_bad_argument_is_refused_when_the_dag_is_parsed(operator: Any, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(DotyposInputError, match=says):
        operator(task_id="bad", **{"destination": "file:///lake", **arguments})


def test_a_template_is_left_for_the_run() -> None:
    DotyposCompactOperator(task_id="one", destination="{{ var.value.lake }}", until="{{ ds }}", entities="{{ x }}")


def test_an_age_for_all_lists_is_refused_when_a_template_says_it(lake: str) -> None:
    operator = DotyposPruneOperator(
        task_id="prune", destination=lake, entities="{{ lists }}", older_than=timedelta(days=1)
    )
    operator.entities = "all"
    with pytest.raises(fail_exception(), match="entities: name the lists"):
        operator.execute({})  # type: ignore[arg-type]


def test_a_bare_date_is_in_utc() -> None:
    assert read_until("2026-04-01", 0) == APRIL
    assert read_until(None, 12.5) == 12_500


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], str]:
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_the_commands_show_first_and_do_it_with_yes(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compact", lake, "products", "--until", "2026-02-01", "-o", "json"]) == 0
    [row], err = printed(capsys)
    assert (row["sets"], row["rows before"], row["rows"]) == ("3", "9", "3")
    assert "3 sets would become 1 set: 3 rows instead of 9" in err
    assert "The same command with --yes does it" in err
    folders = sorted(path.name for path in (Path(lake.removeprefix("file://")) / f"{CLOUD}/products").iterdir())
    assert len(folders) == 5

    assert main(["compact", lake, "products", "--until", "2026-02-01", "--yes", "-o", "json"]) == 0
    [done], err = printed(capsys)
    assert done["folder"] == row["folder"]
    assert "3 sets are 1 set" in err
    assert main(["prune", lake, "--grace", "0", "-o", "json"]) == 0
    [covered], err = printed(capsys)
    window = f"{row['since']} to {row['until']}"
    assert window == "2026-01-01T00:00:00.000Z to 2026-01-04T00:00:00.000Z"
    assert (covered["sets"], covered["because"]) == ("3", f"covered by the set from {window}")
    assert covered["covered by"] == row["folder"]
    assert "3 sets would be removed" in err
    assert main(["prune", lake, "--grace", "0", "--yes", "-o", "json"]) == 0
    assert "3 sets are removed" in printed(capsys)[1]
    assert main(["prune", lake, "tables", "--older-than", "1", "-o", "json"]) == 0
    [old], err = printed(capsys)
    assert (old["sets"], old["because"]) == ("4", "older than asked: its rows are gone with it")
    assert main(["prune", lake, "--older-than", "1", "--yes"]) == 1
    assert "ENTITY: name the lists" in capsys.readouterr().err
    assert main(["prune", lake, "-o", "json"]) == 0
    assert "Nothing to prune" in printed(capsys)[1]


def test_a_destination_without_sets_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("compact", "prune"):
        assert main([command, str(tmp_path)]) == 1
        assert "no sets lie below" in capsys.readouterr().err
