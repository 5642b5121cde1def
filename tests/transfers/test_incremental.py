"""Runs without a window, through Airflow itself: the watermark seen and set over its REST API, or by the command.

From Airflow 3.3 on the watermark is in Airflow's state store. Earlier versions keep it in files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos._compat import has_state_store
from airflow_provider_dotypos.sandbox import Fault, Sandbox, Shop
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.watermark_files import newest_record
from demo import children
from tests.ui.airflow_server import airflow_home

DAGS = """
import os
import signal
from datetime import timedelta
from airflow.sdk import DAG, Asset
from airflow_provider_dotypos.api import settings
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator

settings.DEFAULT_BASE_URL = "{sandbox}"

class Dying(DotyposToObjectStorageOperator):
    def execute(self, context):
        result = super().execute(context)
        if os.environ.get("DIE"):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

given = dict(task_id="extract", entity="orders", destination="{place}", settle=0)
with DAG("dying"):
    Dying(**given, outlets=[Asset("dying")])
with DAG("dying_mapped"):
    others = {k: v for k, v in given.items() if k != "entity"}
    Dying.partial(**others, outlets=[Asset("dying, mapped")]).expand(entity=["orders"])
with DAG("plain"):
    DotyposToObjectStorageOperator(**given)
with DAG("typed"):
    DotyposToObjectStorageOperator(**given, file_format="parquet")
with DAG("looking_back"):
    DotyposToObjectStorageOperator(
        **given, outlets=[Asset("others")], start="2026-01-01T00:00:00Z", lookback=timedelta(days=1)
    )
with DAG("templated"):
    DotyposToObjectStorageOperator(**given | {"destination": "{place}/{{ ds }}"})
with DAG("mapped"):
    del given["entity"]
    DotyposToObjectStorageOperator.partial(**given).expand(entity=["orders"])
