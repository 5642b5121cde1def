"""The SQL sink: no row is lost or repeated, whatever ends a try. This tests `loads`, `staging` and `ranges`, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api import pieces
from airflow_provider_dotypos.exceptions import DotyposDatabaseError
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.transfers.sql import database as databases
from airflow_provider_dotypos.transfers.sql import sink as sinks
from airflow_provider_dotypos.transfers.sql.transaction import Transaction
from tests.api.walking import HOUR, empty_shop
from tests.transfers.sql.databases import Warehouse, embedded, postgres_server
from tests.transfers.sql.test_dotypos_to_sql import window
from tests.transfers.sql.tries import SqlStorm, leftovers, lost
from tests.transfers.storms import QUIET, Burst, Plan, Weather, check_promises
from tests.transfers.test_storms import CALM, plans, weathers
from tests.transfers.turns import Death, by_turns


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(empty_shop()) as running:
        yield running


@given(weather=weathers, plans=plans, mode=st.sampled_from(["upsert", "append"]))
# One is throttled, the next is killed, and a zombie gives way to the last.
@example(
    replace(CALM, bursts=[Burst(1000, 340, 0), Burst(2000, 900, HOUR)]),
    [
        replace(QUIET, part_bytes=1, stall=9),
        replace(QUIET, concurrency=4, part_bytes=1, death=Death("throttled", 20)),
        replace(QUIET, part_bytes=1, death=Death("crash", 12)),
    ],
    "append",
)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_row_is_lost_or_repeated_in_any_storm(api: Sandbox, weather: Weather, plans: list[Plan], mode: str) -> None:
    with (
        TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as monkeypatch,
        by_turns(),
        patch.object(pieces, "WORTH_SPLITTING", weather.worth_splitting),
        patch.multiple(databases, LOST_AT_MOST=0.0, BUSY_AT_MOST=0.0),
    ):
        warehouse = embedded("sqlite", Path(folder))
        warehouse.store(monkeypatch)
        check_promises(SqlStorm(api, weather, warehouse, mode), plans)


class Crash(BaseException):
    """What a process dies of in these tests."""


@dataclass
class Statements:
    """What is done to databases, and what befalls it.

    :param crash_at: the number of the statement before which the process dies.
    :param lose_at: the number of the ``COMMIT`` whose answer is lost.
    :ivar log: all statements.
    """

    crash_at: int = 0
    lose_at: int = 0
    log: list[str] = field(default_factory=list)

    def __call__(self, execute: Callable[..., int]) -> Callable[..., int]:
        def counted(transaction: Transaction, sql: str, parameters: Sequence[Any] = ()) -> int:
            self.log.append(sql)
            if self.crash_at and len(self.log) >= self.crash_at:
                raise Crash
            changed = execute(transaction, sql, parameters)
            if sql == "COMMIT" and self.log.count("COMMIT") == self.lose_at:
                raise lost()
            return changed

        return counted


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    counting = Statements()
    monkeypatch.setattr(Transaction, "execute", counting(Transaction.execute))
    return counting


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "PART_BYTES", 20_000)


def notes(sandbox: Sandbox) -> list[tuple[int, str]]:
    """Return what the shop holds."""
    return sorted((int(row["id"]), row["note"]) for row in sandbox.shop.rows(sandbox.cloud_ids[0], "orders"))


def loaded(warehouse: Warehouse) -> list[tuple[int, str]]:
    """Return what the table holds."""
    return sorted((int(id), note) for id, note in warehouse.rows("SELECT id, note FROM orders"))


@pytest.mark.usefixtures("connection", "orders", "small_parts")
def test_a_crash_before_any_statement_loses_and_repeats_nothing(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statements: Statements
) -> None:
    at = 1
    while True:
        warehouse = embedded("sqlite", tmp_path / str(at))
        (tmp_path / str(at)).mkdir()
        warehouse.store(monkeypatch)
        statements.log.clear()
        statements.crash_at = at
        try:
            window(mode="append", concurrency=1)
        except Crash:
            pass
        else:
            break
        statements.crash_at = 0
        asked = len(sandbox.requests)
        assert window(mode="append", concurrency=1)["inserted"] == len(notes(sandbox))
        staged = sum(sql.startswith('INSERT INTO "_dotypos_parts"') for sql in statements.log[: at - 1])
        assert len(sandbox.requests) - asked <= 14 - staged
        assert loaded(warehouse) == notes(sandbox)
        assert leftovers(warehouse) == ([], 0)
        at += 1 + at // 4
    assert at > 40


@pytest.mark.usefixtures("connection", "orders", "small_parts")
def test_a_lost_answer_to_any_commit_is_settled(
    sandbox: Sandbox, warehouse: Warehouse, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    if warehouse.kind != "postgres":
        monkeypatch.setattr(sinks, "PART_BYTES", 200_000)
    at = 0
    while at == 0 or statements.log.count("COMMIT") > at:
        at = statements.lose_at = at + (3 if warehouse.kind == "duckdb" else 1)
        statements.log.clear()
        result = window(table=f"orders_{at}", mode="append")
        assert result["inserted"] == len(notes(sandbox))
        rows = warehouse.rows(f"SELECT id, note FROM orders_{at}")
        assert sorted((int(id), note) for id, note in rows) == notes(sandbox)
        assert leftovers(warehouse) == ([], 0)
    assert at > 5


@pytest.mark.usefixtures("connection", "orders", "small_parts")
def test_a_late_try_gives_way(
    sandbox: Sandbox, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first try sleeps before it stages a part, and in its commit, while a second one does all."""
    results = []
    for number, (what, after) in enumerate([("stage", 1), ("stage", 3), ("commit", 1)]):
        with monkeypatch.context() as patched:
            original, calls, table = getattr(sinks.SqlSink, what), [0], f"orders_{number}"

            def overtaken(sink: Any, *arguments: Any, original: Any = original, calls: Any = calls,
                          after: int = after, table: str = table) -> Any:  # fmt: skip
                calls[0] += 1
                if calls[0] == after:
                    results.append(window(table=table, mode="append"))
                return original(sink, *arguments)

            patched.setattr(sinks.SqlSink, what, overtaken)
            results.append(window(table=table, mode="append", concurrency=1))
        assert results[-1] == results[-2]
        rows = warehouse.rows(f"SELECT id, note FROM {table}")
        assert sorted((int(id), note) for id, note in rows) == notes(sandbox)
        assert leftovers(warehouse) == ([], 0)
    assert "Another try has loaded this window meanwhile" in caplog.text


