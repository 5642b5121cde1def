"""Committing a set: parts first, then the manifest; ``docs/commit-protocol.md`` says why it holds."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable

import msgspec

from airflow_provider_dotypos.api.walk import Stream
from airflow_provider_dotypos.api.window import compact
from airflow_provider_dotypos.transfers.manifest import (
    Manifest,
    Part,
    manifest_name,
    newest_generation,
    newest_manifest,
)
from airflow_provider_dotypos.transfers.parts import PartWriter
from airflow_provider_dotypos.transfers.store import Store

log = logging.getLogger(__name__)

SIDECAR_SUFFIX = ".meta"

#: Every name that this package gives, and its generation; nothing else in a folder is ours to remove.
_OURS = re.compile(
    r"manifest-(\d{4,})\.json|\.staging-g(\d{4,})-[0-9a-f]{16}|g(\d{4,})-.+-t\d+[0-9a-f]{6}\.jsonl(?:\.gz)?(?:\.meta)?"
)


class SupersededError(Exception):
    """Another attempt has committed this generation, and has removed what this one was writing."""


class Attempt:
    """One attempt to commit a window's set; use it as ``attempt = Attempt.begin(…)`` and see ``finished`` first.

    :ivar finished: the manifest of a set that is already there and is to be kept; nothing is to be done then.
    :ivar parts: the parts put so far.
    """

    def __init__(self, store: Store, generation: int, finished: Manifest | None, try_number: int) -> None:
        self._store = store
        self._generation = generation
        self._label = f"t{try_number}{secrets.token_hex(3)}"  # see _OURS
        store.staging_prefix = f".staging-g{generation:04d}-"
        self.finished = finished
        self.parts: list[Part] = []

    @classmethod
    def begin(cls, store: Store, *, overwrite: bool, try_number: int = 1) -> Attempt:
        """Look at what is there, and aim at the next generation, or find the window finished."""
        found = newest_manifest(store)
        if found is not None and not overwrite:
            attempt = cls(store, found.generation, found, try_number)
            attempt._clean(found)
            return attempt
        newest = found.generation if found is not None else newest_generation(store.list())
        if newest and found is None:
            log.warning("The set of %s is not whole any more; it is extracted anew.", store.folder)
        return cls(store, newest + 1, None, try_number)

    def put(self, writer: PartWriter, stream: str, low: int | None, high: int | None, suffix: str) -> Part:
        """Put a written part under its final name, then its sidecar.

        :raises SupersededError: the staging file is gone, because another attempt has committed.
        """
        digest = writer.close()
        name = f"g{self._generation:04d}-{stream}-{_range(low, high)}-{self._label}{suffix}"
        part = Part(name, stream, low, high, writer.rows, writer.bytes, digest)
        self.parts.append(part)
        try:
            self._store.put(writer.path, name)
            self._store.put_bytes(msgspec.json.encode(part), name + SIDECAR_SUFFIX)
        except FileNotFoundError as error:
            if not self._is_superseded():
                raise
            raise SupersededError from error
        return part

    def commit(self, manifest: Callable[[int, tuple[Part, ...]], Manifest]) -> Manifest:
        """Create the manifest, unless another attempt has committed this generation; return the one that counts.

        :param manifest: makes the manifest of a generation and its parts.
        """
        mine = manifest(self._generation, tuple(self.parts))
        data = msgspec.json.format(msgspec.json.encode(mine), indent=2)
        try:
            created = self._store.create(data, manifest_name(self._generation))
        except FileNotFoundError:
            if not self._is_superseded():
                raise
            created = False
        if not created:
            return self.give_way()
        self._clean(mine)
        return mine

    def give_way(self) -> Manifest:
        """Remove this attempt's own files and return the manifest of the one that committed instead.

        :raises FileNotFoundError: that set isn't whole any more either.
        """
        for part in self.parts:
            self._store.delete(part.name + SIDECAR_SUFFIX)
            self._store.delete(part.name)
        theirs = newest_manifest(self._store)
        if theirs is None:
            raise FileNotFoundError(
                f"another run committed {self._store.folder} meanwhile, and its files are gone again"
            )
        log.warning(
            "Another run has committed this window meanwhile; its set is kept, and this run's files are removed."
        )
        return theirs

    def _is_superseded(self) -> bool:
        return newest_generation(self._store.list()) >= self._generation

    def _clean(self, committed: Manifest) -> None:
        """Remove what is left of this and earlier generations: nobody can commit them any more."""
        keep = {manifest_name(committed.generation)}
        for part in committed.parts:
            keep |= {part.name, part.name + SIDECAR_SUFFIX}
        for name in self._store.list():
            match = _OURS.fullmatch(name)
            if match and int(match[match.lastindex or 0]) <= committed.generation and name not in keep:
                self._store.delete(name)


def stream_name(parent: str | None, stream: Stream) -> str:
    """Return a stream's name in names of parts: with the warehouse that it lies below."""
    return f"{parent}-{stream.name}" if parent else stream.name


def _range(low: int | None, high: int | None) -> str:
    return f"{'start' if low is None else compact(low)}-{'end' if high is None else compact(high)}"
