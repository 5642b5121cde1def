"""A plan's file: JSON lines, the header first. It is written whole or not at all, and checked before it is used.

It holds the values that are to be written, personal data among them. On a local disk its owner alone may read it; in
an object store the bucket's permissions decide. Its name has the beginning of its digest, so no plan ever replaces
another.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.redaction import without_user
from airflow_provider_dotypos.storage.staging import open_private, staging_folder
from airflow_provider_dotypos.storage.store import Store, object_path
from airflow_provider_dotypos.writes.errors import DotyposPlanError
from airflow_provider_dotypos.writes.plan import FORMAT, PlanHeader, PlannedRow

if TYPE_CHECKING:
    from types import TracebackType

    from airflow.sdk import ObjectStoragePath

_NAMED_BY = 16  # digits of the digest in a file's name
_AT_ONCE = 1 << 20  # bytes

_rows = msgspec.json.Decoder(PlannedRow)
_headers = msgspec.json.Decoder(PlanHeader)


class PlanWriter:
    """Writes a plan: its rows as they come, and in the end the header, which counts them. A context manager.

    :param store: the folder that gets the file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stack = ExitStack()

    def __enter__(self) -> PlanWriter:
        folder = self._stack.enter_context(staging_folder())
        self._path = folder / "rows"
        self._file = self._stack.enter_context(open_private(self._path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, row: PlannedRow) -> None:
        """Write a row."""
        self._file.write(msgspec.json.encode(row) + b"\n")

    def rows(self) -> Iterator[PlannedRow]:
        """Yield the rows written so far."""
        self._file.flush()
        with open(self._path, "rb") as file:
            yield from map(_rows.decode, file)

    def commit(self, header: PlanHeader) -> tuple[str, PlanHeader]:
        """Give the folder the plan's file, whole and durable; return its path and its header, with the digest.

        :raises DotyposError: if the folder can't be written to.
        """
        self._file.flush()
        sha256 = hashlib.sha256(_line(header))
        with open(self._path, "rb") as rows:
            _digest_rest(rows, sha256)
        header = msgspec.structs.replace(header, digest=sha256.hexdigest())
        name = f"plan-{header.digest[:_NAMED_BY]}.jsonl"
        try:
            self._put(header, name)
        except OSError as error:
            raise DotyposError(
                f"plan: {without_user(str(self._store.folder))} can't be written to ({type(error).__name__}: "
                f"{error.strerror or error}). The worker needs the right to write there, and room"
            ) from error
        return str(self._store.folder / name), header

    def _put(self, header: PlanHeader, name: str) -> None:
        with self._store.staging() as folder:
            staged = folder / self._store.staging_name()
            try:
                with open_private(staged) as file, open(self._path, "rb") as rows:
                    file.write(_line(header))
                    shutil.copyfileobj(rows, file, _AT_ONCE)
                    file.flush()
                    os.fsync(file.fileno())
                self._store.put(staged, name, private=True)
            finally:
                staged.unlink(missing_ok=True)


class Plan:
    """A plan's file, checked. The copy that was checked is what is read.

    :ivar header: its header.
    :ivar path: where it is.
    :ivar store: the folder that it is in.
    """

    def __init__(self, path: str, store: Store, header: PlanHeader, copy: Path) -> None:
        self.path = path
        self.store = store
        self.header = header
        self._copy = copy

    @property
    def report_name(self) -> str:
        """The name of the report on it, beside it."""
        return f"report-{self.header.digest[:_NAMED_BY]}.jsonl"

    def rows(self) -> Iterator[PlannedRow]:
        """Yield its rows. Several may read it at once."""
        with open(self._copy, "rb") as file:
            file.readline()
            yield from map(_rows.decode, file)


@contextmanager
def open_plan(path: str | ObjectStoragePath, digest: str | None = None) -> Iterator[Plan]:
    """Open a plan for reading, and check it first.

    :param path: where it is, as planning has returned it.
    :param digest: the digest that it must have, as planning has returned it; ``None`` for any.
    :raises DotyposPlanError: if there is no such plan, a byte of it was changed, or it isn't the plan of that digest.
    """
    place = object_path(path, argument="plan")
    shown = without_user(str(place))
    store = Store(place.parent)
    with staging_folder() as folder:
        copy = folder / "plan"
        try:
            with open_private(copy) as file:
                store.sha256(place.name, file)
        except FileNotFoundError:
            raise DotyposPlanError(f"plan: there is no file {shown}. Plan again") from None
        except IsADirectoryError:
            raise DotyposPlanError(
                f"plan: {shown} is a folder: give the plan's path, which planning has returned as plan"
            ) from None
        with open(copy, "rb") as file:
            header = _checked_header(file, shown)
        if digest is not None and digest != header.digest:
            raise DotyposPlanError(
                f"plan: {shown} has the digest {header.digest[:_NAMED_BY]}…, not {str(digest)[:_NAMED_BY]}…: it isn't "
                "the plan that was asked for, which may have been made anew since. Approve the new one"
            )
        yield Plan(str(place), store, header, copy)


def _checked_header(file: BinaryIO, shown: str) -> PlanHeader:
    """Return the header of a plan's file.

    :raises DotyposPlanError: if it isn't one, or isn't as it was written.
    """
    line = file.readline()
    try:
        header = _headers.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DotyposPlanError(f"plan: {shown} isn't a plan, or was changed. Plan again") from None
    if header.format != FORMAT:
        raise DotyposPlanError(
            f"plan: {shown} has format {header.format}, and this version reads {FORMAT}. Plan again with this version"
        )
    sha256 = hashlib.sha256(_line(msgspec.structs.replace(header, digest="")))
    _digest_rest(file, sha256)
    # A header that reads the same may still have other bytes.
    if line != _line(header) or sha256.hexdigest() != header.digest:
        raise DotyposPlanError(f"plan: {shown} was changed since it was made. Plan again")
    return header


def _line(header: PlanHeader) -> bytes:
    return msgspec.json.encode(header) + b"\n"


def _digest_rest(file: BinaryIO, sha256: hashlib._Hash) -> None:
    while chunk := file.read(_AT_ONCE):
        sha256.update(chunk)
