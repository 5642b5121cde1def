"""An object store that fails for a while, or does what it is asked and loses the answer: a real S3 server (moto's)."""

from __future__ import annotations

import errno
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.storage import patience as store_patience
from airflow_provider_dotypos.storage.patience import HURRIED, StorePatience, is_passing
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from tests.api.conftest import certificate as certificate  # a fixture
from tests.api.hostile import RawServer
from tests.transfers.files.test_s3 import keys
from tests.transfers.test_without_a_window import Runs

s3fs = pytest.importorskip("s3fs")

Extract = Callable[..., dict[str, Any]]


class Clock:
    """Stands in for the module's clock: sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Trouble:
    """Stands between s3fs and S3: what is not let through fails, and what is may lose its answer.

    :ivar fails: whether an operation fails. :ivar loses: whether its answer gets lost.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails: Callable[[str], bool] = lambda operation: False
        self.loses: Callable[[str], bool] = lambda operation: False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store_patience, "time", clock)
    return clock


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Trouble:
    trouble = Trouble()
    call = s3fs.S3FileSystem._call_s3

    async def troubled(self: Any, operation: str, *arguments: Any, **named: Any) -> Any:
        trouble.calls.append(operation)
        if trouble.fails(operation):
            raise OSError(errno.EIO, "SlowDown: please reduce your request rate")
        answer = await call(self, operation, *arguments, **named)
        if trouble.loses(operation):
            raise ConnectionResetError("the answer got lost")
        return answer

    async def troubled_list(self: Any, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        """Older versions of s3fs list past ``_call_s3``."""
        if trouble.fails("list_objects_v2"):
            trouble.calls.append("list_objects_v2")
            raise OSError(errno.EIO, "SlowDown: please reduce your request rate")
        async for entry in listed(self, *arguments, **named):
            yield entry

    listed = s3fs.S3FileSystem._iterdir
    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", troubled)
    monkeypatch.setattr(s3fs.S3FileSystem, "_iterdir", troubled_list)
    return trouble


@pytest.fixture
def patience() -> StorePatience:
    return StorePatience()


@pytest.fixture
def store(bucket: str, patience: StorePatience) -> Store:
    return Store(ObjectStoragePath(f"{bucket}/set"), patience)


def check_set(result: dict[str, Any], orders: list[str], s3_url: str) -> None:
    ids = [
        json.loads(line)["id"]
        for file in read_manifest(result["manifest"]).files
        for line in file.read_bytes().splitlines()
    ]
    assert sorted(ids) == sorted(orders)
    assert len(keys(s3_url)) == 2 * result["files"] + 1


@pytest.mark.parametrize("operation", ["put_object", "list_objects_v2", "get_object", "delete_object", ""])
def test_twenty_seconds_of_refusals_cost_no_try(
    extract: Extract,
    sandbox: Sandbox,
    orders: list[str],
    bucket: str,
    s3_url: str,
    clock: Clock,
    trouble: Trouble,
    operation: str,
) -> None:
    first = extract(destination=bucket, max_part_bytes=100_000)
    began = {}

    def fails(called: str) -> bool:
        """Each operation fails for 22 s from the first time on."""
        return called.startswith(operation) and clock.now < began.setdefault(called, clock.now) + 22

    trouble.fails = fails
    result = extract(destination=bucket, max_part_bytes=100_000, overwrite=True)
    assert clock.now >= 1022
    assert result["rows"] == first["rows"]
    check_set(result, orders, s3_url)


@pytest.mark.parametrize("operation", ["put_object", "delete_object"])
def test_nothing_is_doubled_when_answers_get_lost(
    extract: Extract, orders: list[str], bucket: str, s3_url: str, clock: Clock, trouble: Trouble, operation: str
) -> None:
    counter = itertools.count()
    trouble.loses = lambda called: called == operation and next(counter) % 2 == 0
    for overwrite in (False, True):
        result = extract(destination=bucket, max_part_bytes=100_000, overwrite=overwrite)
        check_set(result, orders, s3_url)
    assert clock.now > 1000


def test_a_creation_whose_answer_got_lost_is_ours(store: Store, clock: Clock, trouble: Trouble) -> None:
    trouble.loses = lambda called: called == "put_object"
    assert store.create(b"one", "_manifest-0001.json")
    assert not store.create(b"two", "_manifest-0001.json")
    assert store.read("_manifest-0001.json") == b"one"


def test_a_store_that_goes_on_failing_is_given_up(store: Store, clock: Clock, trouble: Trouble) -> None:
    trouble.fails = lambda called: True
    with pytest.raises(OSError, match="SlowDown"):
        store.put_bytes(b"one", "a.jsonl")
    assert Patience().faults - 30 < clock.now - 1000 <= Patience().faults


@pytest.mark.parametrize("after", [0.0, 10.0])
def test_a_killed_task_waits_for_the_store_for_some_seconds_only(
    store: Store, patience: StorePatience, clock: Clock, trouble: Trouble, after: float
) -> None:
    killed_at = []

    def fails(_: str) -> bool:
        if clock.now >= 1000 + after and not killed_at:
            killed_at.append(clock.now)
            patience.hurry()
        return True

    trouble.fails = fails
    for name in ("a", "b"):
        with pytest.raises(OSError, match="SlowDown"):
            store.put_bytes(b"one", name)
    assert clock.now - killed_at[0] <= HURRIED


def test_a_killed_task_hurries_where_its_notes_lie_as_well(
    connection: None, sandbox: Sandbox, bucket: str, clock: Clock, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators: list[DotyposToObjectStorageOperator] = []
    execute = DotyposToObjectStorageOperator.execute

    def note_operator(self: DotyposToObjectStorageOperator, context: Any) -> dict[str, Any]:
        operators.append(self)
        return execute(self, context)

    def fails(_: str) -> bool:
        operators[0].on_kill()
        trouble.fails = lambda called: True
        return True

    monkeypatch.setattr(DotyposToObjectStorageOperator, "execute", note_operator)
    trouble.fails = fails
    with pytest.raises(OSError, match="SlowDown"):
        Runs(sandbox, bucket).run("killed")
    assert trouble.calls
    assert clock.now - 1000 <= HURRIED


def test_what_is_not_there_or_not_allowed_is_told_at_once(store: Store, clock: Clock) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("nothing")
    assert store.list() == {}
    assert clock.now == 1000


def test_a_local_disk_is_not_asked_twice(tmp_path: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(ObjectStoragePath(f"file://{tmp_path}/set"))

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "the disk broke")

    monkeypatch.setattr(store._fs, "cat_file", fail, raising=False)
    with pytest.raises(OSError, match="broke"):
        store.read("a")
    assert clock.now == 1000


def test_which_failures_may_pass() -> None:
    class NoCredentialsError(Exception):
        pass

    class ClientError(Exception):
        pass

    for error in (OSError("x"), TimeoutError(), ConnectionResetError(), ClientError(), OSError(errno.EIO, "x")):
        assert is_passing(error)
    for error in (
        FileNotFoundError(), PermissionError(), OSError(errno.ENOSPC, "x"), NoCredentialsError(), TypeError(),
        KeyboardInterrupt(), OSError(errno.ENOSYS, "no conditional writes"),
    ):  # fmt: skip
        assert not is_passing(error)


@pytest.mark.parametrize("bucket", ["lake", "No Bucket"])
def test_a_foreign_certificate_and_an_impossible_name_do_not_pass(certificate: Path, bucket: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with RawServer(lambda *_: None, tls=context) as server:
        fs = s3fs.S3FileSystem(
            key="sandbox", secret="sandbox", client_kwargs={"endpoint_url": server.url}, skip_instance_cache=True,
            config_kwargs={"retries": {"max_attempts": 0}},
        )  # fmt: skip
        with pytest.raises(Exception, match=r"(?i)certificate|bucket name") as error:
            fs.ls(f"{bucket}/set")
    assert not is_passing(error.value)
