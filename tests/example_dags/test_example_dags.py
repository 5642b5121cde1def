"""Every example DAG that doesn't wait runs through Airflow itself, and what lands is what the shop holds.

So does README's first DAG, in the form that the page *Connect Dotypos* gives to copy (`connect/page/next_steps`).
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.entities import cloud_lists
from airflow_provider_dotypos.api.window import Window, instant
from airflow_provider_dotypos.connect.page.next_steps import write_first_dag
from airflow_provider_dotypos.lake.current import read_entity
from airflow_provider_dotypos.sales.opening_hours import OpeningHours
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from demo import children
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.transfers.sql.databases import Warehouse, postgres_server
from tests.ui.airflow_server import airflow_home

pytestmark = pytest.mark.live

EXAMPLES = Path(__file__).parents[2] / "example_dags"
PRAGUE = ZoneInfo("Europe/Prague")

#: Those that wait for something, which needs a triggerer and more of Airflow's processes: see `tests/events`.
WAITING = tuple(
    f"example_dotypos_{name}"
    for name in (
        "nightly_close",
        "orders_on_change",
        "reprice_on_change",
        "webhooks",
        "webhooks_by_a_queue",
    )
)
DAG_IDS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in WAITING)
LARGEST = "example_dotypos_everything"
README = "dotypos_default_orders"
OPENLINEAGE = "openlineage.jsonl"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    # What tills have sent by now has settled: a load that is compared with a report has all of it.
    shop = Shop.generate(days=9, orders_per_day=40, now=datetime.now(timezone.utc) - timedelta(minutes=5))
    shop.set_to_real_time()
    with Sandbox(shop) as running:
        yield running


@pytest.fixture(scope="module")
def new_prices(sandbox: Sandbox) -> dict[int, Decimal]:
    """Return what some products shall cost: one more than they do, but for one of them."""
    rows = sandbox.shop.rows(sandbox.cloud_ids[0], "products")
    dear = [row for row in rows if row["externalId"] and row["deleted"] is False and (row["priceWithVat"] or 0) > 20]
    return {row["id"]: Decimal(str(row["priceWithVat"])) + (number > 0) for number, row in enumerate(dear[:8])}


@pytest.fixture(scope="module")
def warehouse(sandbox: Sandbox, new_prices: dict[int, Decimal]) -> Iterator[Warehouse]:
    keys = {row["id"]: row["externalId"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products")}
    with postgres_server() as server:
        warehouse = server.warehouse()
        with closing(warehouse.connect()) as database, database.cursor() as cursor:
            cursor.execute("CREATE TABLE till_prices (sku varchar(256) PRIMARY KEY, price numeric(18, 2))")
            prices = [(keys[id], price) for id, price in new_prices.items()]
            cursor.executemany("INSERT INTO till_prices VALUES (%s, %s)", prices)
        yield warehouse


@pytest.fixture(scope="module")
def reports(sandbox: Sandbox, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Run all of them in one Airflow with a database of its own, and all but the largest a second time."""
    home = airflow_home(tmp_path_factory.getbasetemp(), "examples").path
    transport = {"type": "file", "log_file_path": f"{home}/{OPENLINEAGE}", "append": True}
    dag_ids = [dag_id for dag_id in DAG_IDS if dag_id != LARGEST]
    environment = {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(warehouse.connection),
    }
    return run(sandbox, home, *dag_ids, **environment)


