"""Tables as a sink: a piece's rows into staging, part by part, and all of them into their tables at once.

Each transaction is short but for the last one, and none is open while the API is waited for:

1. `begin` notes that a try begins, and makes the staging tables.
2. A part's rows and its range are committed together. Others can't finish the load meanwhile.
3. `commit` merges. The same transaction writes the load's row, moves the watermark, and removes the parts and the
   staging tables. So a load is done if and only if its rows are in their tables.

Each of them may be done twice, as the answer to ``COMMIT`` may be lost. The second time it finds what the first one
has done: the part, or the load's row.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.news import Kept, beginning, tell_news
from airflow_provider_dotypos.transfers.ranges import disjoint, end, start
from airflow_provider_dotypos.transfers.rows.looking import Looking
from airflow_provider_dotypos.transfers.rows.new_fields import NewFields
from airflow_provider_dotypos.transfers.sink import Walked
from airflow_provider_dotypos.transfers.sql.errors import DotyposDatabaseError
from airflow_provider_dotypos.transfers.sql.loads import Load, Loaded, Loads, OtherFieldsError
from airflow_provider_dotypos.transfers.sql.merge import Merge, Staged, lock_tables, merge
from airflow_provider_dotypos.transfers.sql.odd_loads import first_seen
from airflow_provider_dotypos.transfers.sql.oddities import Oddities
from airflow_provider_dotypos.transfers.sql.place import Place
from airflow_provider_dotypos.transfers.sql.staging import StagedPart, StagedRowsLostError, Staging
from airflow_provider_dotypos.transfers.wording import count

if TYPE_CHECKING:
    import msgspec

    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.sql.dialects.base import RowEncoder
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

log = list_log(__name__)

#: Bytes of a part in memory, and of the parts of all threads together.
PART_BYTES, ALL_PARTS_BYTES = 2**22, 2**23


class SqlSink(AbstractContextManager["SqlSink"]):
    """Loads a window's rows into tables. Made by `begin`.

    :param begun_at: when the load's first try began, by the database's clock.
    :param finished: what the load has brought, if it is done already.
    :param earlier: the parts that earlier tries have left.
    :param threads: how many threads write at once.
    :param move_watermark: moves the watermark in a transaction, if there is one.
    """

    def __init__(
        self,
        place: Place,
        selection: Selection,
        load: Load,
        staging: Staging,
        *,
        begun_at: datetime,
        finished: Loaded | None,
        earlier: list[StagedPart],
        threads: int,
        move_watermark: Callable[[Transaction], None] | None,
    ) -> None:
        self.place = place
        self.selection = selection
        self.finished = finished
        self.max_part_bytes = min(PART_BYTES, ALL_PARTS_BYTES // threads)
        self._load = load
        self._loads = Loads(place.database.dialect, place.schema)
        self._staging = staging
        self._begun_at = begun_at
        self._earlier = earlier
        self._move_watermark = move_watermark
        self._thread = EncodingThread()
        self._lock = threading.Lock()
        self._parts: list[StagedPart] = []
        self._rowless: list[StagedPart] = []
        self._written = False
        # Encoders see unknown fields by themselves, where these are wanted.
        self._looking = {
            entity: Looking(columns, values=False) for entity, columns in selection.tables.items() if not columns.others
        }

    @classmethod
    def begin(
        cls,
        place: Place,
        selection: Selection,
        load: Load,
        *,
        threads: int = 1,
        move_watermark: Callable[[Transaction], None] | None = None,
    ) -> SqlSink:
        """Begin a try of a load: its tables exist.

        :param threads: see `SqlSink`, as for `move_watermark`.
        :raises DotyposInputError: if it would remove rows of other loads.
        """
        database = place.database
        loads = Loads(database.dialect, place.schema)
        staging = Staging(database.dialect, place.schema, load.load_id, place.tables)
        now = database.read_at(time.monotonic())

        def begin(transaction: Transaction) -> tuple[Loaded | None, datetime, list[StagedPart]]:
            if load.mode == "replace" and selection.conditions:
                loads.check_feeds_alone(transaction, load)
            finished, begun_at = loads.begin(transaction, load, now)
            if finished is not None:
                return finished, begun_at, []
            staging.create(transaction)
            return None, begun_at, staging.parts(transaction)

        finished, begun_at, earlier = database.run(begin, interruptible=True)
        if finished is not None:
            log.info(
                "The window is loaded already (load %s). reload=True loads it again, once in each DAG run.",
                load.load_id,
            )
        return cls(
            place,
            selection,
            load,
            staging,
            begun_at=begun_at,
            finished=finished,
            earlier=earlier,
            threads=threads,
            move_watermark=move_watermark,
        )

    def __enter__(self) -> SqlSink:
        self._thread.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.__exit__(*exception)

    @property
    def has_kept_rows(self) -> bool:
        """Whether a later try can keep rows of this one."""
        return self._written

    def kept(self, piece: Piece) -> Iterator[StagedPart]:
        """Yield the ranges of a piece that earlier tries have staged."""
        low = float("-inf") if piece.lo is None else piece.lo
        inside = [
            part
            for part in self._earlier
            if part.stream == piece.name and part.high is not None and low <= start(part) and end(part) <= piece.hi
        ]
        for part in disjoint(inside):
            self._parts.append(part)
            yield part

    def open(self, piece: Piece) -> SqlPartWriter:
        """Return a writer for a piece's rows."""
        return SqlPartWriter(piece, self)

    def encoder(self, entity: str) -> RowEncoder:
        """Return a new encoder of a table's rows."""
        selection, table = self.selection, self.place.tables[entity]
        columns, cloud_id = selection.tables[entity], selection.cloud_id
        return self.place.database.dialect.encoder(table, columns, cloud_id, self._thread)

    def look(self, entity: str, rows: Sequence[msgspec.Raw], new_fields: dict[str, NewFields]) -> None:
        """Look at a few rows of a table whose unknown fields aren't wanted."""
        if entity in self._looking:
            seen = new_fields.setdefault(entity, NewFields(exact=False))
            self._looking[entity].look(rows, seen, Counter(), first=False)

    def stage(self, part: StagedPart, encoders: Mapping[str, RowEncoder], oddities: Oddities) -> None:
        """Stage a part, and the ranges that hold no rows.

        :param encoders: hold the rows of each table, by entity.
        :param oddities: what was odd in rows before they came to the encoders.
        :raises SupersededError: if another try has finished the load.
        """
        with self._lock:
            rowless, self._rowless = self._rowless, []

        def stage(transaction: Transaction) -> None:
            self._loads.check_open(transaction, self._load)
            for empty in rowless:
                self._staging.add(transaction, empty)
            self._staging.add(transaction, part, encoders, oddities)

        self.place.database.run(stage)
        with self._lock:
            self._parts += [*rowless, part]
        self._written = self._written or part.high is not None

    def note_rowless(self, part: StagedPart) -> None:
        """Note that a range of cursors was walked and holds no rows. The next part takes it along."""
        with self._lock:
            self._rowless.append(part)

    def commit(self, walked: Walked, check_cancelled: Callable[[], None]) -> Loaded:
        """Merge the staged rows into their tables, unless another try has; return what the load has brought."""
        check_cancelled()
        database = self.place.database
        now = database.read_at(time.monotonic())
        if rows := sum(part.rows for part in self._parts):
            log.detail("Merging %s into the table %s.", count(rows, self._load.entity), self._load.target)
        try:
            loaded = database.run(lambda transaction: self._merge(transaction, walked, now), interruptible=True)
        except StagedRowsLostError as error:
            reason = (
                f"{database.dialect.title} has lost staged rows ({error}): it has crashed meanwhile, or somebody has "
                "removed them."
            )
        except OtherFieldsError:
            reason = (
                f"A load of other fields into the table {self._load.target} was merged while this one read its rows. "
                "Merged over each other they would lose fields. Give all loads of a table the same fields (columns, "
                "exclude, include, personal_data), or let them not run at once."
            )
        else:
            return self._committed(loaded)
        # What is left of them can't be trusted by the next try, or is too old.
        database.run(self._staging.forget)
        database.run(self._staging.drop)
        raise DotyposDatabaseError(f"{reason} Nothing was merged. The next try reads the window again")

    def _committed(self, loaded: Loaded) -> Loaded:
        database = self.place.database
        if not database.dialect.transactional_ddl:
            database.run(self._staging.drop)
        if loaded.misfits:
            fields = ", ".join(f"{name} ({number})" for name, number in sorted(loaded.misfits.items()))
            log.warning(
                "Values didn't fit their columns, or weren't UTF-8: %s. They are kept as they came in the column "
                "_unknown, except for U+FFFD in place of what no text can hold, and for what may hold fields that "
                "weren't wanted.",
                fields,
            )
        if loaded.new_fields:
            earlier = database.run(
                lambda transaction: first_seen(transaction, database.dialect, self.place.schema, self._load)
            )
            kept: Kept = "aside" if self.selection.columns.others else "omitted"
            tell_news(self._load.entity, loaded.new_fields, beginning(self._load.window), earlier, kept)
        return loaded

    def give_way(self) -> Loaded:
        """Return what another try has brought: it has finished the load, and removed what this one has staged.

        :raises DotyposDatabaseError: if the load was forgotten, since its table was removed.
        """
        loaded = self.place.database.run(lambda transaction: self._loads.find(transaction, self._load))
        if loaded is None:
            raise DotyposDatabaseError(
                f"The table {self._load.target} was removed while rows were loaded into it, and another task has made "
                "it anew. The next try loads the window from the beginning"
            )
        log.warning("Another try has loaded this window meanwhile. Its result counts.")
        return loaded

    def leave(self) -> None:
        """End without a result: stage which ranges hold no rows, so that the next try needn't walk them again.

        A failure here only costs the next try some requests.
        """
        with self._lock:
            rowless, self._rowless = self._rowless, []
        if not rowless:
            return
        try:
            with self.place.database.transaction() as transaction:
                self._loads.check_open(transaction, self._load)
                for part in rowless:
                    self._staging.add(transaction, part)
        except Exception as failure:
            log.warning("Which ranges hold no rows couldn't be noted (%s); they will be walked again.", failure)

    def _merge(self, transaction: Transaction, walked: Walked, now: datetime) -> Loaded:
        place, load, dialect = self.place, self._load, self.place.database.dialect
        lock_tables(transaction, dialect, place.tables.values(), place.schema)
        if (loaded := self._loads.lock(transaction, load)) is not None:
            return loaded
        parts = self._staging.settle(transaction, self._parts)
        self._loads.check_fields(transaction, load, self._staging.relations[load.entity])
        merged = merge(
            transaction,
            dialect,
            Merge(
                cloud_id=load.cloud_id,
                load_id=load.load_id,
                mode=load.mode,
                deletes=place.deletes,
                tables=[Staged(table, self._staging.relations[entity]) for entity, table in place.tables.items()],
                begun_at=self._begun_at,
                schema=place.schema,
                scope=place.scope,
                allow_empty=place.allow_empty,
            ),
        )
        rows = sum(part.rows for part in parts)
        odd = Oddities.sum(part.oddities for part in parts)
        loaded = self._loads.finish(transaction, load, rows, merged, odd, walked.requests, now)
        if self._move_watermark is not None:
            self._move_watermark(transaction)
        self._staging.forget(transaction)
        if dialect.transactional_ddl:
            self._staging.drop(transaction)
        return loaded


