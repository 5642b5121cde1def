"""What erasing a person has found and done: rows and fields by place. Counts alone, no values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from uuid import uuid4

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.wording import count

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

#: What became of a person's data in a place.
State: TypeAlias = Literal["erased", "to erase", "already erased"]

#: Where a person's data may be besides, as a person at the terminal reads it.
NOT_SEARCHED = (
    "Dotypos itself: anonymize the customer there first, or the next change of a row brings it again",
    "plans, reports and journals of writes, wherever they were put",
    "results of tasks (XCom), logs and rendered templates of Airflow",
    "filters that extractions were given, in the manifests of their sets and in the code of DAGs",
    "tables and files that no load of this provider has written: copies, views that are stored, other tools' tables",
    "what databases and stores keep of earlier contents: unvacuumed pages, logs, replicas, versions, backups",
    "temporary folders of workers: the next extraction there removes what killed processes have left",
)


@dataclass
class Place:
    """A set, or a table of a database, that holds rows of the person.

    :param kind: ``set`` or ``table``.
    :param place: the set's folder, or the table's name.
    :param table: the entity of the rows.
    :param rows: how many rows are the person's, or nest some that are.
    :param changed: how many of them held data.
    :param fields: how many values of each field that was.
    """

    kind: Literal["set", "table"]
    place: str
    table: str
    rows: int = 0
    changed: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    done: bool = False

    @property
    def state(self) -> State:
        """What became of the data."""
        if not self.changed:
            return "already erased"
        return "erased" if self.done else "to erase"

    def as_mapping(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "kind": self.kind,
            "place": self.place,
            "table": self.table,
            "rows": self.rows,
            "changed": self.changed,
            "state": self.state,
            "fields": dict(sorted(self.fields.items())),
        }


class OpenLoad(NamedTuple):
    """A load into a table that hasn't ended.

    :param table: the table.
    :param run_id: the DAG run whose task it is; empty without one.
    """

    table: str
    run_id: str


@dataclass
class ErasureReport:
    """What erasing a person has found and done.

    :ivar searched: how many sets and tables were searched.
    :ivar unsure: places that lack fields by which one sees whose a row is, with these fields.
    :ivar unreadable: sets that can't be read, and why.
    :ivar unfinished: folders with files of unfinished attempts, which no manifest lists, and how many.
    :ivar removed: how many files were removed that belonged to no set.
    :ivar open_loads: loads into tables that haven't ended, by their ids: they may bring back what they had read before.
    """

    cloud_id: int
    customer_id: int
    dry_run: bool
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    searched: Counter[str] = field(default_factory=Counter)
    unsure: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    unfinished: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    open_loads: dict[str, OpenLoad] = field(default_factory=dict)

    def add(self, place: Place) -> None:
        """Add what was found in a place. If it was looked at before, what was done then stays done."""
        key = (place.place, place.table)
        before = self.places.get(key)
        if before is not None and not self.dry_run:
            place.changed += before.changed
            place.fields += before.fields
            place.rows = max(place.rows, before.rows)
            place.done = place.done or before.done
        self.places[key] = place

    @property
    def whole(self) -> bool:
        """Whether nothing is left to look at: every place that was named could be searched to the end."""
        return not (self.unsure or self.unreadable or self.unfinished or self.open_loads)

    def totals(self) -> dict[str, Any]:
        """Return the numbers of it: small, and without the places."""
        places = self.places.values()
        changed = [place for place in places if place.changed]
        return {
            "customer_id": self.customer_id,
            "cloud_id": self.cloud_id,
            "dry_run": self.dry_run,
            "rows": sum(place.rows for place in places),
            "changed": sum(place.changed for place in changed),
            "values": sum(sum(place.fields.values()) for place in changed),
            "sets": len({place.place for place in changed if place.kind == "set"}),
            "tables": len({place.place for place in changed if place.kind == "table"}),
            "searched_sets": self.searched["set"],
            "searched_tables": self.searched["table"],
            "removed_files": self.removed,
            "unfinished": len(self.unfinished),
            "unsure": len(self.unsure),
            "unreadable": len(self.unreadable),
            "open_loads": len(self.open_loads),
        }

    def warnings(self) -> Iterator[str]:
        """Yield what is left for a person to look at, as sentences."""
        if not self.places:
            totals = self.totals()
            yield (
                f"Nothing of customer {self.customer_id} of cloud {self.cloud_id} was found in "
                f"{count(totals['searched_sets'], 'sets')} and {count(totals['searched_tables'], 'tables')}. "
                "Are both ids right?"
            )
        for (place, table), lacks in sorted(self.unsure.items()):
            yield (
                f"{place} lacks {', '.join(lacks)} of {table}: rows that only these show to be the customer's weren't "
                "found there."
            )
        for place, reason in sorted(self.unreadable.items()):
            yield f"{place} wasn't searched: {reason}"
        if self.unfinished:
            yield (
                f"Files of unfinished extractions or compactions lie in {count(len(self.unfinished), 'folders')}. No "
                "manifest lists them, and they weren't searched: let these finish, or set remove_unfinished "
                "(--remove-unfinished), and erase again."
            )
        if self.open_loads:
            loads = sorted({f"{load.table} (run {load.run_id or 'unknown'})" for load in self.open_loads.values()})
            yield (
                f"Loads into tables haven't ended: {', '.join(loads)}. They may bring back what they had read before. "
                "Let their tasks end, or clear those that have failed, and erase again. A load that nobody has tried "
                "for seven days counts no more."
            )

    def as_mapping(self) -> Mapping[str, Any]:
        """Return all of it as JSON can hold it."""
        places = sorted(self.places.values(), key=lambda place: (place.kind, place.place, place.table))
        return {
            **self.totals(),
            "places": [place.as_mapping() for place in places],
            "unsure_places": [
                {"place": place, "table": table, "lacks": lacks}
                for (place, table), lacks in sorted(self.unsure.items())
            ],
            "unreadable_sets": [
                {"place": place, "reason": reason} for place, reason in sorted(self.unreadable.items())
            ],
            "unfinished_folders": [
                {"place": place, "files": files} for place, files in sorted(self.unfinished.items())
            ],
            "loads_under_way": [
                {"load_id": load_id, **load._asdict()} for load_id, load in sorted(self.open_loads.items())
            ],
            "not_searched": list(NOT_SEARCHED),
        }


def require_room_for(file: ObjectStoragePath) -> None:
    """Raise if a report can't be written, while nothing is erased yet: a second run counts nothing of the first.

    :raises DotyposInputError: if the report is a folder of a disk.
    :raises OSError: what the store says.
    """
    if file.protocol in ("", "file") and file.is_dir():
        raise DotyposInputError(f"report: {file} is a folder. Name a file in it, such as {file / 'erased.json'}")
    store, name = Store(file.parent), f"{file.name}.{uuid4().hex}"
    store.put_bytes(b"", name)
    store.delete(name)


def write_report(report: ErasureReport, file: ObjectStoragePath) -> str:
    """Write a report as JSON; return the file's path."""
    data = msgspec.json.format(msgspec.json.encode(report.as_mapping()), indent=2)
    Store(file.parent).put_bytes(data, file.name)
    return str(file)
