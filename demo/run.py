# ruff: noqa: T201
"""``make demo``: a Dotypos, an Airflow, three example DAGs, and what they wrote: files, and tables of a database."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from house import CHECKOUT, CommandError, House, Running, connection, shop

from airflow_provider_dotypos.sandbox import Sandbox

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.manifest import CommittedSet

DAG = "example_dotypos_first_orders"
EVERYTHING = "example_dotypos_everything"
TABLES = "example_dotypos_to_database"
POOL = ["pools", "set", "dotypos", "4", "calls to Dotypos"]
SHOWN_DAYS = 7
SHOWN_ENTITIES = 6
PLOTTED_DAYS = 14
BAR = 40

LAST_LOAD = """
SELECT inserted, updated, requests FROM _dotypos_loads WHERE target = ? ORDER BY loaded_at DESC LIMIT 1
"""
SALES_BY_DAY = "SELECT day, sum(sales), currency FROM daily_sales GROUP BY day, currency ORDER BY day"


def main(folder: Path, days: int) -> int:
    """Show it all, with everything kept below `folder`; return the exit status."""
    started = time.monotonic()
    house = House(folder)
    # Reading the files needs Airflow in this process, too. Its import takes seconds, so it runs beside the rest.
    environment = house.environment()
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=__import__, args=["airflow.sdk"], daemon=True).start()
    print()
    try:
        _step("Airflow's database (SQLite)", lambda: "created" if house.migrate() else "kept")
        bistros = _step(f"Dotypos sandbox, {days} days of two bistros", lambda: shop(days))
        with Sandbox(bistros) as sandbox:
            environment = house.environment(AIRFLOW_CONN_DOTYPOS_DEFAULT=connection(sandbox.connection()))
            command = ["dags", "test", DAG, "--conf", json.dumps({"days": days})]
            with house.start(POOL, environment) as pool:
                log = _step(f"airflow dags test {DAG}", lambda: house.run(command, environment))
                pool.finish()
            calls = len(sandbox.requests)
            with _loading(house, environment) as loading:
                everything = _everything(house, environment)
                _end_loading(loading)
    except CommandError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    _show(house, log, sandbox, calls)
    _show_everything(everything)
    _show_tables(house)
    _show_how_to_go_on(house, log)
    print(f"The demo took {time.monotonic() - started:.0f} s.\n")
    return 0


def _step(what: str, do: Callable[[], Any]) -> Any:
    started = time.monotonic()
    print(f"  {what:<48}", end="", flush=True)
    result = do()
    note = f"   {result}" if isinstance(result, str) else ""
    print(f"{time.monotonic() - started:7.1f} s{note}", flush=True)
    return result


def _show(house: House, log: Path, sandbox: Sandbox, calls: int) -> None:
    from airflow_provider_dotypos.transfers.manifest import read_manifest

    log_text = log.read_text(errors="replace")
    landed = read_manifest(re.findall(r"file://\S+/_manifest-\d+\.json", log_text)[-1])
    manifest = landed.manifest
    kept = "exists already, with" in log_text
    place = Path(landed.path.path).parent
    print(f"""
Files{" (of an earlier run today; a finished window is kept)" if kept else ""}

  folder     {house.shown(place)}
  manifest   {landed.path.name}
  rows       {manifest.rows:,} of {_held(sandbox, manifest.since, manifest.until):,} in the shop's window, \
{manifest.distinct_ids:,} different ids
  files      {len(landed.files)}, {manifest.bytes / 1e6:.1f} MB of JSON lines, from {manifest.requests} list calls \
({calls} calls in this run)
  one row    {_excerpt(landed)}
