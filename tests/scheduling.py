"""Which worker runs which tests: whole files, the longest first, and together what shares an Airflow server."""

from __future__ import annotations

from typing import Any

import pytest

#: Folders whose files share a server, which takes half a minute to start. One worker runs them.
TOGETHER = ("tests/connect/page/", "tests/ui/")

#: What takes longest, the longest first. A worker that begins one of them last leaves the other one idle.
LONGEST = (
    "tests/test_demo.py",
    "tests/connect/page/",
    "tests/events/",
    "tests/example_dags/",
    "tests/ui/",
    "tests/transfers/test_incremental.py",
    "tests/commands/test_processes.py",
    "tests/api/test_walk.py",
    "tests/transfers/test_storms.py",
    "tests/transfers/files/test_snapshots.py",
    "tests/transfers/test_together.py",
    "tests/transfers/test_limits.py",
    "tests/transfers/test_endings.py",
    "tests/lake/erasure/test_tables.py",
    "tests/release/",
    "tests/api/",
    "tests/connect/",
    "tests/test_package.py",
)


def rank(nodeid: str) -> int:
    """Return where a test stands in the order of files."""
    return next((number for number, start in enumerate(LONGEST) if nodeid.startswith(start)), len(LONGEST))


def group(nodeid: str) -> str:
    """Return what one worker runs whole: a file, or a folder."""
    return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.split("::")[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """Give each worker a file or a folder at a time, in our order (``--dist loadfile``)."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # xdist's own order goes by the number of tests
    return Scheduling(config, log)