class SqlPartWriter:
    """Encodes one piece's rows in memory. A part ends by copying them into staging."""

    def __init__(self, piece: Piece, sink: SqlSink) -> None:
        self._piece = piece
        self._sink = sink
        self._entity = sink.selection.entity.name
        self._encoders: dict[str, RowEncoder] = {}
        self._name = _part_name()
        self._misfits: Counter[str] = Counter()
        self._new_fields: dict[str, NewFields] = {}

    @property
    def size(self) -> int:
        """Bytes of the part under way."""
        return sum(encoder.bytes for encoder in self._encoders.values())

    def write(self, batch: Batch) -> None:
        """Add rows, and their children, to the part under way."""
        read_at = self._sink.place.database.read_at(batch.read_at)
        tables, misfits = self._sink.selection.split(batch.rows)
        for entity, rows in tables.items():
            self._encoder(entity).add(rows, read_at)
            self._sink.look(entity, rows, self._new_fields)
        self._misfits.update(misfits)

    def end(self, low: int | None, high: int | None) -> None:
        """Stage the part under way. If there is none, note that its range holds no rows.

        :raises SupersededError: if another try has finished the load.
        """
        encoders = {entity: encoder for entity, encoder in self._encoders.items() if encoder.rows}
        if encoders:
            rows = {entity: encoder.rows for entity, encoder in encoders.items()}
            own = rows.pop(self._entity, 0)
            part = StagedPart(self._name, self._piece.name, low, high, own, sum(rows.values()))
            new_fields = {entity: seen.fields for entity, seen in self._new_fields.items()}
            self._sink.stage(part, encoders, Oddities(dict(self._misfits), new_fields))
            self.discard()
        elif high is not None and high != low:
            self._sink.note_rowless(StagedPart(_part_name(), self._piece.name, low, high))

    def discard(self) -> None:
        """Leave nothing of the part under way."""
        for encoder in self._encoders.values():
            encoder.clear()
        self._name = _part_name()
        self._misfits = Counter()
        self._new_fields = {}

    def _encoder(self, entity: str) -> RowEncoder:
        encoder = self._encoders.get(entity)
        if encoder is None:
            encoder = self._encoders[entity] = self._sink.encoder(entity)
        encoder.load_id = self._name
        return encoder


def _part_name() -> str:
    return secrets.token_hex(6)
