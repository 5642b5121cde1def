"""The journal of bookings that can't be read back: what is about to be sent, and what has become of it.

The API keeps no list of stock-ups, and books one that is sent twice a second time. So a document has a folder of its
own, below the connection's host, the cloud, the warehouse and the operation. Each try to book a part of it is an entry:

* ``0001-01.json`` says what the first try is about to send of the first part, and what the stock is before. It is made
  before anything is sent, and never again: of two tasks that book the same document one makes it.
* ``0001-01.applied``, ``.not-applied``, ``.uncertain`` or ``.accepted`` say what has become of it. Their names decide;
  a person who has looked into Dotypos may add an empty ``.applied`` or ``.not-applied``.

An entry without an outcome was broken off. Nobody knows then whether it was sent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.storage.store import Store, object_path
from airflow_provider_dotypos.writes.stock.levels import Evidence

#: What became of an entry. ``accepted``: it is being processed.
Outcome: TypeAlias = Literal["applied", "not-applied", "uncertain", "accepted"]

#: The outcomes, the strongest first. Whatever else is there: what was applied isn't sent again.
_OUTCOMES: tuple[Outcome, ...] = ("applied", "not-applied", "uncertain", "accepted")

#: The version of the entries' format.
FORMAT = 1

_ENTRY = re.compile(r"(?P<name>\d{4,}-\d{2,})\.(?P<what>[a-z-]+)")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try to book a part of a document.

    :param part: the part's number, from 1 on.
    :param number: the try's number, from 1 on.
    :param digest: SHA-256 of what it books, in hex; empty if the entry can't be read.
    :param over_by: when its request is over at the latest (epoch seconds).
    :param evidence: what the stock was before, and what will move it.
    :param owner: a random text, by which the one who has made it knows it again.
    :param outcome: what became of it; ``None`` if that isn't known.
    :param facts: what is known besides, such as the transaction's id.
    """

    part: int
    number: int
    digest: str = ""
    over_by: float = 0.0
    evidence: Evidence | None = None
    owner: str = ""
    format: int = FORMAT
    outcome: Outcome | None = None
    facts: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        """How the names of its files begin."""
        return f"{self.part:04d}-{self.number:02d}"


class Journal:
    """The entries of one document.

    :param store: its folder.
    :ivar address: the folder's address, for people.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.address = str(store.folder)

    def read(self) -> list[Entry]:
        """Return the entries of all parts, in their order."""
        files: dict[str, set[str]] = {}
        for name in self._store.list():
            if (match := _ENTRY.fullmatch(name)) is not None:
                files.setdefault(match["name"], set()).add(match["what"])
        entries = [self._read_entry(name, whats) for name, whats in files.items()]
        return sorted(entries, key=lambda entry: (entry.part, entry.number))

    def begin(self, entry: Entry) -> bool:
        """Make an entry, before anything is sent; return whether it is ours."""
        return self._store.create(msgspec.json.encode(entry), f"{entry.name}.json")

    def end(self, entry: Entry, outcome: Outcome, facts: Mapping[str, Any]) -> Entry:
        """Note what has become of an entry, and return it with that."""
        self._store.put_bytes(msgspec.json.format(msgspec.json.encode(facts)), f"{entry.name}.{outcome}")
        return msgspec.structs.replace(entry, outcome=outcome, facts=facts)

    def place(self, entry: Entry, outcome: Outcome) -> str:
        """Return the address of the file that says an outcome."""
        return f"{self.address}/{entry.name}.{outcome}"

    def _read_entry(self, name: str, files: set[str]) -> Entry:
        part, number = name.split("-")
        entry = Entry(part=int(part), number=int(number))
        if "json" in files:
            # What a crash has cut off tells nothing, but that the entry was begun; nor does a later version's format.
            known = _decoded(self._store.read(f"{name}.json"), Entry)
            entry = known if known is not None and known.format == FORMAT else entry
        outcome = next((outcome for outcome in _OUTCOMES if outcome in files), None)
        facts = _decoded(self._store.read(f"{name}.{outcome}"), dict[str, Any]) if outcome else None
        if outcome == "accepted" and not facts:
            outcome, facts = "uncertain", {"why": f"{name}.accepted can't be read, so its status can't be asked for"}
        return msgspec.structs.replace(entry, outcome=outcome, facts=facts or {})


def open_journal(
    folder: str | ObjectStoragePath, settings: Settings, warehouse_id: str, operation: str, document: str
) -> Journal:
    """Return the journal of a document.

    :param folder: where journals are kept.
    :param operation: such as ``stock_up``.
    :param document: the document's number, or the time of a stock-taking.
    :raises DotyposInputError: if the folder isn't one.
    """
    parts = urlsplit(settings.base_url)
    host = (parts.netloc + parts.path).replace(":", "-").replace("/", "-")
    # A document's number may hold any characters, and two may differ in those that a file's name can't hold.
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", document)[:60].strip(".-")
    name = f"{readable}-{hashlib.sha256(document.encode()).hexdigest()[:12]}"
    places: Sequence[str] = (host, str(settings.require_cloud_id()), warehouse_id, operation, name)
    return Journal(Store(object_path(folder, argument="journal").joinpath(*places)))


def _decoded(data: bytes, kind: Any) -> Any:
    """Return what a file holds; ``None`` if it holds something else."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
