"""Whatever fails, no content of a row gets into an error, a log, or what others see of a statement."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import pytest

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.exceptions import DotyposDatabaseError
from airflow_provider_dotypos.sandbox import Sandbox
from tests.hook_lineage import collect_lineage
from tests.patience import PATIENCE
from tests.transfers.conftest import SINCE_MS, UNTIL
from tests.transfers.sample_rows import order
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.staged import READ_AT, Staging
from tests.transfers.sql.test_dotypos_to_sql import HOUR, load, window

ErrorT = TypeVar("ErrorT", bound=Exception)

MARK = "Jana +420"
#: In a text, a list, JSON and an unknown field.
ROW = order(id="1", note=MARK, tags=[MARK], novel={MARK: MARK})


@pytest.fixture
def staging(warehouse: Warehouse) -> Iterator[Staging]:
    with Staging(warehouse) as place:
        yield place


def everything_said(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error says, and those that it came from, whether they are shown or not."""
    if error is None:
        return
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)), repr(getattr(error, "__notes__", "")))
    yield from traceback.format_exception(error)
    yield from everything_said(error.__cause__)
    yield from everything_said(error.__context__)


def check_nothing_shows(
    work: Callable[[], object],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    expected: type[ErrorT] = DotyposDatabaseError,  # type: ignore[assignment]
) -> ErrorT:
    with caplog.at_level(logging.DEBUG), pytest.raises(expected) as raised:
        work()
    said = [*everything_said(raised.value), caplog.text, *capfd.readouterr()]
    assert not [text for text in said if "Jana" in text or "+420" in text]
    return raised.value


#: How a staging table refuses the row; each database's own error quotes the value, but for SQLite's.
REFUSING = {
    "postgres": "ALTER TABLE {} ALTER note TYPE integer USING NULL",
    "sqlite": "ALTER TABLE {} ADD other INTEGER CHECK (length(note) < 3)",
    "duckdb": "ALTER TABLE {} ALTER note TYPE INTEGER",
    "mysql": "ALTER TABLE {} MODIFY note integer",
}


def copy(place: Staging) -> None:
    """Copy the row, as the sink does: it is tried again where that helps."""
    encoder = place.encoder()
    encoder.add([ROW] * 500, READ_AT)
    place.database.run(lambda transaction: encoder.copy(transaction, place.name))


def test_a_copy_fails(staging: Staging, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    staging.warehouse.execute(REFUSING[staging.warehouse.kind].format(staging.name))
    error = check_nothing_shows(partial(copy, staging), caplog, capfd)
    assert error.permanent
    assert staging.read("id") == []


def test_the_table_is_gone(
    staging: Staging, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    staging.warehouse.execute(f"DROP TABLE {staging.name}")
    check_nothing_shows(partial(copy, staging), caplog, capfd)


def test_a_merge_fails(staging: Staging, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    target = staging.dialect.relation(None, "orders")
    note = "note(20)" if staging.warehouse.kind == "mysql" else "note"
    with staging.database.transaction() as transaction:
        transaction.execute(staging.dialect.create_table(target, staging.table.columns))
        transaction.execute(f"CREATE UNIQUE INDEX one_note ON {target} ({note})")
    staging.copy([ROW, order(id="2", note=MARK)])
    names = staging.dialect.listed(staging.table.names)
    statement = f"INSERT INTO {target} ({names}) SELECT {names} FROM {staging.name}"
    run = partial(staging.database.run, lambda transaction: transaction.execute(statement))
    check_nothing_shows(run, caplog, capfd)


#: Triggers that say all that they can of a row; DuckDB has none.
SAYING = {
    "postgres": (
        "CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '%', NEW; RAISE EXCEPTION "
        "'%', NEW USING ERRCODE = '23514', COLUMN = NEW.note, TABLE = NEW.note, DETAIL = NEW.note, HINT = NEW.note; "
        "END $$",
        "CREATE TRIGGER saying BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION say()",
    ),
    "mysql": (
        "CREATE TRIGGER saying BEFORE INSERT ON orders FOR EACH ROW BEGIN DECLARE said TEXT DEFAULT "
        "CONCAT('Unknown column ''', NEW.note, ''''); SIGNAL SQLSTATE '42S22' SET MESSAGE_TEXT = said, "
        "MYSQL_ERRNO = 1054; END",
    ),
    "sqlite": (f"CREATE TRIGGER saying BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, '{MARK}'); END",),
    "duckdb": ("CREATE UNIQUE INDEX saying ON orders (note)",),
}


def test_a_task_fails_whose_rows_a_trigger_names(
    warehouse: Warehouse,
    connection: None,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collector = collect_lineage(monkeypatch)
    load(since=UNTIL, until=UNTIL + HOUR)
    warehouse.execute(*SAYING[warehouse.kind])
    cloud = sandbox.cloud_ids[0]
    for moment in (SINCE_MS, SINCE_MS + 1):
        row = sandbox.shop.insert(cloud, "orders", {"versionDate": moment, "note": MARK, "tags": [MARK]})
        sandbox.shop.table(cloud, "orders").put(row | {MARK: MARK, "flags": MARK})
    check_nothing_shows(window, caplog, capfd, _compat.fail_exception())
    assert "Jana" not in repr(collector.collected_assets)


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_postgresql_ends_the_connection(
    postgres: Warehouse, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], driver: str
) -> None:
    module = pytest.importorskip(driver)
    given = postgres.connection
    connect = partial(module.connect, host=given["host"], user="postgres", dbname="postgres", **given["extra"])
    with Staging(postgres, connect=connect) as place:
        encoder = place.encoder()
        encoder.add([ROW] * 500, READ_AT)

        def lose_the_connection() -> None:
            with place.database.transaction() as transaction:
                ((pid,),) = transaction.rows("SELECT pg_backend_pid()")
                postgres.execute(f"SELECT pg_terminate_backend({pid})")
                encoder.copy(transaction, place.name)

        assert check_nothing_shows(lose_the_connection, caplog, capfd).passing


#: How another connection holds a staging table, so that a copy waits; and what it sees of all statements meanwhile.
HELD = {
    "postgres": ("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", "SELECT query FROM pg_stat_activity"),
    "mysql": ("LOCK TABLES {} WRITE", "SELECT info_binary FROM information_schema.processlist"),
}


@pytest.mark.parametrize("kind", HELD)
def test_others_see_no_row_in_the_statements_that_run(request: pytest.FixtureRequest, kind: str) -> None:
    warehouse: Warehouse = request.getfixturevalue(f"{'mariadb' if kind == 'mysql' else kind}_of_session").warehouse()
    with pytest.MonkeyPatch.context() as patch:
        warehouse.store(patch)
        with Staging(warehouse) as place, closing(warehouse.connect()) as other:
            lock, look = HELD[kind]
            cursor = other.cursor()
            cursor.execute(lock.format(place.name))
            copying = threading.Thread(target=copy, args=[place])
            copying.start()
            seen: list[bytes] = []
            given_up = time.monotonic() + PATIENCE
            while not (running := [text for text in seen if b"_dotypos_staging_orders" in text and b"note" in text]):
                assert time.monotonic() < given_up
                seen = [as_bytes(text) for (text,) in warehouse.rows(look)]
            cursor.execute("ROLLBACK" if kind == "postgres" else "UNLOCK TABLES")
            copying.join(PATIENCE)
            assert not [text for text in running if b"Jana" in text or b"+420" in text]
            assert len(place.read("id")) == 500


def as_bytes(text: Any) -> bytes:
    return b"" if text is None else text if isinstance(text, bytes) else str(text).encode()