"""


class Airflow:
    """An Airflow of its own, and what it is told."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.lake = home / "lake"
        self.asset = f"file://{home}/lake/orders"
        (home / "dags").mkdir()
        (home / "dags" / "dags.py").write_text(
            DAGS.replace("{place}", f"file://{home}/lake").replace("{sandbox}", sandbox.url)
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW_CONN_DOTYPOS_DEFAULT": json.dumps(sandbox.connection(sandbox.cloud_ids[0])),
            "NO_PROXY": "127.0.0.1",
        }
        self.log = home / "log"
        with self.log.open("a") as log:
            self.process = children.Child(
                [sys.executable, str(Path(__file__).with_name("airflow_runs.py")), str(home / "dags")],
                env=environment,
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def die(self, dag: str) -> None:
        """Run a DAG whose task's process is killed once ``execute`` is done, and isn't tried again."""
        assert self.tell(do="die", dag=dag)["exit_code"] == -signal.SIGKILL, self.log.read_text()[-4000:]

    def tell(self, **command: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, dag: str = "plain") -> dict[str, Any]:
        return self.tell(do="run", dag=dag)

    def extracted(self, dag: str = "plain") -> tuple[dict[str, Any], list[str]]:
        """Run a DAG; return what its task returned, and the ids in its files."""
        done = self.run(dag)
        assert done["state"] == "success", self.log.read_text()[-6000:]
        files = [file for path in done["result"]["manifests"] for file in read_manifest(path).files]
        ids = [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]
        return done["result"], ids

    def watermarks(self, name: str = "") -> str:
        """Return the path of an asset's state store in the REST API."""
        found = self.tell(do="get", path="assets?limit=100")["answer"]["assets"]
        (asset,) = [one for one in found if one["name"] == (name or self.asset)]
        return f"assets/{asset['id']}/state-store"

    def watermark(self, name: str = "") -> tuple[str, Any]:
        """Return the watermark's path in the REST API, if Airflow has one for it, and its value."""
        if not has_state_store():
            folders = (Store(ObjectStoragePath(f"file://{path}")) for path in self.lake.rglob("_pending_*"))
            records = (newest_record(folder)[1] for folder in folders)
            (value,) = (each.value for each in records if each is not None and each.asset == (name or self.asset))
            return "", value
        path = self.watermarks(name)
        (entry,) = self.tell(do="get", path=path)["answer"]["asset_state_store"]
        return f"{path}/{quote(entry['key'])}", entry["value"]

    def command(self, *arguments: str) -> list[dict[str, str]]:
        """Run ``watermark …`` where Airflow's own commands run, and return its rows."""
        action, *further = arguments
        done = self.tell(do="command", arguments=["watermark", action, f"file://{self.lake}", *further])
        assert done["code"] == 0, done["said"]
        rows: list[dict[str, str]] = done["rows"]
        return rows

    def lists(self) -> int:
        """Return how many lists of orders were asked for so far."""
        return sum(request.path.endswith("/orders") for request in self.sandbox.requests)

    def insert(self, rows: int) -> list[str]:
        now = int(time.time() * 1000)
        cloud = self.sandbox.cloud_ids[0]
        made = [self.sandbox.shop.insert(cloud, "orders", {"versionDate": now - rows + i}) for i in range(rows)]
        return [str(row["id"]) for row in made]


needs_state = pytest.mark.skipif(not has_state_store(), reason="Airflow has a state store since 3.3")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    with Sandbox(Shop.empty()) as sandbox:
        one = Airflow(airflow_home(tmp_path_factory.getbasetemp(), "incremental").path, sandbox)
        yield one
        assert one.process.stdin is not None
        one.process.stdin.close()
        one.process.wait()


@needs_state
def test_runs_go_on_where_the_last_success_ended_and_people_can_see_and_set_that(airflow: Airflow) -> None:
    first = airflow.insert(120)
    result, ids = airflow.extracted()
    assert sorted(ids) == sorted(first)
    assert result["since"] is None
    path, value = airflow.watermark()
    assert value == result["until"]
    assert "/orders/" in path

    second = airflow.insert(5)
    result, ids = airflow.extracted()
    assert ids == second
    assert result["since"] == value

    airflow.sandbox.faults.append(Fault("redirect", path="/orders"))
    third = airflow.insert(3)
    assert airflow.run()["state"] == "failed"
    assert airflow.watermark()[1] == result["until"]
    assert airflow.extracted()[1] == third

    back = "2026-01-01T00:00:00+01:00"
    assert airflow.tell(do="put", path=path, body={"value": back})["status"] == 204
    result, ids = airflow.extracted()
    assert result["since"] == "2025-12-31T23:00:00.000Z"
    assert sorted(ids) == sorted(first + second + third)

    assert airflow.tell(do="delete", path=path)["status"] == 204
    assert airflow.extracted()[0]["since"] is None

    assert airflow.tell(do="put", path=path, body={"value": "yesterday"})["status"] == 204
    assert airflow.run()["state"] == "failed"
    assert "was set to 'yesterday': it must be a datetime, or ISO 8601 text" in airflow.log.read_text()
    airflow.tell(do="delete", path=path)


@needs_state
def test_tasks_of_different_shape_go_on_each_for_itself(airflow: Airflow) -> None:
    airflow.insert(2)
    airflow.extracted("plain")
    assert airflow.run("typed")["state"] == "success"
    keys = [entry["key"] for entry in airflow.tell(do="get", path=airflow.watermarks())["answer"]["asset_state_store"]]
    assert len(keys) == 2
    for key in keys:
        airflow.tell(do="delete", path=f"{airflow.watermarks()}/{quote(key)}")


def test_start_and_lookback(airflow: Airflow) -> None:
    first = airflow.insert(4)
    result, ids = airflow.extracted("looking_back")
    assert result["since"] == "2026-01-01T00:00:00.000Z"
    assert set(first) <= set(ids)
    again, ids = airflow.extracted("looking_back")
    assert again["since"] < result["until"]
    assert set(first) <= set(ids)
    assert airflow.watermark("others")[1] == again["until"]


@pytest.mark.parametrize(("dag", "map_index"), [("plain", -1), ("dying_mapped", 0)])
def test_a_task_links_to_its_cloud_and_to_no_folder_that_browsers_do_not_open(
    airflow: Airflow, dag: str, map_index: int
) -> None:
    instance = f"dags/{dag}/dagRuns/{quote(airflow.run(dag)['run'])}/taskInstances/extract"
    links = airflow.tell(do="get", path=f"{instance}/links?map_index={map_index}")["answer"]
    assert links["extra_links"] == {
        "Cloud in Dotypos": f"https://admin.dotypos.com/cloud/{airflow.sandbox.cloud_ids[0]}",
        "Files": None,
    }


@pytest.mark.parametrize("dag", ["templated", "mapped"])
def test_without_an_asset_the_error_says_what_to_give(airflow: Airflow, dag: str) -> None:
    start = airflow.log.stat().st_size
    assert airflow.run(dag)["state"] == "failed"
    assert "give outlets=[Asset(...)] (of a mapped task in .partial())" in airflow.log.read_text()[start:]


@pytest.mark.parametrize("dag", ["dying", "dying_mapped"])
def test_a_set_whose_task_died_after_it_moved_the_watermark_is_returned_by_the_next(airflow: Airflow, dag: str) -> None:
    airflow.insert(3)
    _, known = airflow.extracted(dag)
    asked = airflow.lists()

    lost = airflow.insert(7)
    airflow.die(dag)
    _, moved = airflow.watermark(dag.replace("_", ", "))
    new = airflow.insert(2)
    result, ids = airflow.extracted(dag)
    assert result["since"] == moved
    assert len(result["manifests"]) == 2
    assert result["manifests"][-1] == result["manifest"]
    assert ids == lost + new
    assert result["rows"] == 2
    assert not set(ids) & set(known)
    assert airflow.lists() - asked == 2

    newer = airflow.insert(1)
    result, ids = airflow.extracted(dag)
    assert result["manifests"] == [result["manifest"]]
    assert ids == newer


def test_people_see_set_and_forget_watermarks_by_the_command(airflow: Airflow) -> None:
    of_dying = ("orders", "--asset", "dying")
    old = airflow.insert(2)
    result, _ = airflow.extracted("dying")
    airflow.die("dying")
    (row,) = airflow.command("show", *of_dying)
    assert row["watermark"] > result["until"]
    assert (row["watermark"], row["pending"]) == (airflow.watermark("dying")[1], "1")
    assert row["kept in"] == ("Airflow" if has_state_store() else "files")
    assert row["shape"] in result["manifest"]
    assert "dying" in {shown["of"] for shown in airflow.command("show")}

    (row,) = airflow.command("set", *of_dying, "--to", "2026-01-01T00:00:00Z", "--yes")
    back, ids = airflow.extracted("dying")
    assert back["since"] == row["to"]
    assert set(old) <= set(ids)
    assert len(back["manifests"]) == 2
    assert airflow.command("show", *of_dying)[0]["pending"] == "0"

    airflow.command("reset", *of_dying, "--yes")
    assert airflow.extracted("dying")[0]["since"] is None
