"""Processes of the demo and the tests end with their starter, whatever ends it (``demo/children.py``)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import children, guard

ROOT = Path(__file__).parents[1]

#: Starts a child, which starts one that leaves its process group. Each says when it runs, and then sleeps.
FAMILY = """
import subprocess, sys
sys.path.insert(0, "demo")
from children import Child
grandchild = 'import os, time; os.setpgid(0, 0); print("ready", flush=True); time.sleep(3600)'
child = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {grandchild!r}])'
with Child([sys.executable, "-c", child]) as process:
    process.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL], ids=str)
def test_all_end_when_the_starter_does(number: signal.Signals) -> None:
    with children.Child([sys.executable, "-c", FAMILY], cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout.readline() == b"ready\n"
        starter.send_signal(number)
        # The pipe ends with the last process that can write to it.
        assert starter.stdout.read() == b""


POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from demo import children

def work():
    print("ready", flush=True)
    import time
    time.sleep(3600)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), children.end_with_parent) as pool:
        pool.submit(work)
"""


def test_the_workers_of_a_pool_end_with_it(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # Not as a `Child`, which would end them, too.
    with subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"ready\n"
        starter.kill()
        assert starter.stdout.read() == b""


def test_a_child_ends_with_its_last_reference() -> None:
    child = children.Child([sys.executable, "-c", "import time; time.sleep(3600)"], stdout=subprocess.PIPE)
    output = child.stdout
    del child
    assert output.read() == b""


def test_what_heeds_no_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = 'trap "" TERM; echo ready; while :; do sleep 3600; done'
    with children.Child(["sh", "-c", stubborn], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        monkeypatch.setattr(guard, "GRACE", 0.2)
        guard.end(child.pid, signal.SIGTERM)
        assert child.poll() is None
        guard.end(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=str)
def test_a_child_takes_a_signal_that_its_starter_ignores(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with children.Child(["sh", "-c", f"kill -{int(number)} $$; sleep 3600"]) as child:
            assert child.wait() == -number
    finally:
        signal.signal(number, before)


def test_it_is_the_command_with_its_id_and_its_exit_code() -> None:
    with children.Child(["sh", "-c", "echo $$; exit 7"], stdout=subprocess.PIPE) as child:
        assert int(child.stdout.read()) == child.pid
        assert child.wait() == 7


@pytest.mark.parametrize("folder", ["demo", "tests"])
def test_nobody_starts_a_process_otherwise(folder: str) -> None:
    """A process that outlives its test goes on asking a sandbox that has gone."""
    started = re.compile(r"subprocess\.(run|Popen|call|check_call|check_output)\(")
    files = set((ROOT / folder).rglob("*.py")) - {Path(__file__)}
    assert len(files) > 3
    assert not [path.name for path in files if started.search(path.read_text())]
