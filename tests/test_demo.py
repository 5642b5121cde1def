"""``make demo`` shows what is true, keeps what it did, and leaves nothing outside its folder."""

from __future__ import annotations

import json
import os
import re
import runpy
import sys
from pathlib import Path

import pytest

from demo import children

pytestmark = pytest.mark.live

DEMO = Path(__file__).parents[1] / "demo" / "run.py"
DAYS = 5


class Shown:
    """What two runs of the demo printed, and where they kept things."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "demo"
        self.home = place / "home"
        self.home.mkdir()
        self.first = self._run()
        self.second = self._run()

    def _run(self) -> str:
        done = children.run(
            [sys.executable, str(DEMO), "--folder", str(self.folder), "--days", str(DAYS)],
            env=os.environ | {"HOME": str(self.home), "AIRFLOW__CORE__DAGS_FOLDER": "/the/users/own"},
            cwd=self.home,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return Shown(tmp_path_factory.mktemp("demo"))


def test_it_shows_as_many_rows_as_the_shop_holds_and_the_files_have(shown: Shown) -> None:
    for output in (shown.first, shown.second):
        rows, held, distinct = (
            int(number.replace(",", ""))
            for number in re.findall(r"rows +([\d,]+) of ([\d,]+) in the shop's window, ([\d,]+) different", output)[0]
        )
        assert rows == held == distinct > 100
        (folder,) = re.findall(r"^  folder +(\S+)$", output, re.MULTILINE)
        manifest = Path(folder) / "_manifest-0001.json"
        assert json.loads(manifest.read_text())["rows"] == rows
        assert sum(part.read_bytes().count(b"\n") for part in manifest.parent.glob("*.jsonl")) == rows


def test_it_shows_the_sales_of_each_day(shown: Shown) -> None:
    days = re.findall(r"^  (\d{4}-\d\d-\d\d) +([\d,]+) +([\d,]+\.\d\d) CZK$", shown.first, re.MULTILINE)
    assert len(days) == DAYS
    total = re.search(r"^  all +([\d,]+) +([\d,]+\.\d\d) CZK", shown.first, re.MULTILINE)
    assert total is not None
    assert sum(int(day[1].replace(",", "")) for day in days) == int(total[1].replace(",", ""))
    assert sum(float(day[2].replace(",", "")) for day in days) == float(total[2].replace(",", ""))


def test_a_second_run_keeps_the_database_and_the_window(shown: Shown) -> None:
    assert re.search(r"database \(SQLite\) .* created$", shown.first, re.MULTILINE)
    assert re.search(r"database \(SQLite\) .* kept$", shown.second, re.MULTILINE)
    assert "a finished window is kept" in shown.second
    assert "0 calls in this run" in shown.second


def test_it_extracts_everything_and_then_nothing_more(shown: Shown) -> None:
    assert re.search(r"30 entities of 2 clouds, 2 tasks", shown.first)
    assert re.search(r"^  order-items +[1-9][\d,]* rows$", shown.first, re.MULTILINE)
    assert "order-items" not in shown.second
    assert re.search(r"^  portions +4 rows$", shown.second, re.MULTILINE)  # they have no cursor: read whole each time


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Airflow's DuckDB provider needs Python 3.11")
def test_it_loads_a_database_and_plots_the_sales_of_its_days(shown: Shown) -> None:
    for output, loaded in ((shown.first, True), (shown.second, False)):
        for table in ("orders", "order_items"):
            numbers = re.findall(rf"^  {table} +([\d,]+) rows +\(([\d,]+) new, 0 changed,", output, re.MULTILINE)
            rows, new = (int(number.replace(",", "")) for number in numbers[0])
            assert rows > 100
            assert new == (rows if loaded else 0)
        bars = re.findall(r"^  (\d{4}-\d\d-\d\d)  (█*▌?) +([\d,]+\.\d\d) CZK$", output, re.MULTILINE)
        files = re.findall(r"^  (\d{4}-\d\d-\d\d) +[\d,]+ +([\d,]+\.\d\d) CZK$", output, re.MULTILINE)
        amounts = [float(sales.replace(",", "")) for *_, sales in bars]
        assert [day for day, *_ in bars] == [day for day, _ in files]
        assert all(amount >= float(sales.replace(",", "")) for amount, (_, sales) in zip(amounts, files, strict=True))
        assert [len(bar) for _, bar, _ in bars] == [-(-round(80 * amount / max(amounts)) // 2) for amount in amounts]


def test_it_tells_how_to_go_on(shown: Shown) -> None:
    for target in ("make ui", "make sandbox", "README.md"):
        assert target in shown.first


def test_it_leaves_nothing_outside_its_folder(shown: Shown) -> None:
    assert list(shown.home.iterdir()) == []


def test_a_webhook_of_the_sandbox_updates_the_asset_of_the_example_in_the_ui(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DEMO.parent))
    copies = runpy.run_path(str(DEMO.with_name("ui.py")))["copy_examples"](tmp_path, "127.0.0.1:8765")
    example = runpy.run_path(str(copies / "example_dotypos_reprice_on_change.py"))
    assert example["PRODUCTS"].uri == f"dotypos://127.0.0.1:8765/{example['CLOUD']}/products"
