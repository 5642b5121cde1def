"""The watermark of files where Airflow keeps no state (3.1, 3.2): in small files beside the notes of pending sets.

A record is never changed by two: each that a first run or a person makes has a number, and its file is created only if
no other has that number. Runs that go on from record 3 write where they got to beside it, and nobody reads that any
more once there is a record 4. So no run undoes what a person has set meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.markers import StateStore
from airflow_provider_dotypos.storage.store import Store

log = list_log(__name__)

#: How long it is known which window a task instance began. Airflow's own store keeps that as long by default.
BEGUN_STAYS = timedelta(days=30)

_RECORD = re.compile(r"watermark-(\d{4,})\.json")

#: Who has written a record: the first run, one that has read on, or a person.
Writer = Literal["first run", "run", "person"]


class Record(msgspec.Struct, frozen=True):
    """Where a watermark is.

    :param key: the watermark's name.
    :param asset: name of the asset that it belongs to.
    :param shape: of the sets that it is of.
    :param value: the time in ISO 8601; ``None``: nothing was read so far, or a person wants to begin anew.
    :param by: who has written this.
    :param at: when, in ISO 8601.
    """

    key: str
    asset: str
    shape: str
    value: Any
    by: Writer
    at: str


class WatermarkFiles:
    """A store like Airflow's state stores, for the watermark and what else is found out about its list.

    :param folder: of the notes.
    :param key: the watermark's name.
    :param asset: name of the asset that it belongs to.
    :param shape: of the sets.
    """

    def __init__(self, folder: Store, key: str, asset: str, shape: str) -> None:
        self.key = key
        self._folder = folder
        self._asset = asset
        self._shape = shape
        self._number = 0

    def read(self) -> Record | None:
        """Return the record that counts; ``None`` if there is none yet.

        :raises DotyposInputError: if it isn't a record.
        """
        number, record = newest_record(self._folder)
        self._number = number
        return record

    def begin(self, find_reached: Callable[[], str | None]) -> None:
        """Make the first record, unless there is one.

        It is made before anything is read, and by one run alone: what others commit from now on is noted, or read
        again.

        :param find_reached: returns where the first run begins, if not at its start.
        """
        if self.read() is None:
            value = find_reached()
            data = self._encoded(value, "first run")
            self._number += 1
            if not self._folder.create(data, _name(self._number)):
                self.read()

    def put(self, value: str | None) -> None:
        """Make a record of a person's, whatever runs write meanwhile."""
        self.read()
        data = self._encoded(value, "person")
        self._number += 1
        while not self._folder.create(data, _name(self._number)):
            self._number += 1
        for name in self._folder.list():
            if (of := _number_of(name)) and of < self._number:
                self._folder.delete(name)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""
        if key != self.key:
            return _decoded(self._folder, _other_name(key), default)
        record = self.read()
        return default if record is None or record.value is None else record.value

    def set(self, key: str, value: Any) -> None:
        """Keep a value, which JSON can hold. The watermark's isn't read if a person has set that since."""
        if key != self.key:
            self._folder.put_bytes(msgspec.json.encode(value), _other_name(key))
        elif self._number:
            self._folder.put_bytes(self._encoded(value, "run"), _moved(self._number))
        else:  # somebody has removed all
            self._number = 1
            self._folder.create(self._encoded(value, "run"), _name(self._number))

    def names_of(self, key: str, names: Collection[str]) -> list[str]:
        """Return the files among `names` that hold a key's value."""
        return [name for name in names if (_number_of(name) if key == self.key else name == _other_name(key))]

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._folder.delete(name)

    def _encoded(self, value: Any, by: Writer) -> bytes:
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return msgspec.json.encode(Record(self.key, self._asset, self._shape, value, by, at))


class BegunFiles:
    """A store like Airflow's, for the window that a task instance has begun: its tries find it again.

    The files of a day lie in a folder of their own, and are removed together.

    :param folder: of all days.
    :param origin: what tries of one task instance have in common.
    :param run_after: of its run.
    """

    def __init__(self, folder: Store, origin: str, run_after: datetime) -> None:
        self._folder = folder
        self._day = folder.below(_day(run_after))
        self.name = f"{origin}.json"

    def get(self, key: str, default: Any = None) -> Any:
        """Return what was kept."""
        return _decoded(self._day, self.name, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value, and remove what is too old."""
        self._day.put_bytes(msgspec.json.encode(value), self.name)
        oldest = _day(datetime.now(timezone.utc) - BEGUN_STAYS)
        for day in self._folder.folders():
            if day < oldest and day.isdecimal():
                self._folder.below(day).remove()


class TakenOver:
    """Airflow's state store (3.3), which takes over what an earlier version of Airflow has left in files.

    :param store: Airflow's.
    :param files: what may have been left.
    :param listed: returns the names of the files as they were listed last.
    :param begun: the folder of what task instances began, which goes with the watermark. Their next tries do without.
    """

    def __init__(
        self, store: StateStore, files: WatermarkFiles, listed: Callable[[], Collection[str]], begun: Store
    ) -> None:
        self._store = store
        self._files = files
        self._listed = listed
        self._begun = begun

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key. One in a file counts if Airflow has none, and is Airflow's from then on."""
        value = self._store.get(key)
        if left := self._files.names_of(key, self._listed()):
            if value is None and (value := self._files.get(key)) is not None:
                self._store.set(key, value)
                log.info("%s is kept by Airflow now: it was %s in the files of an earlier version.", key, value)
            for name in left:
                self._files.delete(name)
            if key == self._files.key:
                self._begun.remove()
        return default if value is None else value

    def set(self, key: str, value: Any) -> None:
        """Keep a value, which JSON can hold."""
        self._store.set(key, value)


def newest_record(folder: Store) -> tuple[int, Record | None]:
    """Return the record that counts in a folder of notes, and the highest number that is taken.

    :raises DotyposInputError: if it isn't a record.
    """
    before: Mapping[str, int] | None = None
    while (names := folder.list()) != before:
        before = names
        numbers = sorted((int(match[1]) for name in names if (match := _RECORD.fullmatch(name))), reverse=True)
        try:
            for number in numbers:
                moved = _moved(number)
                name = moved if moved in names else _name(number)
                if data := folder.read(name):
                    return numbers[0], _record(folder, name, data)
                # Its writer died, where files can't be created whole: the one before counts.
        except FileNotFoundError:
            continue  # a person has just made another one
        return max(numbers, default=0), None
    raise DotyposInputError(f"{folder.folder}: the watermark's files can't be read, though they are listed")


def _record(folder: Store, name: str, data: bytes) -> Record:
    try:
        return msgspec.json.decode(data, type=Record)
    except msgspec.MsgspecError:
        raise DotyposInputError(
            f"{folder.folder / name} doesn't hold a watermark, as somebody has changed it: put back what it was, or "
            "remove it. Then the watermark is where it was before, or what the sets there say"
        ) from None


def _decoded(folder: Store, name: str, default: Any) -> Any:
    """Return what a file holds; a default if it doesn't exist, or isn't JSON."""
    try:
        return msgspec.json.decode(folder.read(name))
    except (FileNotFoundError, msgspec.MsgspecError):
        return default


def _name(number: int) -> str:
    return f"watermark-{number:04d}.json"


def _moved(number: int) -> str:
    return f"watermark-{number:04d}-moved.json"


def _number_of(name: str) -> int:
    """Return the number of the record that a file is of, or 0 if it is of none."""
    match = _RECORD.fullmatch(name.replace("-moved.", "."))
    return int(match[1]) if match else 0


def _other_name(key: str) -> str:
    return f"state-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y%m%d}"
