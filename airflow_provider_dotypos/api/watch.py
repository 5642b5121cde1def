"""What has changed in a list since it was last looked at. Pure: yields queries, receives pages.

https://docs.api.dotypos.com/api-reference/general/filter
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.page import Page
from airflow_provider_dotypos.api.passes import Wait
from airflow_provider_dotypos.api.query import Filter, Triple
from airflow_provider_dotypos.api.walk import Query

#: Most ids that an event names.
MOST_IDS = 100

#: Seconds for which a change may show late.
OVERLAP = 60.0


class ShownRow(NamedTuple):
    """A row as a poll shows it.

    :param cursor: in epoch milliseconds.
    :param row: its bytes, as they came.
    """

    id: str
    cursor: int
    deleted: bool | None
    row: Any


class StreamRows(NamedTuple):
    """What a poll has shown of one stream.

    :param since: it was asked for cursors from here on (epoch ms).
    :param now: the time before the request left (epoch ms), by the earlier of both clocks.
    :param whole: whether one answer showed all; otherwise it was walked, as more than a page has changed.
    """

    since: int
    now: int
    rows: Sequence[ShownRow]
    whole: bool = True


@dataclass(frozen=True)
class Snapshot:
    """What one poll of a list has shown, by the names of its streams. Not every poll asks for every stream."""

    streams: Mapping[str, StreamRows]


@dataclass(frozen=True)
class Watch:
    """What a watcher wants to know of a list.

    :param conditions: evaluated on the rows of a poll, which all watchers of the list share.
    :param deleted: whether deleted rows count.
    """

    entity: Entity
    conditions: tuple[Triple, ...] = ()
    deleted: bool = True

    @classmethod
    def of(cls, entity: str, filter: Filter = None, *, deleted: bool = True) -> Watch:
        """Return the watch that a user asks for.

        :raises DotyposInputError: if the list can't be watched (it has no cursor), or the filter can't be evaluated.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class State:
    """How far a watcher has got.

    :param reached: by streams, in epoch milliseconds: what lies before has been looked at.
    :param since: where streams begin that aren't in `reached`.
    :param seen: digests of (id, cursor) of rows from `reached` on.
    """

    since: int
    reached: Mapping[str, int]
    seen: frozenset[str]

    @classmethod
    def begin(cls, since: int) -> State:
        """Return the state of a watcher that has seen nothing since a time."""
        raise NotImplementedError

    def encode(self) -> str:
        """Return the state as text of at most 32 KB."""
        raise NotImplementedError

    @classmethod
    def decode(cls, text: object) -> State | None:
        """Return the state that a text holds; ``None`` if it holds none, or one of another version."""
        raise NotImplementedError


@dataclass(frozen=True)
class Change:
    """Fresh rows, as an event names them: no personal data.

    :param since: with `until` the window ``[since, until)`` (epoch ms) that holds the rows' cursors.
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

    def payload(self, cloud_id: int, entity: str, source: Literal["poll", "webhook"] = "poll") -> dict[str, Any]:
        """Return what an asset event, a sensor's XCom or a trigger's event holds: times as ISO texts, no row."""
        raise NotImplementedError


Poll: TypeAlias = Generator["PollQuery | Wait", "Page | None", Snapshot]


class PollQuery(NamedTuple):
    """A query of a poll, and the parent that its list lies below."""

    query: Query
    parent: str | None = None


def poll(
    entity: Entity,
    reached: Mapping[str, int],
    since: int,
    now: int,
    *,
    streams: Sequence[str],
    parents: Sequence[str] = (),
    conditions: tuple[Triple, ...] = (),
) -> Poll:
    """Ask for what has changed: one request a stream, and the loss-free walk of those with more than a page.

    :param reached: from where to ask, by streams; the rest from `since`.
    :param streams: names of the streams to ask for, see `streams_of`.
    :param parents: ids of what the list lies below, if anything.
    :param conditions: sent to the server, where a poll is for one watcher alone.
    """
    raise NotImplementedError


def step(state: State, snapshot: Snapshot, watch: Watch, overlap: float = OVERLAP) -> tuple[State, Change | None]:
    """Return the next state of a watcher, and what is fresh for it.

    :param overlap: seconds for which a change may show late.
    """
    raise NotImplementedError


def digest(id: str, cursor: int) -> str:
    """Return what `State.seen` keeps of a row; webhooks compute the same."""
    raise NotImplementedError