@pytest.fixture(scope="module")
def report(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the runs as the examples are."""
    return reports[0]


@pytest.fixture(scope="module")
def lineage(report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Return what OpenLineage's provider has sent of those runs' tasks that succeeded, by their names."""
    pytest.importorskip("airflow.providers.openlineage")
    runs = {(dag_id, ran["run_id"]) for dag_id, ran in report.items()}
    sent: dict[str, list[dict[str, Any]]] = {}
    for line in (airflow_home(tmp_path_factory.getbasetemp(), "examples").path / OPENLINEAGE).open():
        event = json.loads(line)
        of = event["run"]["facets"].get("airflow", {}).get("dagRun", {})
        if event["eventType"] == "COMPLETE" and (of.get("dag_id"), of.get("run_id")) in runs:
            sent.setdefault(event["job"]["name"], []).append(event)
    return sent


@pytest.fixture(scope="module")
def native_report(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the runs with templates that render to Python's own types."""
    return reports[1]


def run(sandbox: Sandbox, home: Path, *dag_ids: str, **variables: str) -> list[dict[str, Any]]:
    folder = home / "dags"
    _deliver(sandbox, home / "lake" / "deliveries")
    for lake in ("lake", "lake-native"):
        _extracted_last_year(home / lake)
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns(*(f"{dag_id}.py" for dag_id in WAITING)))
    (folder / f"{README}.py").write_text(write_first_dag("dotypos_default").replace("/tmp/dotypos", f"{home}/readme"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",  # else no event starts them
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "100",  # those of assets come last
        "AIRFLOW_CONN_DOTYPOS_DEFAULT": json.dumps(sandbox.connection()),
        "AIRFLOW_VAR_DOTYPOS_DESTINATION": f"file://{home}/lake",
        "AIRFLOW_VAR_DOTYPOS_WAREHOUSE_ID": str(_warehouse(sandbox)),
        "AIRFLOW_VAR_DOTYPOS_PLANS": f"file://{home}/plans",
        "NO_PROXY": "127.0.0.1",
        **variables,
    }
    argv = [str(Path(__file__).with_name("run_examples.py")), str(folder), str(home / "report.json"), *dag_ids]
    done = children.run([sys.executable, *argv], env=environment, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    loaded: list[dict[str, Any]] = json.loads((home / "report.json").read_text())
    return loaded


def test_every_example_is_a_dag_named_like_its_file(report: dict[str, Any]) -> None:
    assert sorted(report) == sorted([*DAG_IDS, README])


@pytest.mark.parametrize("dag_id", [*DAG_IDS, README])
def test_it_succeeds(report: dict[str, Any], dag_id: str) -> None:
    assert report[dag_id]["state"] == "success"


@pytest.mark.parametrize("dag_id", [dag_id for dag_id in DAG_IDS if dag_id != LARGEST])
def test_it_succeeds_when_templates_render_to_pythons_own_types(native_report: dict[str, Any], dag_id: str) -> None:
    assert native_report[dag_id]["state"] == "success"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_it_is_fit_for_the_docs(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    starts = [line.split()[2].rstrip("]") for line in text.splitlines() if line.strip().startswith("# [START ")]
    ends = [line.split()[2].rstrip("]") for line in text.splitlines() if line.strip().startswith("# [END ")]
    assert starts
    assert starts == ends
    assert (ast.get_docstring(tree) or "").startswith("###")
    assert "doc_md=__doc__" in text


def test_on_call_finds_that_every_branch_sells(report: dict[str, Any], sandbox: Sandbox) -> None:
    (checked,) = report["example_dotypos_on_call"]["results"]["sales"]
    # The example's hours: this test runs at night and at Christmas, too. A closed branch's sales aren't asked for.
    hours = OpeningHours.of({"mon-sun": "10:00-22:00"}, "Europe/Prague", ["2026-12-24", "2026-12-25"])
    moment = instant(checked["checked_at"], "checked_at")
    branches = {row["id"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "branches")}
    assert checked["fresh"]
    assert {branch["branch_id"]: branch["verdict"] for branch in checked["branches"]} == {
        branch: "fresh" if hours.is_open(branch, moment) else "closed" for branch in branches
    }


def test_the_first_run_of_the_readme_reads_a_week(report: dict[str, Any]) -> None:
    run = report[README]
    (extracted,), (counted,) = run["results"]["orders"], run["results"]["count_by_status"]
    first = datetime.fromisoformat(run["run_after"]).astimezone(timezone.utc).date() - timedelta(days=7)
    assert _instant(extracted["since"]) == datetime(first.year, first.month, first.day, tzinfo=PRAGUE)
    assert sum(counted.values()) == extracted["rows"]


@pytest.mark.parametrize("dag_id", ["example_dotypos_first_orders", README])
def test_first_orders_are_those_that_the_shop_holds(report: dict[str, Any], sandbox: Sandbox, dag_id: str) -> None:
    (extracted,) = report[dag_id]["results"]["orders"]
    held = _held(sandbox, sandbox.cloud_ids[0], "orders", extracted)
    assert len(held) > 100
    assert _landed(extracted) == Counter(row["id"] for row in held)
    assert extracted["rows"] == len(held)


def test_first_orders_window_is_the_last_seven_whole_days(report: dict[str, Any]) -> None:
    run = report["example_dotypos_first_orders"]
    (extracted,) = run["results"]["orders"]
    today = datetime.fromisoformat(run["run_after"]).astimezone(timezone.utc).date()
    until = datetime(today.year, today.month, today.day, tzinfo=PRAGUE)
    first = today - timedelta(days=7)
    assert _instant(extracted["until"]) == until
    assert _instant(extracted["since"]) == datetime(first.year, first.month, first.day, tzinfo=PRAGUE)


def test_first_orders_sales_are_the_completed_documents(report: dict[str, Any], sandbox: Sandbox) -> None:
    run = report["example_dotypos_first_orders"]["results"]
    (extracted,), (sales,) = run["orders"], run["sales"]
    since = _instant(extracted["since"]).timestamp() * 1000
    held = _held(sandbox, sandbox.cloud_ids[0], "orders", extracted)
    expected = _sales(row for row in held if row["completed"] is not None and row["completed"] >= since)
    assert sales == [[day, currency, number, f"{total:.2f}"] for day, currency, number, total in expected]
    assert len(sales) >= 7


def test_a_database_holds_what_the_shop_does_and_the_sales_of_each_day(
    report: dict[str, Any], warehouse: Warehouse, sandbox: Sandbox
) -> None:
    """The tables are those after both runs, of which the second has brought what came after the first."""
    run = report["example_dotypos_to_database"]["results"]
    (loaded,), (checked,) = run["load"], run["check"]
    (until,) = warehouse.rows("SELECT max(until) FROM _dotypos_loads")[0]
    orders = sandbox.shop.rows(sandbox.cloud_ids[0], "orders")
    settled = [row for row in orders if row["versionDate"] < until.timestamp() * 1000]
    assert warehouse.rows("SELECT id FROM orders ORDER BY id") == sorted((row["id"],) for row in settled)
    assert loaded["entities"]["order-items"]["inserted"] > 500
    shown = warehouse.rows("SELECT day::text, currency, receipts, sales FROM daily_sales ORDER BY day, currency")
    assert shown == _sales(settled)
    assert (checked["agrees"], checked["days"], checked["reports"]) == (True, 1, 1)


def test_every_cloud_lands_in_a_folder_of_its_own(report: dict[str, Any], sandbox: Sandbox) -> None:
    results = report["example_dotypos_every_cloud"]["results"]
    assert [one["cloud_id"] for one in results["order_items"]] == list(sandbox.cloud_ids)
    for extracted in results["order_items"]:
        held = _held(sandbox, extracted["cloud_id"], "order-items", extracted)
        assert held
        assert _landed(extracted) == Counter(row["id"] for row in held)
        assert f"/{extracted['cloud_id']}/order-items/" in extracted["manifest"]
    assert results["summary"] == [{str(one["cloud_id"]): one["rows"] for one in results["order_items"]}]


def test_everything_is_everything(report: dict[str, Any], sandbox: Sandbox) -> None:
    results = report["example_dotypos_everything"]["results"]
    assert {cloud["cloud_id"] for cloud in results["extract"]} == set(sandbox.cloud_ids)
    for cloud in results["extract"]:
        assert list(cloud["entities"]) == cloud_lists()
    for one in _lists(results["extract"]):
        rows = sandbox.shop.rows(one["cloud_id"], one["entity"])
        until = _instant(one["until"]).timestamp() * 1000  # of guests who come just now, some are in the tail
        assert sum(row.get("versionDate", 0) < until for row in rows) <= one["rows"] <= len(rows), one
    assert results["summary"][0]["order-items"] > 1000


@pytest.mark.parametrize(
    ("dag_id", "task_id"),
    [
        ("example_dotypos_first_orders", "orders"),
        ("example_dotypos_every_cloud", "order_items"),
        (LARGEST, "extract"),
    ],
)
def test_each_asset_event_holds_what_its_task_returned(report: dict[str, Any], dag_id: str, task_id: str) -> None:
    assert report[dag_id]["events"][task_id] == report[dag_id]["results"][task_id]


def test_the_lakes_event_lists_what_is_to_be_read(report: dict[str, Any]) -> None:
    (event,) = report[LARGEST]["events"]["summary"]
    extracted = _lists(report[LARGEST]["results"]["extract"])
    assert event["manifests"] == [one["manifest"] for one in extracted if one["rows"]]
    assert len(event["manifests"]) < len(extracted)


def test_openlineage_names_the_list_that_was_read_and_the_files(
    lineage: dict[str, list[dict[str, Any]]], report: dict[str, Any], sandbox: Sandbox
) -> None:
    (event,) = lineage["example_dotypos_first_orders.orders"]
    (read,), (written,) = event["inputs"], event["outputs"]
    host, cloud = sandbox.url.removeprefix("http://"), sandbox.cloud_ids[0]
    assert (read["namespace"], read["name"]) == (f"dotypos://{host}", f"{cloud}/orders")
    assert (written["namespace"], Path(written["name"]).name) == ("file", "orders")
    (extracted,) = report["example_dotypos_first_orders"]["results"]["orders"]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == extracted["rows"]
    assert set(written["facets"]) == {"schema", "columnLineage"}


def test_openlineage_names_the_lists_that_were_read_and_the_tables(
    lineage: dict[str, list[dict[str, Any]]], sandbox: Sandbox
) -> None:
    event, *_ = lineage["example_dotypos_to_database.load"]
    cloud = sandbox.cloud_ids[0]
    assert {each["name"] for each in event["inputs"]} == {f"{cloud}/orders", f"{cloud}/order-items"}
    assert {each["name"].rpartition(".")[2] for each in event["outputs"]} == {"orders", "order_items"}


def test_openlineage_names_the_lists_that_a_hook_has_read(
    lineage: dict[str, list[dict[str, Any]]], sandbox: Sandbox
) -> None:
    (event,) = lineage["example_dotypos_hook_in_task.running_low"]
    names = {each["name"] for each in event["inputs"]}
    assert names >= {f"{sandbox.cloud_ids[0]}/{name}" for name in ("warehouses", "warehouse-products")}


def test_openlineage_names_all_lists_of_a_task(lineage: dict[str, list[dict[str, Any]]], sandbox: Sandbox) -> None:
    events = lineage[f"{LARGEST}.extract"]
    assert len(events) == len(sandbox.cloud_ids)
    for event in events:
        assert {Path(each["name"]).name for each in event["inputs"]} == set(cloud_lists())
        assert len(event["outputs"]) == len(event["inputs"])


def test_no_event_of_openlineage_holds_a_secret(lineage: dict[str, list[dict[str, Any]]], sandbox: Sandbox) -> None:
    assert sandbox.refresh_token not in json.dumps(lineage)


def test_each_delivery_is_booked_once(report: dict[str, Any], sandbox: Sandbox) -> None:
    results = report["example_dotypos_stock_up"]["results"]["stock_up"]
    facts = ("status", "document", "items")
    assert [tuple(result[fact] for fact in facts) for result in results] == [
        ("applied", "DN-2026-1", 2),
        ("applied", "DN-2026-2", 1),
    ]
    booked = [write.fields for write in sandbox.writes if write.entity == "stockups"]
    booked.sort(key=lambda body: body["invoiceNumber"])  # one after the other, in any order
    assert [body["invoiceNumber"] for body in booked] == ["DN-2026-1", "DN-2026-2"]
    assert [item["quantity"] for item in booked[0]["items"]] == ["24", "22.5"]
    assert {body["currency"] for body in booked} == {sandbox.shop.currency(sandbox.cloud_ids[0])}


def test_a_month_of_last_year_becomes_one_set_and_the_others_stay_for_a_day(
    report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    results = report["example_dotypos_compact"]["results"]
    (compacted,), (pruned,) = results["compact"], results["prune"]
    assert (compacted["compacted"], compacted["sets"], compacted["rows_before"], compacted["rows"]) == (1, 3, 6, 4)
    assert (pruned["sets"], pruned["dry_run"]) == (0, False)
    lake = airflow_home(tmp_path_factory.getbasetemp(), "examples").path / "lake"
    # Other examples extract this year's tables.
    assert len(list((lake / f"{CLOUD}/tables").glob("202501*"))) == 4
    table = read_entity(f"file://{lake}", CLOUD, "tables", until="2025-02-01T00:00:00Z")
    assert sorted(row["name"] for row in table.rows()) == ["0 of 0", "1 of 1", "2 of 2", "3 of 2"]


def _extracted_last_year(lake: Path) -> None:
    """Commit sets of a month that has ended. Each table is in two of them, but for the first and the last."""
    for day in range(3):
        window = Window.of(f"2025-01-0{day + 1}", f"2025-01-0{day + 2}", timezone="UTC")
        moment = window.since or 0
        rows = [product(id, moment + id, name=f"{id} of {day}") for id in (day, day + 1)]
        parts = [Rows(window.since, window.until, rows)]
        commit_set(ObjectStoragePath(f"file://{lake}"), window, parts, entity="tables")


def _warehouse(sandbox: Sandbox) -> int:
    id: int = sandbox.shop.rows(sandbox.cloud_ids[0], "warehouses")[0]["id"]
    return id


def _deliver(sandbox: Sandbox, folder: Path) -> None:
    """Write two deliveries of new products, of which there is enough afterwards (see `running_low`)."""
    for number in (0, 1):
        fields = {"name": f"Delivered {number}", "externalId": f"DELIVERED-{number}"}
        sandbox.shop.insert(sandbox.cloud_ids[0], "products", fields)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "DN-2026-1.csv").write_text(
        "SKU,Name,Pieces,Price\nDELIVERED-0,First,24,41.3223\nDELIVERED-1,Second,22.5,\n"
    )
    (folder / "DN-2026-2.csv").write_text("SKU,Name,Pieces,Price\nDELIVERED-0,First,6,41.3223\n")


def _sales(orders: Iterable[dict[str, Any]]) -> list[tuple[str, str, int, Decimal]]:
    """Return day, currency, number and sum of the documents that are completed, by day."""
    days: dict[tuple[str, str], list[Decimal]] = {}
    for row in orders:
        if row["completed"] is not None:
            day = datetime.fromtimestamp(row["completed"] / 1000, PRAGUE).date().isoformat()
            days.setdefault((day, row["currency"]), []).append(Decimal(str(row["totalValueRounded"])))
    return [(*key, len(days[key]), sum(days[key], Decimal(0))) for key in sorted(days)]


def _lists(extracted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the tasks of all clouds returned of each list."""
    return [of_list for cloud in extracted for of_list in cloud["entities"].values()]


def test_a_dag_scheduled_on_an_asset_reads_what_the_event_says(report: dict[str, Any], sandbox: Sandbox) -> None:
    (event,) = report["example_dotypos_first_orders"]["events"]["orders"]
    orders = _held(sandbox, sandbox.cloud_ids[0], "orders", event)
    hours = Counter(datetime.fromtimestamp(row["created"] / 1000, PRAGUE).hour for row in orders)
    (by_hour,) = report["example_dotypos_asset_triggered"]["results"]["orders_by_hour"]
    assert by_hour == {str(hour): count for hour, count in hours.items()}
    assert len(by_hour) > 5


def test_any_call_returns_what_the_filter_keeps(native_report: dict[str, Any], sandbox: Sandbox) -> None:
    results = native_report["example_dotypos_any_call"]["results"]  # before it, another example changes products
    (branch,) = sandbox.shop.rows(sandbox.cloud_ids[0], "branches")
    assert results["branches"] == [[str(branch["id"])]]
    assert results["branch"] == [branch["name"]]
    live = [row for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products") if row["deleted"] is False]
    changed_at = {str(row["id"]): row["versionDate"] for row in live}  # several may have changed in one millisecond
    (products,) = results["products"]
    assert [changed_at[row["id"]] for row in products] == sorted(changed_at.values(), reverse=True)[:5]
    assert len({row["id"] for row in products}) == 5
    assert set(products[0]) == {"id", "name", "priceWithVat"}


def test_hook_in_task_finds_what_runs_low(report: dict[str, Any], sandbox: Sandbox) -> None:
    (found,) = report["example_dotypos_hook_in_task"]["results"]["running_low"]
    stock = sandbox.shop.rows(sandbox.cloud_ids[0], "warehouse-products")
    low = {row["name"] for row in stock if row["stockQuantityStatus"] < 20 and not row["deleted"]}
    assert {row["product"] for row in found} == low


def test_price_sync_changes_what_was_approved_once(
    report: dict[str, Any], native_report: dict[str, Any], sandbox: Sandbox, new_prices: dict[int, Decimal]
) -> None:
    results = report["example_dotypos_price_sync"]["results"]
    (planned,), (approved,), (applied,) = (results[task] for task in ("plan", "approve", "apply"))
    assert planned["counts"] == {"rows": 8, "update": 7, "unchanged": 1}
    assert (approved["chosen_options"], approved["responded_by_user"]["name"]) == (["Approve"], "jana")
    assert applied["counts"] == {"applied": 7}
    rows = {row["id"]: row for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products")}
    assert {id: rows[id]["priceWithVat"] for id in new_prices} == {id: float(it) for id, it in new_prices.items()}
    written = Counter(write.id for write in sandbox.writes if write.entity == "products")
    assert sorted(written.values()) == [1] * 7
    again = native_report["example_dotypos_price_sync"]["results"]
    assert again["plan"][0]["counts"] == {"rows": 8, "unchanged": 8}
    assert "approve" not in again


def _held(sandbox: Sandbox, cloud_id: int, entity: str, extracted: dict[str, Any]) -> list[dict[str, Any]]:
    since, until = (_instant(extracted[name]).timestamp() * 1000 for name in ("since", "until"))
    return [row for row in sandbox.shop.rows(cloud_id, entity) if since <= row["versionDate"] < until]


def _landed(extracted: dict[str, Any]) -> Counter[int]:
    """Count the ids in a set's files, read without any of our own code."""
    manifest = Path(extracted["manifest"].removeprefix("file://"))
    ids: Counter[int] = Counter()
    for part in json.loads(manifest.read_text())["parts"]:
        data = manifest.with_name(part["name"]).read_bytes()
        lines = gzip.decompress(data) if part["name"].endswith(".gz") else data
        ids.update(int(json.loads(line)["id"]) for line in lines.splitlines())
    return ids


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
