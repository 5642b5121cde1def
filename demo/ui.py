# ruff: noqa: T201
"""``make ui``: Airflow's UI on this machine, with the sandbox and the connection in place, until Ctrl-C."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from children import Child
from house import CHECKOUT, CommandError, House, shop

from airflow_provider_dotypos.sandbox import Sandbox

DAYS = 60
PRICES = 8
READY_WITHIN = 300.0


def main(folder: Path) -> int:
    """Run it, with everything kept below `folder`; return the exit status."""
    # A closed terminal stops everything, too. (A process that a script starts in the background ignores SIGINT.)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    house = House(folder)
    print("\nGetting ready ...", flush=True)
    try:
        house.migrate()
        bistros = shop(DAYS)
        bistros.set_to_real_time()  # from now on: a DAG that waits for changes looks for those since it has begun
        with Sandbox(bistros, port=_free_port(8765)) as sandbox:
            _put_connection(house, sandbox)
            _put_prices(house, sandbox)
            return _serve(house, sandbox)
    except CommandError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _put_connection(house: House, sandbox: Sandbox) -> None:
    """Store the connection where the Connections page shows it (one from the environment isn't shown)."""
    wanted = json.dumps({"dotypos_default": sandbox.connection()}, indent=2)
    file = house.airflow / "connections.json"
    if not file.exists() or file.read_text() != wanted:
        file.unlink(missing_ok=True)
        staged = house.airflow / "new-connections.json"
        staged.write_text(wanted)
        house.run(["connections", "import", "--overwrite", str(staged)], house.environment())
        staged.rename(file)


def _put_prices(house: House, sandbox: Sandbox) -> None:
    """Make the table from which a DAG brings prices to the sandbox: some products cost a tenth more."""
    if not house.has_duckdb:
        return
    import duckdb

    products = [row for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products") if row["externalId"]]
    prices = [[row["externalId"], round(row["priceWithVat"] * 1.1, 2)] for row in products[:PRICES]]
    with duckdb.connect(str(house.database)) as database:
        database.execute("CREATE OR REPLACE TABLE till_prices (sku varchar PRIMARY KEY, price decimal(18, 2))")
        database.executemany("INSERT INTO till_prices VALUES (?, ?)", prices)


def copy_examples(folder: Path, host: str) -> Path:
    """Copy the example DAGs, and return where they are. Their assets name the sandbox's host, as its webhooks do."""
    copies = folder / "dags"
    shutil.rmtree(copies, ignore_errors=True)
    shutil.copytree(CHECKOUT / "example_dags", copies, ignore=shutil.ignore_patterns("__pycache__"))
    for file in copies.glob("*.py"):
        file.write_text(file.read_text().replace("watch=True)", f'watch=True, host="{host}")'))
    return copies


def _serve(house: House, sandbox: Sandbox) -> int:
    port = _free_port(8080)
    url = f"http://127.0.0.1:{port}"
    environment = house.environment(
        AIRFLOW__CORE__DAGS_FOLDER=str(copy_examples(house.folder, sandbox.url.removeprefix("http://"))),
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=str(port),
        AIRFLOW__API__BASE_URL=url,
        AIRFLOW__API__WORKERS="1",
        AIRFLOW__CORE__PARALLELISM="4",
        AIRFLOW__DOTYPOS__WEBHOOKS="True",
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{url}/execution/",
        AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(_free_port(8793)),
        AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(_free_port(8794)),
    )
    log = house.folder / "standalone.log"
    with log.open("wb") as output:
        airflow = Child(
            [sys.executable, "-m", "airflow", "standalone"],
            env=environment,
            cwd=house.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        print(f"Starting Airflow (half a minute; the log is {house.shown(log)}) ...", flush=True)
        if not _ready(airflow, url):
            raise CommandError(["standalone"], airflow.poll() or 1, log)
        print(
            f"""
  Airflow       {url}   (no sign-in)
  Dotypos       {sandbox.url}   (the sandbox)

Enable a DAG and trigger it. Admin > Connect Dotypos checks dotypos_default, connects it again, or connects a second
cloud. The sandbox has the page on which you allow access. For a new connection, enter:
  Client ID {sandbox.client_id}   Client Secret {sandbox.client_secret}   API base URL {sandbox.url}
Admin > Connections has the form and its Test button.

A change can start a DAG: enable example_dotypos_orders_on_change, and press "Sell something" on the sandbox's page. The
DAG starts after a minute or less: its watcher asks the sandbox once a minute what has changed. It starts within seconds
if you register the webhook of orders first, under Admin > Connect Dotypos > Webhooks.

A person can hold a DAG up: trigger example_dotypos_price_sync. It plans new prices for {PRICES} products and waits.
Look at the plan under Required Actions of its task "approve", and choose. After Approve the sandbox has the new prices.

DAGs write to {house.shown(house.files)}. Ctrl-C stops everything.
""",
            flush=True,
        )
        return airflow.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(airflow)


_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def _ready(airflow: Child, url: str) -> bool:
    """Wait until all parts of Airflow answer; return whether they do."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        try:
            with direct.open(f"{url}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
        except (OSError, urllib.error.URLError, ValueError):
            health = {}
        if all(health.get(part, {}).get("status") == "healthy" for part in _PARTS):
            return True
        try:
            airflow.wait(timeout=0.5)
            return False
        except subprocess.TimeoutExpired:
            continue
    return False


def _stop(airflow: Child) -> None:
    """Stop Airflow and all its processes."""
    if airflow.poll() is None:
        with suppress(OSError):  # the terminal may be gone
            print("\nStopping Airflow ...", flush=True)
        airflow.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            airflow.wait(timeout=30)
    airflow.end()
    airflow.wait()


def _free_port(wanted: int) -> int:
    """Return a free port: the wanted one, or any."""
    for port in (wanted, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise OSError("no free port")


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(CHECKOUT / ".demo"))
