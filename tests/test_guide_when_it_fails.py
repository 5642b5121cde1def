"""The messages in the guide *When an extraction fails* are those that there are, and it has each of these."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.sdk import AssetAlias

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api import channel, retry
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.environment import failure
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.http import Request
from airflow_provider_dotypos.api.page import read_page
from airflow_provider_dotypos.api.streams import Piece, streams
from airflow_provider_dotypos.api.walk import walk
from airflow_provider_dotypos.api.window import Clocks, Window, seconds_until_settled
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.dotypos import DotyposOperator
from airflow_provider_dotypos.sandbox import Fault, Sandbox, Shop
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import DotyposEntitiesToObjectStorageOperator
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from airflow_provider_dotypos.transfers.sql import database
from airflow_provider_dotypos.transfers.sql.errors import database_error
from airflow_provider_dotypos.transfers.sql.loads import Loads
from airflow_provider_dotypos.transfers.sql.staging import Staging
from airflow_provider_dotypos.transfers.sql.transaction import Transaction
from airflow_provider_dotypos.triggers.entity import read_event
from tests.sleeping import sleep_at_once
from tests.transfers.test_watermark import Kept, watermark

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "when-it-fails.md"
#: What the guide names beside messages: states of a task in Airflow.
STATES = {"up_for_reschedule", "skipped"}
#: Whether the failures of a section of the guide are those that no retry can help.
PERMANENT = {"It failed at once": True, "It failed after retries": False}


def excerpts() -> list[str]:
    """Return the messages that the guide shows, from the first column of its tables."""
    cells = re.findall(r"^\| (.*?) \|", GUIDE.read_text(), re.M)
    return [text for cell in cells for text in re.findall(r"`([^`]+)`", cell) if text not in STATES]


def section_of(excerpt: str) -> str:
    """Return the title of the guide's section that shows a message."""
    return GUIDE.read_text().split(f"`{excerpt}`")[0].rpartition("\n## ")[2].partition("\n")[0]