@pytest.mark.usefixtures("connection", "orders", "small_parts")
@pytest.mark.parametrize("gone", ["parts", "rows"])
def test_what_the_database_has_lost_is_not_taken_for_loaded(
    sandbox: Sandbox, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """A worker that outlives a crash of PostgreSQL believes that what it has staged is there."""
    commit = sinks.SqlSink.commit

    def crash_and_commit(sink: Any, *arguments: Any) -> Any:
        ((staging,),) = {tuple(sink._staging.relations.values())}
        warehouse.execute(f"DELETE FROM {staging}")
        if gone == "parts":  # both are unlogged
            warehouse.execute("DELETE FROM _dotypos_parts")
        return commit(sink, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(sinks.SqlSink, "commit", crash_and_commit)
        with pytest.raises(DotyposDatabaseError, match="has lost staged rows") as caught:
            window()
    assert not caught.value.permanent
    assert window()["inserted"] == len(notes(sandbox))
    assert loaded(warehouse) == notes(sandbox)


@pytest.mark.usefixtures("connection", "orders")
def test_no_transaction_is_open_while_the_api_is_waited_for(
    postgres: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.connection["extra"]["application_name"] = "loading"
    postgres.store(monkeypatch)
    counts: list[tuple[int, int]] = []
    with closing(postgres.connect()) as looking:

        class Look(Fault):
            def strikes(self, method: str, path: str) -> bool:
                with looking.cursor() as cursor:
                    cursor.execute(
                        "SELECT count(*), count(xact_start) FROM pg_stat_activity "
                        "WHERE application_name = 'loading' AND pid <> pg_backend_pid()"
                    )
                    counts.append(cursor.fetchone())
                return False

        sandbox.faults.append(Look("500"))
        monkeypatch.setattr(sinks, "PART_BYTES", 20_000)
        window(concurrency=1)
    assert len(counts) > 5
    assert max(counts) <= (2, 0)
    assert {open for _, open in counts} == {0}


@pytest.mark.usefixtures("connection", "orders", "small_parts")
def test_a_database_that_crashes_between_parts_and_merge_loses_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlogged tables are empty then: the parts that say what is staged, too."""
    with postgres_server() as server:
        warehouse = server.warehouse()
        warehouse.store(monkeypatch)
        commit = sinks.SqlSink.commit

        def crash_and_commit(sink: Any, *arguments: Any) -> Any:
            assert leftovers(warehouse)[1] > 3
            server.crash()
            return commit(sink, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(sinks.SqlSink, "commit", crash_and_commit)
            with pytest.raises(DotyposDatabaseError, match="has lost staged rows"):
                window()
        assert window()["inserted"] == len(notes(sandbox))
        assert loaded(warehouse) == notes(sandbox)
        assert leftovers(warehouse) == ([], 0)
