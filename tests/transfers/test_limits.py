"""A limit of 150 requests in half an hour: nearly all that was read is kept, and the task waits without its slot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.transfers.limits import Case, Task, check, fill


@pytest.fixture(scope="module")
def full() -> Iterator[tuple[Sandbox, set[str]]]:
    with Sandbox(Shop.empty()) as sandbox:
        yield sandbox, fill(sandbox, 30_000)


@pytest.mark.parametrize(
    "case",
    [
        Case(1, 0.0, False),
        Case(4, 0.03, False),
        Case(16, 0.03, True),
        Case(16, 0.03, False, "sliding", refused_count=True),
        Case(1, 0.0, True, "sliding", refused_count=True, budget=True),
    ],
    ids=str,
)
def test_an_extraction_is_done_in_the_third_window(full: tuple[Sandbox, set[str]], case: Case, tmp_path: Path) -> None:
    sandbox, orders = full
    check(Task(sandbox, case, tmp_path).run(), case, orders)
