"""Staging of killed processes: removed by the next extraction, never a living one's; and who may read what."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.storage import staging
from airflow_provider_dotypos.storage.staging import open_private, remove_left_overs, staging_folder
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files import id_counter
from airflow_provider_dotypos.transfers.files.id_counter import DistinctIds
from demo import children
from tests.transfers.conftest import SINCE, UNTIL
from tests.transfers.test_together import run_apart

Extract = Callable[..., dict[str, Any]]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have this process, and those that it starts, keep temporary files in a folder of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def umask() -> Iterator[None]:
    """Have new files read by the group, and by nobody else."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


HOLD = """
import sys
from airflow_provider_dotypos.storage.staging import open_private, staging_folder
with staging_folder() as folder:
    with open_private(folder / "part") as file:
        file.write(b"rows")
    print(folder, flush=True)
    sys.stdin.read()
"""


def hold() -> tuple[subprocess.Popen[str], Path]:
    """Start a process that stages something, and goes on until its input ends."""
    process = children.Child([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_removed_and_nothing_of_a_living_one(temporary: Path) -> None:
    dead, left = hold()
    living, used = hold()
    remove_left_overs()
    assert left.exists()
    dead.send_signal(signal.SIGKILL)
    dead.wait()

    remove_left_overs()

    assert not left.exists()
    assert (used / "part").read_bytes() == b"rows"
    assert (mode(used), mode(used / "part")) == (0o700, 0o600)
    living.communicate()
    assert list(temporary.iterdir()) == []


def test_a_forked_child_keeps_a_folder_alive(temporary: Path) -> None:
    script = HOLD.replace("    print", "    import os\n    if os.fork(): os.kill(os.getpid(), 9)\n    print")
    process = children.Child([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    used = Path(process.stdout.readline().strip())
    process.wait()
    remove_left_overs()
    assert (used / "part").exists()
    process.communicate()


def test_what_is_not_ours_stays(temporary: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".lock").touch()
    (temporary / "dotypos-link").symlink_to(outside)
    (temporary / "dotypos-without-a-lock").mkdir()
    (temporary / "dotypos-file").touch()
    (temporary / "other").mkdir()
    (temporary / "other" / ".lock").touch()
    (temporary / "dotypos-lock-is-a-link").mkdir()
    (temporary / "dotypos-lock-is-a-link" / ".lock").symlink_to(outside / ".lock")
    before = sorted(temporary.rglob("*"))
    remove_left_overs()
    assert sorted(temporary.rglob("*")) == before
    assert (outside / ".lock").exists()


def test_somebody_elses_folder_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary / "dotypos-x").mkdir()
    (temporary / "dotypos-x" / ".lock").touch()
    monkeypatch.setattr(staging.os, "getuid", lambda: -1)  # type: ignore[attr-defined]
    remove_left_overs()
    assert (temporary / "dotypos-x" / ".lock").exists()


def test_no_living_folder_is_removed_however_makers_and_cleaners_meet(temporary: Path) -> None:
    lost: list[Path] = []

    def make(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            with staging_folder() as folder:
                remove_left_overs()
                try:
                    with open_private(folder / "part") as file:
                        file.write(b"rows")
                    if chance.random() < 0.5:
                        remove_left_overs()
                    assert (folder / "part").read_bytes() == b"rows"
                except (OSError, AssertionError):
                    lost.append(folder)

    threads = [threading.Thread(target=make, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost
    assert list(temporary.iterdir()) == []


def test_a_cleaner_that_comes_before_the_lock_makes_another_folder_necessary(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, met = staging.fcntl.flock, []  # type: ignore[attr-defined]

    def late(descriptor: int, operation: int) -> None:
        if not met:
            met.append(1)
            remove_left_overs()
        flock(descriptor, operation)

    monkeypatch.setattr(staging.fcntl, "flock", late)  # type: ignore[attr-defined]
    with staging_folder() as folder:
        assert (folder / ".lock").exists()
        assert list(temporary.iterdir()) == [folder]


def test_without_locks_a_folder_is_never_taken_for_a_left_over(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no locks here")

    with monkeypatch.context() as patch:
        patch.setattr(staging.fcntl, "flock", fail)  # type: ignore[attr-defined]
        context = staging_folder()
        folder = context.__enter__()
    remove_left_overs()
    assert folder.exists()
    context.__exit__(None, None, None)
    assert not folder.exists()


def test_an_extraction_removes_what_a_killed_one_left(
    extract: Extract, sandbox: Sandbox, orders: list[str], bucket: str, temporary: Path
) -> None:
    sandbox.faults.append(Fault("hang", path="/orders", skip=5))
    process = run_apart(temporary, destination=bucket, since=SINCE.isoformat(), until=UNTIL.isoformat())
    while not sandbox.faults or sandbox.faults[0].times:
        assert process.poll() is None
        threading.Event().wait(0.01)
    process.kill()
    process.wait()
    assert {mode(path) for path in temporary.glob("dotypos-*/.staging*")} == {0o600}

    assert extract(destination=bucket)["rows"] == len(orders)

    assert not list(temporary.glob("dotypos-*"))


def test_counting_ids_leaves_nothing_that_has_a_name(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_counter, "RUN_LENGTH", 10)
    with DistinctIds() as ids:
        ids.add(range(1000))
        assert ids.count() == 1000
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_final_files_of_a_local_folder_follow_the_umask_and_staging_is_private(
    extract: Extract, orders: list[str], tmp_path: Path, umask: None, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    staged: list[int] = []
    put = Store.put

    def look(self: Store, path: Path, name: str, *, private: bool = False) -> None:
        staged.append(mode(path))
        put(self, path, name, private=private)

    monkeypatch.setattr(Store, "put", look)
    extract(max_part_bytes=10_000)
    assert set(staged) == {0o600}
    files = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert any("manifest" in path.name for path in files)
    assert {mode(path) for path in files} == {0o640}
