"""The SQL sink: no row is lost or repeated, whatever ends a try. This tests `loads`, `staging` and `ranges`, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api import pieces
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.sql import database as databases
from tests.api.walking import HOUR, empty_shop
from tests.transfers.sql.databases import embedded
from tests.transfers.sql.tries import SqlStorm
from tests.transfers.storms import QUIET, Burst, Plan, Weather, check_promises
from tests.transfers.test_storms import CALM, plans, weathers
from tests.transfers.turns import Death, by_turns


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(empty_shop()) as running:
        yield running


@given(weather=weathers, plans=plans, mode=st.sampled_from(["upsert", "append"]))
# One is throttled, the next is killed, and a zombie gives way to the last.
@example(
    replace(CALM, bursts=[Burst(1000, 340, 0), Burst(2000, 900, HOUR)]),
    [
        replace(QUIET, part_bytes=1, stall=9),
        replace(QUIET, concurrency=4, part_bytes=1, death=Death("throttled", 20)),
        replace(QUIET, part_bytes=1, death=Death("crash", 12)),
    ],
    "append",
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_row_is_lost_or_repeated_in_any_storm(api: Sandbox, weather: Weather, plans: list[Plan], mode: str) -> None:
    with (
        TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as monkeypatch,
        by_turns(),
        patch.object(pieces, "WORTH_SPLITTING", weather.worth_splitting),
        patch.multiple(databases, LOST_AT_MOST=0.0, BUSY_AT_MOST=0.0),
    ):
        warehouse = embedded("sqlite", Path(folder))
        warehouse.store(monkeypatch)
        check_promises(SqlStorm(api, weather, warehouse, mode), plans)
