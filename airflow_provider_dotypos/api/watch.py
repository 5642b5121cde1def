"""What has changed in a list since a watcher last looked: its state, and a pure step from one poll to the next.

**The promise.** Each change of a row comes in an event, and comes again, under the same key, only if a state was lost:
a watcher that is killed after its event, and before its state is kept, goes on from the earlier state.

*Assumed* [A]: a change moves the row's cursor to the server's time, and shows in lists at most `overlap` seconds later.
A row that changes once more before it was shown is shown as it is then, with its later cursor: that change stands for
both.

**Why no change is lost.** A stream of a state has `reached` r: each change with a cursor before r is in an event.

1. A poll's request leaves at t, and asks for all rows from a cursor at or before r on. Its answer, or the loss-free
   walk behind it, is whole. So every row with a cursor from r on that showed at t is in it. Each of them that isn't in
   `seen` is fresh, and goes into the event.
2. A row that didn't show at t shows within `overlap` of its cursor. So its cursor lies after t - overlap.
3. So the next r is t - overlap, or r if that is later, whatever the time between two polls.
4. t is taken from the earlier of our clock and the server's, before the request. An earlier t only asks for more.
   Answers may show times cut to the second, while filters are exact. So r is a whole second, which no cut crosses.
5. A snapshot may lack a stream: not every poll asks for deleted rows, and an empty 404 is no answer, as a gateway in
   trouble gives it as well. Then r stays, and the next poll shows the rows. And a snapshot may have been asked for
   others, from a later cursor on than r, or without deleted rows. Then the state stays as it is.
6. Rows that can't be listed, as they are too many, or hundreds share one instant and their order isn't stable, are in
   the event's window. It has neither count nor ids, comes again while they are within the overlap, and under other
   keys. A watcher whose r lies behind all of them has nothing to do with it: the rows from there on are listed.
7. A stream that the state doesn't know begins at `since`. That is no later than any r. And it lies `overlap` before the
   time at which what the list lies below was last listed, if it is: a warehouse that was made since is asked for from
   before its beginning on. The same holds where the streams are cut differently, because a watcher of deleted rows has
   joined: the new stream begins where all of the former ones have been read.

**Why no change comes again.** `seen` holds the marks of all rows with a cursor from `since` on that have been looked
at, whatever stream showed them, and whether later polls show them or not. No stream looks at rows before `since`, as r
lies at or after it. So each row that is looked at once more is known. What comes again all the same:

- Of more than `MOST_SEEN` rows the earliest are forgotten. They come again where a stream still looks at them.
- The window of rows that can't be listed is in each event while they lie within the overlap, under other keys.
- Of two cursors each is watched by itself: a change comes once by each that shows it. In one event it counts once.
- A clock that is set back by more than the overlap takes `since` along.

**What makes a row fresh** is its mark: a digest of its id and cursor. Where answers show whole seconds, two changes of
a second have the same cursor. So a cursor that is a whole second is told apart by the row's contents, too. Two changes
of a row in one millisecond count as one. So do changes within such a second that leave the row as it was.

A row that changes so that a filter doesn't hold any more isn't fresh: watchers see the rows for which it holds.

https://docs.api.dotypos.com/api-reference/general/filter
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Literal

import msgspec

from airflow_provider_dotypos.api.entities import Entity, entities, find_list
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.matching import Matcher, matcher
from airflow_provider_dotypos.api.page import SECOND, decode_row
from airflow_provider_dotypos.api.query import Filter, Triple, window_conditions
from airflow_provider_dotypos.api.window import iso

#: Most ids that an event names.
MOST_IDS = 100

#: Most marks of rows that a state holds. With their seconds they are 16 to 40 KB of text.
MOST_SEEN = 2000

#: Most characters of a state. A value in Airflow's state store has at most 64 KB.
LONGEST_STATE = 48 * 1024

#: Seconds for which a change may show late.
OVERLAP = 60.0

#: Characters of a digest.
_DIGEST = 8

_VERSION = 1


@dataclass(frozen=True)
class ShownRow:
    """A row as a poll shows it.

    :param cursor: in epoch milliseconds.
    :param deleted: its soft-delete marker; ``None`` if it has none.
    :param raw: its bytes, as they came.
    :param parent: the id of what the list lies below, if anything.
    """

    id: str
    cursor: int
    deleted: bool | None
    raw: msgspec.Raw
    parent: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """What tells it apart from the other rows of its entity."""
        return self.parent or "", self.id

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """Its fields, as the API gives them."""
        return decode_row(self.raw)

    @cached_property
    def digest(self) -> str:
        """The digest of its id and cursor."""
        return digest("/".join(filter(None, self.place)), self.cursor)

    @cached_property
    def mark(self) -> str:
        """What differs after every change of the row: the digest, with the contents if the cursor may be cut."""
        return self.digest if self.cursor % SECOND else _hash(f"{self.digest}|".encode() + bytes(self.raw))


@dataclass(frozen=True)
class StreamRows:
    """What a poll has shown of one stream.

    :param since: it was asked for cursors from here on (epoch ms).
    :param now: the time before the request left (epoch ms), by the earlier of both clocks.
    :param whole: whether one answer showed all; otherwise more than a page has changed.
    :param counted: whether these are all rows, and not only the first and the last ones.
    :param unlisted_until: the cursor before which changed rows couldn't be listed (epoch ms); ``None`` if all were.
    """

    since: int
    now: int
    rows: Sequence[ShownRow]
    whole: bool = True
    counted: bool = True
    unlisted_until: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """What one poll of a list has shown, by the names of its streams. Not every poll asks for every stream.

    :param known: the names of all streams that hold what was asked for.
    :param known_at: when these were looked up (epoch ms).
    :param deleted: whether deleted rows were asked for.
    """

    streams: Mapping[str, StreamRows]
    known: Collection[str]
    known_at: int
    deleted: bool = True

    @property
    def size(self) -> int:
        """How many rows it shows."""
        return sum(len(stream.rows) for stream in self.streams.values())


@dataclass(frozen=True)
class Watch:
    """What a watcher wants to know of a list.

    :param conditions: evaluated on the rows of a poll, which all watchers of the list share.
    :param deleted: whether deleted rows count.
    :param since: rows with an earlier cursor don't count (epoch ms).
    """

    entity: Entity
    conditions: tuple[Triple, ...] = ()
    deleted: bool = True
    since: int = 0

    @classmethod
    def of(cls, entity: str, filter: Filter = None, *, deleted: bool = True) -> Watch:
        """Return the watch that a user asks for.

        :param filter: the API's grammar as text, or triples.
        :param deleted: whether deleted rows count. A filter that names ``deleted`` decides it.
        :raises DotyposInputError: if the list can't be watched, as it has no cursor, or if the filter asks what the
            API doesn't allow, or what can't be evaluated on rows for certain.
        """
        if not isinstance(deleted, bool):
            raise DotyposInputError(f"deleted must be True or False, not {type(deleted).__name__} {deleted!r}")
        listed = find_list(entity)
        if not listed.cursors:
            watchable = ", ".join(other.name for other in entities().values() if other.cursors)
            raise DotyposInputError(
                f"{entity} can't be watched: its rows don't say when they changed. Lists that can: {watchable}"
            )
        watch = cls(listed, window_conditions(listed, filter), deleted)
        for name, matches in watch._matchers:
            if name == "deleted":
                return cls(listed, watch.conditions, matches(True))
        return watch

    def wants(self, row: ShownRow) -> bool:
        """Return whether a row counts."""
        if row.cursor < self.since or (row.deleted and not self.deleted):
            return False
        return all(matches(row.values.get(name)) for name, matches in self._matchers)

    @cached_property
    def _matchers(self) -> Sequence[tuple[str, Matcher]]:
        return [(condition[0], matcher(self.entity, condition)) for condition in self.conditions]


@dataclass(frozen=True)
class State:
    """How far a watcher has got.

    :param since: where streams begin that aren't in `reached` (epoch ms).
    :param reached: by streams, in epoch milliseconds: what lies before has been looked at. None lies before `since`.
    :param seen: the marks of rows from `since` on that have been looked at, with their cursors' seconds (epoch ms).
    """

    since: int
    reached: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, since: int) -> State:
        """Return the state of a watcher that has seen nothing since a time (epoch ms)."""
        return cls(_second(since))

    def start(self, stream: str) -> int:
        """Return the cursor from which on a stream must be asked for."""
        return self.reached.get(stream, self.since)

    def encode(self) -> str:
        """Return the state as text of at most 48 KB.

        Where the streams are too many for that, all begin at `since` again. That asks for more, and repeats nothing.
        """
        for state in (self, replace(self, reached={}), State(self.since)):
            if len(text := state._text()) <= LONGEST_STATE:
                break
        return text

    def _text(self) -> str:
        seen: dict[int, str] = {}  # the marks of each second, by its distance from `since`
        for mark, second in self.seen.items():
            distance = (second - self.since) // SECOND
            seen[distance] = seen.get(distance, "") + mark
        fields = {"version": _VERSION, "since": self.since, "reached": dict(self.reached), "seen": seen}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def decode(cls, text: object) -> State | None:
        """Return the state that a text holds; ``None`` if it holds none, or one of another version."""
        try:
            stored = _decoder.decode(text)  # type: ignore[arg-type]
        except (msgspec.MsgspecError, UnicodeError, TypeError):
            return None
        if stored.version != _VERSION or any(reached < stored.since for reached in stored.reached.values()):
            return None
        seen = {
            mark: stored.since + distance * SECOND for distance, marks in stored.seen.items() for mark in _parted(marks)
        }
        return cls(stored.since, stored.reached, seen)


class _StoredState(msgspec.Struct):
    version: int
    since: int
    reached: dict[str, int]
    seen: dict[int, str]


_decoder = msgspec.json.Decoder(_StoredState)


@dataclass(frozen=True)
class Change:
    """Fresh rows, as an event names them: no personal data.

    :param since: with `until` the window ``[since, until)`` (epoch ms, whole seconds) that holds the rows' cursors.
    :param count: how many rows; ``None`` if unknown.
    :param ids: at most `MOST_IDS`; ``None`` if there are more, or if they are unknown.
    :param newest: the latest cursor, ``None`` if unknown.
    :param key: 16 hex digits, the digest of the fresh rows' (id, cursor).
    """

    since: int
    until: int
    count: int | None
    ids: tuple[str, ...] | None
    newest: int | None
    key: str

    @classmethod
    def of(cls, rows: Collection[ShownRow]) -> Change:
        """Return the change that consists of some rows."""
        ordered = sorted(rows, key=lambda row: (row.cursor, row.place))
        first, last = ordered[0].cursor, ordered[-1].cursor
        ids = tuple(dict.fromkeys(row.id for row in ordered))
        return cls(
            since=_second(first),
            until=_second(last) + SECOND,
            count=len({row.place for row in ordered}),
            ids=ids if len(ids) <= MOST_IDS else None,
            newest=last,
            key=key_of(row.mark for row in ordered),
        )

    @classmethod
    def over(cls, windows: Sequence[tuple[int, int]], listed: Change | None) -> Change:
        """Return the change of windows with rows that couldn't be listed, and of rows that could.

        :param windows: begins and ends (epoch ms).
        """
        spans = [*windows, (listed.since, listed.until)] if listed else windows
        since, until = min(since for since, _ in spans), max(_second(until) + SECOND for _, until in spans)
        return cls(since, until, None, None, None, key_of(f"{span}" for span in spans))

    def payload(self, cloud_id: int, entity: str, source: Literal["poll", "webhook"] = "poll") -> dict[str, Any]:
        """Return what an asset event, a sensor's XCom or a trigger's event holds: times as ISO texts, no row."""
        return {
            "version": _VERSION,
            "cloud_id": cloud_id,
            "entity": entity,
            "key": self.key,
            "since": iso(self.since),
            "until": iso(self.until),
            "count": self.count,
            "ids": None if self.ids is None else list(self.ids),
            "newest": None if self.newest is None else iso(self.newest),
            "source": source,
        }


def step(state: State, snapshot: Snapshot, watch: Watch, overlap: float = OVERLAP) -> tuple[State, Change | None]:
    """Return the next state of a watcher, and what is fresh for it.

    :param overlap: seconds for which a change may show late.
    """
    if not _serves(snapshot, state, watch):
        return state, None
    reached = {stream: state.start(stream) for stream in snapshot.known}
    seen = dict(state.seen)
    fresh: list[ShownRow] = []
    unlisted: list[tuple[int, int]] = []  # windows
    for stream, shown in snapshot.streams.items():
        rows = [row for row in shown.rows if row.cursor >= reached[stream] and watch.wants(row)]
        fresh += [row for row in rows if row.mark not in state.seen]
        seen.update((row.mark, _second(row.cursor)) for row in rows)
        if shown.unlisted_until is not None and reached[stream] < shown.unlisted_until:
            unlisted.append((reached[stream], shown.unlisted_until))
        reached[stream] = _advanced(reached[stream], shown.now, overlap)
    since = min([_advanced(state.since, snapshot.known_at, overlap), *reached.values()])
    next_state = State(since, reached, _latest(seen, since))
    change = Change.of(fresh) if fresh else None
    if change is not None and not all(shown.counted for shown in snapshot.streams.values()):
        change = replace(change, count=None, ids=None)
    return next_state, Change.over(unlisted, change) if unlisted else change


def _latest(seen: Mapping[str, int], since: int) -> Mapping[str, int]:
    """Return the marks that a state keeps: those from a time on, of too many the latest."""
    kept = [(mark, second) for mark, second in seen.items() if second >= since]
    return dict(sorted(kept, key=itemgetter(1))[-MOST_SEEN:])


def _serves(snapshot: Snapshot, state: State, watch: Watch) -> bool:
    """Return whether a poll asked for what a watcher wants, from its position on. It may have joined meanwhile."""
    if watch.deleted and not snapshot.deleted:
        return False
    return all(shown.since <= state.start(stream) for stream, shown in snapshot.streams.items())


def digest(id: str, cursor: int) -> str:
    """Return what stands for a row's id and cursor (epoch ms), in 8 characters; webhooks compute the same."""
    return _hash(f"{id}|{cursor}".encode())


def key_of(digests: Iterable[str]) -> str:
    """Return the key of an event of rows: 16 hex digits."""
    return blake2b("".join(sorted(digests)).encode(), digest_size=8).hexdigest()


def _hash(data: bytes) -> str:
    return urlsafe_b64encode(blake2b(data, digest_size=6).digest()).decode()


def _advanced(moment: int, now: int, overlap: float) -> int:
    """Return where to ask from after a request at `now`. A moment in the future was taken from a wrong clock."""
    settled = _second(now - round(overlap * 1000))
    return moment if settled <= moment <= now else settled


def _second(moment: int) -> int:
    return moment - moment % SECOND


def _parted(joined: str) -> list[str]:
    return [joined[start : start + _DIGEST] for start in range(0, len(joined), _DIGEST)]
