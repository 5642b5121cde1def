"""Where a set's files lie: the few operations that a commit needs, whole or not at all.

An ``ObjectStoragePath`` can be opened for writing, but an exception inside that ``with`` block still commits half an
object; so everything is written on the worker first and put in one step.
"""

from __future__ import annotations

import copy
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.storage.patience import StoreFailedError, StorePatience, is_foreign
from airflow_provider_dotypos.storage.staging import open_private, remove_left_overs, staging_folder

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

T = TypeVar("T")

#: Bytes that are read ahead of a file: some file systems hold 50 MB otherwise.
_BLOCK = 5 * 2**20

#: Permissions of a file that its owner alone may read.
_PRIVATE = 0o600

#: What a file system without hard links answers.
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})

#: Characters that make fsspec take a path for a pattern.
_WILDCARDS = frozenset("*?[")


class Store:
    """One folder of a local disk or an object store.

    An object store that fails is asked again; what it may have done already can be done again.

    :param folder: any ``ObjectStoragePath``; it need not exist.
    :param patience: how long an object store that fails is asked again; shared by all stores of a task.
    """

    def __init__(self, folder: ObjectStoragePath, patience: StorePatience | None = None) -> None:
        self.folder = folder
        self._staging_prefix = ".staging-"  # a dot file, which readers' globs pass over
        self._fs: Any = folder.fs
        self._path = str(folder.path).rstrip("/") or "/"  # without a name it would be the current folder
        self._local = Path(self._path) if _is_local(self._fs) else None
        self._patience = patience or StorePatience()
        self._file_mode: int | None = None

    def below(self, name: str) -> Store:
        """Return the store of a folder in this one."""
        return Store(self.folder / name, self._patience)

    @property
    def place(self) -> tuple[str, ...]:
        """The names of the last three folders, which say what a set's folder holds: cloud, entity and window."""
        return tuple(["", "", "", *self._path.split("/")][-3:])

    def patiently(self, operation: Callable[[], T]) -> T:
        """Do an operation that may be done twice, and do it again while the store's failures may pass.

        A local disk's failures don't pass.

        :raises StoreFailedError: if the store's library goes on failing with errors of its own.
        """
        if self._local is not None:
            return operation()
        try:
            return self._patience.policy()(operation)
        except PermissionError as error:
            if error.filename is not None:
                raise
            # Many stores say "AccessDenied", and not where.
            raise PermissionError(errno.EACCES, f"the store refuses access ({error})", str(self.folder)) from error
        except Exception as error:
            if not is_foreign(error):
                raise
            raise StoreFailedError(f"{self.folder}: the store failed: {type(error).__name__}: {error}") from error

    def list(self) -> dict[str, int]:
        """Return the names in the folder with their sizes in bytes; nothing if there is no folder."""
        return self.patiently(self._list)

    def folders(self) -> tuple[str, ...]:
        """Return the names of the folders in the folder, sorted; nothing if there is no folder."""
        return self.patiently(self._folders)

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        :raises FileNotFoundError: if there is no such file.
        """
        data: bytes = self.patiently(lambda: self._fs.cat_file(self._at(name)))
        return data

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        :raises FileNotFoundError: if there is no such file.
        """
        file: BinaryIO = self.patiently(lambda: self._fs.open(self._at(name), "rb", block_size=_BLOCK))
        return file

    def sha256(self, name: str, copy: IO[bytes] | None = None) -> str:
        """Return the SHA-256 of a file's bytes, in hex.

        :param copy: an empty file that gets the bytes.
        :raises FileNotFoundError: if there is no such file.
        """

        def digest() -> str:
            sha256 = hashlib.sha256()
            if copy is not None:  # an earlier try may have filled it in part
                copy.seek(0)
                copy.truncate()
            with self.open(name) as file:
                while chunk := file.read(1 << 20):
                    sha256.update(chunk)
                    if copy is not None:
                        copy.write(chunk)
            return sha256.hexdigest()

        return self.patiently(digest)

    def put(self, staged: Path, name: str, *, private: bool = False) -> None:
        """Give a staged file its final name, whole and durable; the staged file is gone afterwards.

        :param private: whether on a local disk its owner alone may read it.
        """
        if self._local is not None:
            os.chmod(staged, _PRIVATE if private else self._mode())
            os.replace(staged, self._local / name)
            self._sync_folder()
        else:
            # Put again after an answer was lost, it has the same name and the same bytes.
            self.patiently(lambda: self._fs.put_file(str(staged), self._at(name)))
            staged.unlink()

    def put_bytes(self, data: bytes, name: str, *, private: bool = False) -> None:
        """Write a small file, whole and durable.

        :param private: whether on a local disk its owner alone may read it.
        """
        if self._local is None:
            self.patiently(lambda: self._fs.pipe_file(self._at(name), data))
            return
        staged = self._written(data)
        try:
            self.put(staged, name, private=private)
        finally:
            staged.unlink(missing_ok=True)

    def create(self, data: bytes, name: str) -> bool:
        """Write a small file unless the name is taken; return whether the file there is now ours."""
        if self._local is not None:
            return self._create_local(data, name)
        self.patiently(lambda: self._create_remote(data, name))
        return self.read(name) == data

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self.patiently(lambda: self._fs.rm_file(self._at(name)))
        except FileNotFoundError:
            return

    def remove(self) -> None:
        """Remove the folder with all that is in it, if it is there."""
        with suppress(FileNotFoundError):
            self.patiently(self._remove)
        if self._local is not None:
            with suppress(OSError):  # one isn't empty, or there is none
                os.removedirs(self._local.parent)

    def remove_if_empty(self, unused: float = 0) -> None:
        """Remove the folder if nothing is in it. Object stores have no folders without files.

        :param unused: seconds since the folder changed last: one that was just made may be about to be written to.
        """
        if self._local is not None:
            with suppress(OSError):  # it isn't empty, or there is none
                if os.stat(self._local).st_mtime <= time.time() - unused:
                    os.rmdir(self._local)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a directory to write staging files in: the folder itself on a local disk, so that a rename is enough.

        For an object store it is a temporary one. What dead processes have left of theirs is removed before.
        """
        remove_left_overs()
        if self._local is not None:
            self._local.mkdir(parents=True, exist_ok=True)
            yield self._local
        else:
            with staging_folder() as directory:
                yield directory

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out that want to be alone in this folder, too. A lock ends with its process.

        An object store has no locks, nor have some local file systems: nothing is kept out there.
        """
        if self._local is None:
            yield
            return
        self._local.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._local, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def staging_name(self) -> str:
        """Return a new name for a staging file."""
        return f"{self._staging_prefix}{secrets.token_hex(8)}"

    def for_generation(self, generation: int) -> Store:
        """Return this store with staging files whose names say which generation of a set they are for."""
        store = copy.copy(self)
        store._staging_prefix = f".staging-g{generation:04d}-"
        return store

    def _list(self) -> dict[str, int]:
        return {_name(entry): int(entry["size"] or 0) for entry in self._entries() if entry["type"] == "file"}

    def _folders(self) -> tuple[str, ...]:
        return tuple(sorted(_name(entry) for entry in self._entries() if entry["type"] == "directory"))

    def _remove(self) -> None:
        if self._local is not None or not _WILDCARDS.intersection(self._path):
            self._fs.rm(self._path, recursive=True)
            return
        for path in self._fs.find(self._path):  # rm would take the folder's name for a pattern, and others as well
            self._fs.rm_file(path)

    def _entries(self) -> Sequence[dict[str, Any]]:
        self._fs.invalidate_cache(self._path)
        try:
            return cast("Sequence[dict[str, Any]]", self._fs.ls(self._path, detail=True))
        except (FileNotFoundError, NotADirectoryError):  # below a file there is nothing
            return ()

    def _create_remote(self, data: bytes, name: str) -> None:
        """Write a file unless the name is taken."""
        try:
            self._fs.pipe_file(self._at(name), data, mode="create")
        except Exception:
            # Stores name a refused creation in their own ways, and an answer may get lost on its way: what lies there
            # decides. If nothing does, it was another failure.
            if name not in self._list():
                raise

    def _create_local(self, data: bytes, name: str) -> bool:
        folder = self._local or Path()
        staged = self._written(data)
        try:
            os.chmod(staged, self._mode())
            os.link(staged, folder / name)  # unlike a rename, refuses a name that is taken
        except FileExistsError:
            return self.read(name) == data
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._create_exclusively(data, folder / name)
        finally:
            staged.unlink(missing_ok=True)
        self._sync_folder()
        return True

    def _create_exclusively(self, data: bytes, path: Path) -> bool:
        """Create a file where there are no hard links (network shares, mounted buckets): a crash can leave it cut off,
        but a manifest that can't be read doesn't count.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return path.read_bytes() == data
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._sync_folder()
        return True

    def _written(self, data: bytes) -> Path:
        """Return a new staging file in a local folder with these bytes."""
        folder = self._local or Path()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.staging_name()
        with open_private(path) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return path

    def _mode(self) -> int:
        """Return the permissions that a new file gets in a local folder.

        Staging files are private, final ones follow the umask. Asking for it would change it for all threads for an
        instant, and a folder may have rules of its own; so a file is made to see.
        """
        if self._file_mode is None:
            path = (self._local or Path()) / self.staging_name()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                self._file_mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            finally:
                os.close(descriptor)
                path.unlink()
        return self._file_mode

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _sync_folder(self) -> None:
        descriptor = os.open(self._local or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def object_path(
    path: str | ObjectStoragePath, conn_id: str | None = None, argument: str = "destination"
) -> ObjectStoragePath:
    """Return a path of an object store, with a connection for it if one is given.

    :param argument: what the path is called.

    :raises DotyposInputError: it is relative, or there is no file system for its scheme.
    """
    from airflow.sdk import ObjectStoragePath

    if isinstance(path, ObjectStoragePath):
        return path
    check_address(path, argument)
    text = path.strip()
    scheme = text.partition("://")[0]
    try:
        # Airflow 3.1 takes conn_id=None for "none at all", and forgets the one in the path.
        place = ObjectStoragePath(text, conn_id=conn_id) if conn_id else ObjectStoragePath(text)
        place.fs  # noqa: B018 (made when asked for: now, while the scheme can be named)
    except (ValueError, ImportError) as error:
        package = _PACKAGES.get(scheme)
        cure = f"install {package} where tasks run" if package else f"known: file, {', '.join(_PACKAGES)}"
        raise DotyposInputError(f"{argument}: no file system for {scheme + '://'!r} ({error}); {cure}") from None
    return place


#: What brings Airflow the file system of a scheme.
_PACKAGES = {
    "s3": "apache-airflow-providers-amazon[s3fs]",
    "gs": "apache-airflow-providers-google[gcsfs]",
    "abfs": "apache-airflow-providers-microsoft-azure",
    "abfss": "apache-airflow-providers-microsoft-azure",
}


def _name(entry: dict[str, Any]) -> str:
    """Return the last part of an entry's path."""
    return str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]


def _is_local(fs: Any) -> bool:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return "file" in protocols
