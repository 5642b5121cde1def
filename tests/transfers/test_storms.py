"""The promises of an extraction under storms: drift, faults, crashes and rival tries, drawn at random and run by turns.

A storm is a schedule: what the shop holds, how it changes before any request, which requests fail, and tries that begin
while others are under way and end in any way at any step. See ``turns`` for how threads are made to follow it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api import pieces
from airflow_provider_dotypos.api.markers import DELETED_FILTERS, UNDATED_ROWS
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.behaviour import CHOICES
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from demo import children
from tests.api.walking import HOUR, empty_shop
from tests.examples import examples
from tests.transfers.storms import QUIET, Burst, Plan, Storm, Weather, check_promises
from tests.transfers.turns import Death, by_turns

bursts = st.lists(
    st.one_of(
        st.builds(
            Burst, st.integers(0, 3599), st.sampled_from([1, 60, 99, 100, 101, 230, 340]), st.sampled_from([0, 900])
        ),
        st.builds(Burst, st.integers(0, 3599), st.sampled_from([30, 400, 1000]), st.sampled_from([120_000, HOUR])),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda burst: burst.second,
)

weathers = st.builds(
    Weather,
    name=st.sampled_from(["orders", "products", "courses"]),
    behaviour=st.builds(
        Behaviour,
        **{name: st.sampled_from(positions) for name, positions in CHOICES.items()},
        commit_lag=st.sampled_from([0.0, 0.0, 30.0]),
    ),
    bursts=bursts,
    grain=st.sampled_from([1, 1000]),
    rate=st.sampled_from([0.0, 0.3, 3.0]),
    faults=st.lists(
        st.tuples(
            st.sampled_from(["429", "500", "reset", "short-body", "cut-json"]), st.integers(0, 40), st.integers(1, 3)
        ),
        max_size=4,
    ),
    file_format=st.sampled_from([FileFormat(), FileFormat(gzip_level=1), FileFormat("parquet"), FileFormat("csv")]),
    worth_splitting=st.sampled_from([0.3, 3.0]),
    seed=st.integers(0, 2**32),
    edge=st.sampled_from([0, 500]),
    from_the_beginning=st.booleans(),
    undated_rows=st.sampled_from(UNDATED_ROWS),
)

deaths = st.builds(
    Death,
    st.sampled_from(["crash", "crash", "crash", "error", "late", "cancel", "throttled", "throttled"]),
    st.integers(4, 70),
)

plans = st.lists(
    st.builds(
        Plan,
        concurrency=st.integers(1, 8),
        part_bytes=st.sampled_from([1, 1, 30_000, 10**9]),
        after=st.one_of(st.none(), st.integers(0, 70)),
        stall=st.one_of(st.none(), st.integers(1, 40)),
        death=st.one_of(deaths, deaths, st.none()),
        rot=st.booleans(),
        overwrite=st.sampled_from([False, False, True]),
        origin=st.sampled_from("ab"),
        deleted_filter=st.sampled_from(DELETED_FILTERS),
    ),
    min_size=2,
    max_size=4,
)


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(empty_shop()) as running, by_turns():
        yield running


CALM = Weather("orders", Behaviour(), [Burst(1000, 300, HOUR)], 1, 0.0, [], FileFormat(), 3.0, 1)


@given(weather=weathers, plans=plans)
# A zombie wakes after its parts were taken into a set, and that set was replaced.
@example(CALM, [replace(QUIET, part_bytes=1, stall=10), QUIET, replace(QUIET, overwrite=True)])
# A set is committed while a try looks at the folder.
@example(CALM, [replace(QUIET, stall=2), QUIET])
# A replacement is under way while a try finds the window finished, and cleans up.
@example(CALM, [QUIET, replace(QUIET, part_bytes=1, stall=14, overwrite=True), QUIET])
# A part that is to be kept goes, because a try that didn't know of it has committed.
@example(
    CALM, [replace(QUIET, stall=4), replace(QUIET, part_bytes=1, death=Death("crash", 17)), replace(QUIET, stall=9)]
)
# A window begins within a second, and that second holds more than a page.
@example(replace(CALM, behaviour=Behaviour(timestamp_precision="s"), bursts=[Burst(0, 340, 900)], edge=500), [QUIET])
# The disk fails while a sidecar is put.
@example(CALM, [replace(QUIET, part_bytes=1, death=Death("error", 9))])
# Threads end together, in the midst of a tie and where there are no rows, and one of them was a zombie.
@example(
    replace(CALM, name="products", bursts=[Burst(1000, 340, 0), Burst(2000, 900, HOUR)]),
    [
        replace(QUIET, concurrency=4, death=Death("throttled", 24)),
        replace(QUIET, stall=9, death=Death("throttled", 20)),
    ],
)
# What is known of null deletion markers changes between tries.
@example(
    replace(CALM, name="products", bursts=[Burst(1000, 340, 0), Burst(2000, 900, HOUR)]),
    [
        replace(QUIET, part_bytes=1, death=Death("throttled", 24)),
        replace(QUIET, part_bytes=1, death=Death("throttled", 24), deleted_filter="one"),
        replace(QUIET, part_bytes=1, stall=9),
        replace(QUIET, deleted_filter="one"),
    ],
)
# A tail is resumed.
@example(
    replace(CALM, rate=3.0, from_the_beginning=True),
    [replace(QUIET, death=Death("throttled", step)) for step in (18, 22, 26)],
)
@settings(
    max_examples=examples(5), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_the_promises_hold_in_any_storm(api: Sandbox, weather: Weather, plans: list[Plan]) -> None:
    lake = Path(tempfile.mkdtemp(prefix="storm-"))
    threads = threading.active_count()
    try:
        with patch.object(pieces, "WORTH_SPLITTING", weather.worth_splitting):
            check_promises(Storm(api, weather, lake), plans)
        assert threading.active_count() <= threads
    finally:
        shutil.rmtree(lake)


@pytest.mark.parametrize(
    ("requests", "concurrency", "changes"),
    [(11, 4, {"from_the_beginning": True}), (20, 8, {"file_format": FileFormat("parquet")})],
    ids=str,
)
def test_the_promises_hold_after_kill_9(
    api: Sandbox, tmp_path: Path, requests: int, concurrency: int, changes: dict[str, Any]
) -> None:
    bursts = [Burst(1000, 1400, HOUR), Burst(600, 230, 0), Burst(2400, 340, 900)]
    storm = Storm(api, replace(CALM, bursts=bursts, rate=2.0, **changes), tmp_path)
    plan = replace(QUIET, concurrency=concurrency, part_bytes=1)
    process = apart(api, storm, plan)
    api.faults.append(Reaper(process, requests))
    assert process.wait() == -signal.SIGKILL
    assert any(storm.folder(storm.window).iterdir())
    check_promises(storm, [plan])


class Reaper(Fault):
    """Kills a process that makes requests, in the midst of one."""

    def __init__(self, process: subprocess.Popen[bytes], requests: int) -> None:
        super().__init__("500", skip=requests)
        self.process = process

    def strikes(self, method: str, path: str) -> bool:
        if super().strikes(method, path):
            self.process.kill()
        return False


def apart(api: Sandbox, storm: Storm, plan: Plan) -> subprocess.Popen[bytes]:
    """Extract the window in a process of its own."""
    operator = {
        "task_id": "x",
        "entity": storm.weather.name,
        "destination": f"file://{storm.lake}",
        "since": storm.window.since and iso(storm.window.since),
        "until": iso(storm.window.until),
        "file_format": storm.weather.file_format.name,
        "max_part_bytes": plan.part_bytes,
        "concurrency": plan.concurrency,
    }
    script = (
        "from types import SimpleNamespace as N\n"
        "from airflow_provider_dotypos.transfers.dotypos_to_object_storage import *\n"
        f"DotyposToObjectStorageOperator(**{operator!r}).execute({{'ti': N(try_number=1), 'dag_run': None}})"
    )
    connection = json.dumps(api.connection(storm.cloud))
    environment = os.environ | {"AIRFLOW_CONN_DOTYPOS_DEFAULT": connection}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return children.Child([sys.executable, "-c", script], env=environment, **quiet)