""")
    _sales(landed)


@contextmanager
def _loading(house: House, environment: dict[str, str]) -> Iterator[Running | None]:
    """Run the DAG of the database beside others, if it can run."""
    if not house.has_duckdb:
        yield None
        return
    with house.start(["dags", "test", TABLES], environment) as loading:
        yield loading


def _end_loading(loading: Running | None) -> None:
    if loading is None:
        print(f"  airflow dags test {TABLES}: skipped, Airflow's provider for DuckDB needs Python 3.11")
    else:
        _step(f"airflow dags test {TABLES}", lambda: loading.finish() and "more; it ran beside the last one")


def _everything(house: House, environment: dict[str, str]) -> list[CommittedSet]:
    """Run the DAG of all entities and clouds; return its sets."""
    from airflow_provider_dotypos.transfers.manifest import read_manifest

    command = ["dags", "test", EVERYTHING]
    before = set(house.files.rglob("_manifest-*.json"))
    _step(f"airflow dags test {EVERYTHING}", lambda: house.run(command, environment))
    new = set(house.files.rglob("_manifest-*.json")) - before
    return [read_manifest(f"file://{path}") for path in sorted(new)]


def _show_everything(landed: list[CommittedSet]) -> None:
    rows: Counter[str] = Counter()
    for one in landed:
        rows[one.manifest.entity] += one.manifest.rows
    if not landed:
        return
    clouds = len({one.manifest.cloud_id for one in landed})
    print(f"\nEverything, from where the last run ended: {len(rows)} entities of {clouds} clouds, {clouds} tasks\n")
    most = [(name, count) for name, count in rows.most_common(SHOWN_ENTITIES) if count]
    for name, count in most:
        print(f"  {name:<22} {count:>7,} rows")
    others = rows.total() - sum(count for _, count in most)
    print(f"  {'the others':<22} {others:>7,} rows" + ("" if most else "   (nothing has changed since the last run)"))


def _show_tables(house: House) -> None:
    """Show what the tables of the database hold, what the last load did, and the sales of the last days as bars."""
    if not house.database.exists():
        return
    import duckdb

    print(f"\nA database, loaded by {TABLES} from where its tables end ({house.shown(house.database)})\n")
    with duckdb.connect(str(house.database), read_only=True) as database:
        for table in ("orders", "order_items"):
            ((rows,),) = database.execute(f"SELECT count(*) FROM {table}").fetchall()
            ((inserted, updated, calls),) = database.execute(LAST_LOAD, [table]).fetchall()
            print(f"  {table:<22} {rows:>7,} rows   ({inserted:,} new, {updated:,} changed, by {calls} calls)")
        days = database.execute(SALES_BY_DAY).fetchall()
    print(f"\nIts table daily_sales, which the DAG's SQL task makes (the last {PLOTTED_DAYS} of {len(days)} days)")
    print("The files above end at midnight. The database also has what tills that were offline have sent since.\n")
    most = max(sales for _, sales, _ in days)
    for day, sales, currency in days[-PLOTTED_DAYS:]:
        print(f"  {day}  {_bar(sales / most):<{BAR}}  {sales:>11,.2f} {currency}")


def _bar(share: Decimal) -> str:
    halves = round(2 * BAR * share)
    return "█" * (halves // 2) + "▌" * (halves % 2)


def _show_how_to_go_on(house: House, log: Path) -> None:
    print(f"""
What to do next

  make ui        Airflow's UI with the example DAGs and the connection, on this sandbox
  make sandbox   the sandbox alone, to test your own DAGs against
  README.md      how to connect your own Dotypos cloud
  less {house.shown(log)}   Airflow's log
""")


def _rows(landed: CommittedSet) -> Iterator[dict[str, Any]]:
    for file in landed.files:
        with file.open("rb") as lines:  # type: ignore[no-untyped-call]
            yield from map(json.loads, lines)


def _held(sandbox: Sandbox, since: str | None, until: str) -> int:
    """Count the orders that the shop holds in the window: the files should hold as many."""
    from airflow_provider_dotypos.api.window import Window

    window = Window.of(since, until)
    rows = sandbox.shop.rows(sandbox.cloud_ids[0], "orders")
    return sum((window.since or 0) <= row["versionDate"] < window.until for row in rows)


def _excerpt(landed: CommittedSet) -> str:
    row = next(_rows(landed))
    some = {name: row[name] for name in ("id", "documentNumber", "totalValueRounded", "currency")}
    return json.dumps(some)[:-1] + f", … {len(row) - len(some)} more}}"


def _sales(landed: CommittedSet) -> None:
    sys.path.append(str(CHECKOUT / "example_dags"))
    from example_dotypos_first_orders import sales_by_day

    days = sales_by_day(_rows(landed), landed.manifest.since)
    sold, total = sum(day[2] for day in days), sum(Decimal(day[3]) for day in days)
    print(f"Sales by day, as the DAG adds them up (the last {SHOWN_DAYS} of {len(days)} days)\n")
    print("  day          orders              sum")
    for day, currency, orders, amount in days[-SHOWN_DAYS:]:
        print(f"  {day}  {orders:>7,}  {Decimal(amount):>14,.2f} {currency}")
    print(f"  {'all':<10}  {sold:>7,}  {total:>14,.2f} {days[-1][1]}   (only what is completed counts)")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, default=CHECKOUT / ".demo", help="folder for all files of the demo")
    options.add_argument("--days", type=int, default=60, help="days of history to invent and to extract")
    chosen = options.parse_args()
    sys.exit(main(chosen.folder.resolve(), chosen.days))
