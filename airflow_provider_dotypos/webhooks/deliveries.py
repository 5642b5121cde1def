"""What the deliveries of a list have said together, as one event. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple
from uuid import uuid4

from airflow_provider_dotypos.api.watch import MOST_IDS, Change, key_of
from airflow_provider_dotypos.webhooks.bodies import DeliveredRow

#: Most rows that one event tells apart. Of more, it holds the window alone.
MOST_ROWS = 2_000

#: Milliseconds by which a window begins earlier, where a delivery doesn't say which rows have changed.
LOOKBACK = 600_000


class DeliveredList(NamedTuple):
    """A list of which something is delivered.

    :param uri: its asset's.
    :param teams: those of the connection, as Airflow's asset manager wants them; ``None`` without teams.
    """

    uri: str
    cloud_id: int
    entity: str
    teams: frozenset[str] | None = None


class Outcome(Enum):
    """What becomes of deliveries."""

    STORED = auto()
    REPEATED = auto()
    UNNAMED = auto()
    FAILED = auto()


@dataclass
class Deliveries:
    """What the deliveries of a list have said together. It stays small, however many there are.

    :param received: when the first one came, in epoch milliseconds.
    :ivar rows: those whose repeats can be known, by their digests.
    :ivar unknown: whether something else has changed, too.
    """

    received: int
    rows: dict[str, DeliveredRow] = field(default_factory=dict)
    unknown: bool = False

    def __post_init__(self) -> None:
        self._earliest = self._latest = self.received

    def add(self, rows: Sequence[DeliveredRow], received: int) -> None:
        """Add a delivery. One without rows says that something has changed.

        :param received: when it came, in epoch milliseconds.
        """
        self._latest = max(self._latest, received)
        self.unknown = self.unknown or not rows
        for row in rows:
            if row.changed is not None:
                self._earliest, self._latest = min(self._earliest, row.changed), max(self._latest, row.changed)
            if row.digest is not None and (row.digest in self.rows or len(self.rows) < MOST_ROWS):
                self.rows[row.digest] = row
            else:
                self.unknown = True

    def change(self, reported: Collection[str], keys: Collection[str]) -> tuple[Change, list[str]] | None:
        """Return what is new among them, and the digests of its rows; ``None`` if all has been reported before.

        :param reported: digests of rows that events have reported.
        :param keys: keys of events.
        """
        fresh = {name: row for name, row in self.rows.items() if name not in reported}
        if not fresh and not self.unknown:
            return None
        # Something unknown is never a repeat, so it has a key of its own.
        key = key_of([*fresh, uuid4().hex] if self.unknown else fresh)
        if key in keys:
            return None
        times = [row.changed for row in fresh.values() if row.changed is not None]
        ids = {row.id for row in fresh.values() if row.id is not None}
        if self.unknown or any(row.id is None for row in fresh.values()):
            change = Change(
                self._earliest - LOOKBACK, self._latest + 1, None, ids=None, newest=max(times, default=None), key=key
            )
        else:
            named = tuple(sorted(ids, key=int)) if len(ids) <= MOST_IDS else None
            change = Change(min(times), max(times) + 1, len(ids), ids=named, newest=max(times), key=key)
        return change, list(fresh)
