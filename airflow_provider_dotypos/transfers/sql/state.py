"""What is remembered of a table in its database: the watermark, windows that tries have begun, and findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_dotypos.transfers.sql.loads import Loaded
from airflow_provider_dotypos.transfers.sql.names import STATE
from airflow_provider_dotypos.transfers.watermark import Watermark

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.transfers.sql.database import Database
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class State:
    """A store like Airflow's state stores, for what is remembered of one table.

    :param schema: where our own tables lie.
    :param target: the table.
    :param owner: whose values these are: of the table, or of a run alone.
    :param transaction: the transaction to use. Defaults to one for each call.
    """

    def __init__(
        self,
        database: Database,
        schema: str | None,
        target: str,
        owner: str = "",
        transaction: Transaction | None = None,
    ) -> None:
        self._database = database
        self._schema = schema
        self._target = target
        self._owner = owner
        self._transaction = transaction

    def within(self, transaction: Transaction) -> State:
        """Return the same store, whose changes count once a transaction is committed."""
        return State(self._database, self._schema, self._target, self._owner, transaction)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""
        query = f"SELECT value FROM {self._relation} WHERE target = ? AND {self._key} = ?"
        values = self._run(lambda transaction: transaction.rows(query, [self._target, key + self._owner]))
        return msgspec.json.decode(values[0][0]) if values else default

    def set(self, key: str, value: Any) -> None:
        """Keep a value, which JSON can hold."""
        insert = self._database.dialect.insert_new(self._relation, ("target", "key", "value"))
        update = f"UPDATE {self._relation} SET value = ? WHERE target = ? AND {self._key} = ?"
        text = msgspec.json.encode(value).decode()

        def write(transaction: Transaction) -> None:
            transaction.execute(insert, [self._target, key + self._owner, text])
            transaction.execute(update, [text, self._target, key + self._owner])

        self._run(write)

    def delete(self, key: str) -> None:
        """Forget the value of a key, if there is one."""
        statement = f"DELETE FROM {self._relation} WHERE target = ? AND {self._key} = ?"
        self._run(lambda transaction: transaction.execute(statement, [self._target, key + self._owner]))

    @property
    def _relation(self) -> str:
        return self._database.dialect.relation(self._schema, STATE)

    @property
    def _key(self) -> str:
        return self._database.dialect.quote("key")  # MySQL has a keyword of that name

    def _run(self, work: Callable[[Transaction], Any]) -> Any:
        return self._database.run(work) if self._transaction is None else work(self._transaction)


class SqlWatermark(Watermark[Loaded]):
    """The watermark of a table. The transaction that merges a window moves it, and nothing else does.

    :param state: what is remembered of the table.
    :param run: what is remembered of the run alone.
    :param key: its name in both.
    :param start: where a first run begins, in epoch milliseconds; ``None``: at the beginning.
    """

    def __init__(self, state: State, run: State, key: str, start: int | None) -> None:
        super().__init__(state, run, key)
        self._state = state
        self._start = start

    def move_within(self, transaction: Transaction, window: Window) -> None:
        """Move the watermark up to a window's end, once a transaction is committed."""
        Watermark[Loaded](self._state.within(transaction), self._state, self.key).move(window, start=self._start)

    def finish(self, window: Window, result: Loaded, *, start: int | None = None) -> list[Loaded]:
        """Do nothing: the watermark has moved already."""
        return []
