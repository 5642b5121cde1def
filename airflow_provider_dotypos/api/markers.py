"""Null soft-delete markers: what is known of them, and by how many filters live and deleted rows can be read.

A null marker counts as not deleted [D]. What ``deleted|in|0,1`` does with such a row is unknown [U]: it may show it or
hide it. A *finding* says what a cloud's API was seen to do:

- ``shows_null``: the filter has returned a row whose marker was null. It hides nothing, so one filter is safe.
- ``hides_null``: it hasn't. Two filters are needed.
- ``no_null``: a walk of the whole list saw no null. One filter hides nothing as long as that stays so. A row whose
  marker becomes null later is missed by windows, until the next read from the beginning finds it, and finds
  ``hides_null`` or ``shows_null``.

Without a finding, and for entities in which null was seen, there are two. So there are in each read from the beginning:
it looks for nulls anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, cast

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError
from airflow_provider_dotypos.api.query import Triple
from airflow_provider_dotypos.api.window import Window

log = logging.getLogger(__name__)

#: The filter for live and deleted rows.
LIVE_AND_DELETED: Triple = ("deleted", "in", "0,1")

#: What was found out about null markers.
Finding: TypeAlias = Literal["shows_null", "hides_null", "no_null"]
FINDINGS: tuple[Finding, ...] = ("shows_null", "hides_null", "no_null")

#: When rows without a cursor are read: by what reads a list from the beginning, or by each window.
UndatedRows: TypeAlias = Literal["full", "always"]
UNDATED_ROWS: tuple[UndatedRows, ...] = ("full", "always")

#: By how many filters live and deleted rows are read: by one, by two, or as was found to be right.
DeletedFilter: TypeAlias = Literal["auto", "one", "two"]
DELETED_FILTERS: tuple[DeletedFilter, ...] = ("auto", "one", "two")


class StateStore(Protocol):
    """What is used of Airflow's state stores."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value, which JSON can hold."""


class Findings:
    """What was found out about a cloud's lists, each by itself. It lasts as long as this object, or the store.

    :param cloud_id: the cloud.
    :ivar store: where it is kept for later tasks, such as the state store of an asset.
    """

    def __init__(self, cloud_id: int = 0) -> None:
        self._cloud_id = cloud_id
        self._noted: dict[str, Finding] = {}
        self.store: StateStore | None = None

    def get(self, entity: str) -> Finding | None:
        """Return what was found out about a list."""
        if entity not in self._noted and self.store is not None:
            kept = self.store.get(self._key(entity))
            if kept in FINDINGS:  # a person may have set it
                self._noted[entity] = cast("Finding", kept)
        return self._noted.get(entity)

    def note(self, entity: str, finding: Finding) -> None:
        """Keep what was found out about a list."""
        self._noted[entity] = finding
        if self.store is not None:
            self.store.set(self._key(entity), finding)

    def _key(self, entity: str) -> str:
        return f"dotypos/{self._cloud_id}/{entity}/null-markers"


@dataclass(frozen=True)
class Division:
    """How a task wants rows to be divided into streams. What it leaves open, findings decide.

    :param deleted_filter: by how many filters live and deleted rows are read.
    :param undated_rows: when rows without a cursor are read.
    """

    deleted_filter: DeletedFilter = "auto"
    undated_rows: UndatedRows = "full"
    findings: Findings = field(default_factory=Findings, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, choices in (("undated_rows", UNDATED_ROWS), ("deleted_filter", DELETED_FILTERS)):
            if getattr(self, name) not in choices:
                raise DotyposInputError(
                    f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r} (no template)"
                )

    def has_undated(self, window: Window) -> bool:
        """Return whether rows without a cursor are read with a window."""
        return window.since is None or self.undated_rows == "always"

    def is_one(self, entity: Entity, window: Window, usual: str | None = None) -> bool:
        """Return whether live and deleted rows are read by one filter.

        :param usual: what is known of lists of which nothing else is.
        """
        if self.deleted_filter != "auto" or entity.null_markers or window.since is None:
            return self.deleted_filter == "one"
        return (self.findings.get(entity.name) or usual) in ("shows_null", "no_null")

    def learn(
        self,
        entity: Entity,
        unmarked: str | None,
        *,
        whole: bool,
        filtered: Callable[[Entity, str], Sequence[bool | None]],
    ) -> None:
        """Note, where that is left open, what a walk by two filters has shown of one filter.

        Where nothing keeps it, it isn't worth a request.

        :param unmarked: the id of a row whose marker is null, if the walk has shown one.
        :param whole: whether it has shown all rows that aren't deleted.
        :param filtered: returns the marker of a row, if the filter for live and deleted rows shows it.
        """
        if self.deleted_filter != "auto" or not entity.deleted_filterable or entity.null_markers:
            return
        if self.findings.store is None:
            return
        known = finding = self.findings.get(entity.name)
        if unmarked is not None and (whole or known is None):
            finding = _try_filter(entity, unmarked, filtered) or known
        elif whole and known is None:
            finding = "no_null"
        if finding is None or finding == known:
            return
        self.findings.note(entity.name, finding)
        if finding == "hides_null" and known is not None:
            log.warning(
                "%s has rows without a deletion marker now, which one filter for live and deleted rows hides. Two are "
                "used from now on. Windows read since the last read from the beginning may lack such rows. This read "
                "has them, unless it is a snapshot: then read the list from the beginning once.",
                entity.name,
            )


def _try_filter(entity: Entity, id: str, filtered: Callable[[Entity, str], Sequence[bool | None]]) -> Finding | None:
    try:
        markers = filtered(entity, id)
    except DotyposError as error:  # the walk is done, and this may not undo it
        log.info("What one filter for live and deleted rows of %s does is still unknown: %s", entity.name, error)
        return None
    if not markers:
        return "hides_null"  # or the row is gone: two filters are right in any case
    return "shows_null" if markers[0] is None else None  # else it was changed meanwhile