class Trial:
    """Something to fail with: a sandbox, and a connection to it.

    :ivar logged: what was logged.
    :ivar error: what the last deed ended with.
    """

    def __init__(
        self, sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.logged = caplog
        self.error: Exception | None = None
        self.connect()

    def connect(self, extra: dict[str, Any] | None = None, **fields: Any) -> None:
        """Define the connection, with some fields and extras changed."""
        stored = self.sandbox.connection()
        stored = {**stored, **fields, "extra": {**stored["extra"], **(extra or {})}}
        self.monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(stored))

    def extract(self, **changed: Any) -> str:
        """Extract a day, and return the message with which that ends and the log."""
        arguments: dict[str, Any] = {
            "task_id": "orders",
            "entity": "orders",
            "destination": str(self.folder),
            "since": "2026-01-01T00:00:00Z",
            "until": "2026-01-02T00:00:00Z",
        }
        return self.end(lambda: DotyposToObjectStorageOperator(**arguments | changed).execute(self.context))

    def load(self, **changed: Any) -> str:
        """Load a day into a database, and return the message with which that ends and the log."""
        stored = {"conn_type": "sqlite", "host": str(self.folder / "warehouse.db")}
        self.monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(changed.pop("connection", stored)))
        arguments: dict[str, Any] = {
            "task_id": "orders",
            "entity": "orders",
            "conn_id": "warehouse",
            "since": "2026-01-01T00:00:00Z",
            "until": "2026-01-02T00:00:00Z",
        }
        return self.end(lambda: DotyposToSqlOperator(**arguments | changed).execute(self.context))

    def query(self, *statements: str) -> None:
        """Run statements in the database that is loaded into."""
        with closing(sqlite3.connect(self.folder / "warehouse.db", isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def extract_many(self) -> str:
        """Extract a day of two lists in one task, and return the message with which that ends and the log."""
        arguments: dict[str, Any] = {
            "task_id": "lists",
            "entities": "orders,tags",
            "destination": str(self.folder),
            "since": "2026-01-01T00:00:00Z",
            "until": "2026-01-02T00:00:00Z",
        }
        return self.end(lambda: DotyposEntitiesToObjectStorageOperator(**arguments).execute(self.context))

    def meet(self, kind: str, **fault: Any) -> str:
        """Extract a day from a server with a fault."""
        self.sandbox.faults.append(Fault(kind, times=999, path="/orders", **fault))
        return self.extract()

    def end(self, act: Callable[[], Any]) -> str:
        """Do something, and return the message with which it ends and the log."""
        with self.logged.at_level(logging.INFO):
            try:
                act()
                ending = ""
            except Exception as error:
                ending, self.error = str(error), error
        return f"{ending}\n{self.logged.text}"

    @property
    def context(self) -> Any:
        """The context of a task that was never put off, of a run that is due now."""
        task_instance = SimpleNamespace(get_first_reschedule_date=lambda context: None)
        return {"ti": task_instance, "dag_run": SimpleNamespace(run_after=datetime.now(timezone.utc))}


def refused(trial: Trial) -> str:
    return str(error_for("GET", "/v2/clouds/5/orders", 403, {}, b'{"reason": "CLOUD_FORBIDDEN"}'))


def untrusted(trial: Trial) -> str:
    request = Request("GET", "/v2/clouds/5/orders", "https://api.dotykacka.cz/v2/clouds/5/orders")
    return str(failure(request, "self-signed certificate", sent=False, handshake=True))


def without_a_connection(trial: Trial) -> str:
    return trial.extract(dotypos_conn_id="elsewhere")


def without_an_asset(trial: Trial) -> str:
    return trial.extract(since=None, until=None, outlets=[AssetAlias("whatever")])


def without_pyarrow(trial: Trial) -> str:
    trial.monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    return trial.extract(file_format="parquet")


def more_rows_of_an_instant_than_a_budget_allows(trial: Trial) -> str:
    moment = int(datetime(2026, 1, 1, 12, tzinfo=timezone.utc).timestamp() * 1000)
    for _ in range(1_000):
        trial.sandbox.shop.insert(trial.sandbox.cloud_ids[0], "suppliers", {"versionDate": moment})
    trial.connect({"request_budget": "10/30min"})
    return trial.extract(entity="suppliers")


def a_list_that_fails(trial: Trial) -> str:
    trial.sandbox.faults.append(Fault("500", times=999, path="/tags"))
    return trial.extract_many()


def a_list_that_is_forbidden(trial: Trial) -> str:
    answer = lists.page

    def page(shop: Shop, cloud_id: int, entity: str, *args: Any, **more: Any) -> lists.Page:
        if entity == "tags":
            raise RefusedError(403, "FORBIDDEN", "no")
        return answer(shop, cloud_id, entity, *args, **more)

    trial.monkeypatch.setattr(lists, "page", page)
    return trial.extract_many()


def lost_write(trial: Trial) -> str:
    trial.sandbox.faults.append(Fault("500", method="POST", path="/tags"))
    task = DotyposOperator(task_id="write", method="POST", path="tags", json=[{"name": "x"}])
    return trial.end(lambda: task.execute(trial.context))


def a_list_without_its_rows(trial: Trial) -> str:
    trial.sandbox.faults.append(Fault("emptied", times=999, path="/products"))
    return trial.extract(entity="products", since=None)


def one_clock(trial: Trial) -> str:
    now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    clocks = Clocks(now, now - timedelta(hours=2))
    return trial.end(lambda: seconds_until_settled(int(now.timestamp() * 1000), clocks))


def rows_out_of_order(trial: Trial) -> str:
    orders = find_entity("orders")
    steps = walk(orders, Piece(streams(orders, Window(0, 9000))[0], 0, 9000))
    next(steps)
    rows = [{"id": "1", "versionDate": 2001}, {"id": "2", "versionDate": 1}]
    page = read_page(msgspec.json.encode({"data": rows, "perPage": 100}), "versionDate")
    return trial.end(lambda: steps.send(page))


def nothing_settled(trial: Trial) -> str:
    asset = Kept()
    watermark(asset).move(Window(None, 7000))
    return trial.end(lambda: watermark(asset).window(8000, settled=lambda due: 7000))


def a_late_run(trial: Trial) -> str:
    asset = Kept()
    watermark(asset).move(Window(None, 7000))
    return trial.end(lambda: watermark(asset).window(6000))


def a_table_of_another_form(trial: Trial) -> str:
    trial.query("CREATE TABLE orders (id INTEGER)")
    return trial.load()


def without_a_privilege(trial: Trial) -> str:
    kind = type("InsufficientPrivilege", (Exception,), {"__module__": "psycopg2.errors", "pgcode": "42501"})
    return str(database_error(kind("permission denied for table orders"), "PostgreSQL"))


def a_list_that_became_empty(trial: Trial) -> str:
    whole = {"entity": "webhooks", "mode": "replace", "since": None}  # the shop has none
    trial.load(**whole)
    row = (trial.sandbox.cloud_ids[0], 1, "2020-01-01T00:00:00.000000Z", "an earlier load")
    trial.query(f"INSERT INTO webhooks (cloud_id, id, _read_at, _load_id) VALUES {row}")
    return trial.load(**whole)


def no_database(trial: Trial) -> str:
    trial.monkeypatch.setattr(database, "LOST_AT_MOST", 0.1)
    return trial.load(connection={"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x"})


def a_database_that_lost_rows(trial: Trial) -> str:
    settle = Staging.settle

    def lose(staging: Staging, transaction: Transaction, tried: Any) -> Any:
        staging.forget(transaction)
        return settle(staging, transaction, tried)

    trial.monkeypatch.setattr(Staging, "settle", lose)
    return trial.load()


def beside_another_try(trial: Trial) -> str:
    trial.load()
    trial.monkeypatch.setattr(Loads, "begin", lambda loads, *args: (None, datetime.now(timezone.utc)))
    return trial.load()


def loaded_twice(trial: Trial) -> str:
    trial.load()
    return trial.load()


def twice(trial: Trial) -> str:
    trial.extract()
    return trial.extract()


def at_once(trial: Trial) -> str:
    sleep_at_once(trial.monkeypatch)
    return trial.extract(until=datetime.now(timezone.utc))


def killed(trial: Trial) -> str:
    hook = DotyposHook()
    hook.cancel()
    return trial.end(lambda: hook.get("manifest"))


#: How each message of the guide comes about.
CAUSES: dict[str, Callable[[Trial], str]] = {
    "Refresh Token is missing in the Airflow connection": lambda t: t.connect({"refresh_token": None}) or t.extract(),
    "answered 401 INVALID_REFRESH_TOKEN": lambda t: t.connect({"refresh_token": "0" * 32}) or t.extract(),
    "Cloud ID is missing": lambda t: t.connect({"cloud_id": None}) or t.extract(),
    "answered 403 CLOUD_FORBIDDEN": refused,
    "API base URL must start with https://": lambda t: t.connect(host="http://example.invalid") or t.extract(),
    "no trusted TLS connection to": untrusted,
    "Dotypos has no entity … (did you mean …?)": lambda t: t.extract(entity="order"),
    "filter: … has no field … (did you mean …?)": lambda t: t.extract(filter="statuss|eq|x"),
    "the window is empty": lambda t: t.extract(since="2026-01-02T00:00:00Z"),
    "… is a bare date: name its zone": lambda t: t.extract(since="2026-01-01"),
    "… in the future": lambda t: t.extract(until=datetime.now(timezone.utc) + timedelta(days=3)),
    "going on from the last success needs an asset": without_an_asset,
    "… requests have not been enough for the rows of …": more_rows_of_an_instant_than_a_budget_allows,
    "needs pyarrow": without_pyarrow,
    "is of type … tables can be loaded into …": lambda t: t.load(connection={"conn_type": "snowflake"}),
    "Tables can't take the rows, so nothing was read": a_table_of_another_form,
    "… (a privilege is missing)": without_a_privilege,
    "the API shows no …, but the table … has some": a_list_that_became_empty,
    "may or may not have been carried out": lost_write,
    "The conn_id … isn't defined": without_a_connection,
    "no whole answer from … Connection refused": lambda t: t.connect(port=1) or t.extract(),
    "no whole answer from … Connection reset by peer": lambda t: t.meet("reset"),
    "answered 500": lambda t: t.meet("500"),
    "answered with a list that contradicts itself": a_list_without_its_rows,
    "something between this machine and Dotypos answered in its place": lambda t: t.meet("403-html"),
    "has passed by one clock only": one_clock,
    "Nothing was committed, as rows could be lost": rows_out_of_order,
    "… of … lists failed": a_list_that_fails,
    "… can't be reached": no_database,
    "… has lost staged rows": a_database_that_lost_rows,
    "The task was resumed with an unknown event": lambda t: t.end(lambda: read_event({"status": "of another version"})),
    "Check destination": lambda t: t.extract(destination="/proc/nowhere"),
    "The task gives its slot back until …": lambda t: t.meet("429", retry_after="1700"),
    "… lists: … Skipped: …": a_list_that_is_forbidden,
    "nothing has settled since …": nothing_settled,
    "have been read by later runs": a_late_run,
    "The set exists already, with … It is kept": twice,
    "The window is loaded already": loaded_twice,
    "Another try has loaded this window meanwhile": beside_another_try,
    "Waiting … s until changes up to … show in the API.": at_once,
    "The task was killed while it waited": killed,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Shop.generate(days=2, orders_per_day=5, now=datetime(2026, 1, 2, 12, tzinfo=timezone.utc))) as running:
        yield running


@pytest.fixture
def trial(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Trial:
    channel.forget_tokens()
    sandbox.faults.clear()
    monkeypatch.setattr(retry, "PUT_OFF_SOON", retry.Patience(0.1, 0.1, 0.1, 0.1))
    return Trial(sandbox, tmp_path, monkeypatch, caplog)


def test_the_guide_shows_each_of_these_messages_and_no_other() -> None:
    assert excerpts() == list(CAUSES)


@pytest.mark.parametrize("excerpt", CAUSES)
def test_the_message_is_the_real_one(excerpt: str, trial: Trial) -> None:
    pattern = ".*".join(re.escape(piece.strip()) for piece in excerpt.split("…"))
    assert re.search(pattern, " ".join(CAUSES[excerpt](trial).split()))
    if trial.error is not None and (section := section_of(excerpt)) in PERMANENT:
        permanent = isinstance(trial.error, _compat.fail_exception()) or getattr(trial.error, "permanent", False)
        assert permanent == PERMANENT[section]
