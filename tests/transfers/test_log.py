"""What a task's log says of an extraction to a person: what begins, what is kept, what was extracted."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.transfers.piece_writer import PartAge
from tests.transfers.conftest import SINCE_MS

Extract = Callable[..., dict[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """All lines of the log in their order, of the operator's logger and of the others."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.INFO:  # Airflow warns that no worker runs the operator
                said.append(record.getMessage())

    logger = logging.getLogger("airflow_provider_dotypos")
    handler = Handler(logging.INFO)
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.INFO)
    monkeypatch.setattr("airflow_provider_dotypos.transfers.base.DotyposTransferOperator.log", logger)
    yield said
    logger.removeHandler(handler)


def sales(sandbox: Sandbox) -> None:
    """Make one order with two items in the window."""
    order = {"versionDate": SINCE_MS, "created": SINCE_MS}
    cloud = sandbox.cloud_ids[0]
    id = sandbox.shop.insert(cloud, "orders", order)["id"]
    for _ in range(2):
        sandbox.shop.insert(cloud, "order-items", {"versionDate": SINCE_MS, "_orderId": id})


def test_a_short_extraction_with_children(
    extract: Extract, sandbox: Sandbox, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[0])
    connection["extra"] |= {"cloud_name": "U Zlaté lžičky"}
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    sales(sandbox)
    result = extract(include="orderItems", flatten=True)
    folder = result["manifest"].rpartition("/")[0]
    assert len(sandbox.requests) == 2  # sign-in, the orders: none for the log
    assert [re.sub(r"\d+ bytes|[\d.]+ kB", "… kB", line) for line in lines] == [
        f"Extracting orders with order items of U Zlaté lžičky ({sandbox.cloud_ids[0]}).",
        "The window is from 2026-03-01 00:00 to 2026-03-02 00:00 UTC.",
        f"Folder: {folder}",
        "Reading orders takes at least 1 request.",
        f"Manifest: {folder}/_manifest-0001.json",
        "1 order, 2 order items in 2 files, … kB.",
    ]


def test_a_window_without_rows(extract: Extract, sandbox: Sandbox, lines: list[str]) -> None:
    extract(timezone="Europe/Prague", filter="_employeeId|eq|123454321")
    assert lines[:2] == [
        f"Extracting filtered orders of Bistro Pod Lípou ({sandbox.cloud_ids[0]}).",
        "The window is from 2026-03-01 01:00 to 2026-03-02 01:00 Europe/Prague.",
    ]
    assert lines[-1] == "No orders. The set is empty."
    assert "123454321" not in "".join(lines)


def test_a_kept_window_and_one_that_is_replaced(extract: Extract, orders: list[str], lines: list[str]) -> None:
    extract()
    extracted = lines[-2:]
    assert extracted[1].startswith("750 orders in ")
    del lines[:]
    extract()
    assert lines[3:] == ["The set exists already, with 750 rows. It is kept: overwrite=True replaces it.", *extracted]
    del lines[:]
    extract(overwrite=True)
    assert lines[3] == "The set exists already, with 750 rows. The new one replaces it."
    assert lines[-2].endswith("/_manifest-0002.json")


def test_an_extraction_that_is_resumed(
    extract: Extract, sandbox: Sandbox, orders: list[str], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PartAge, "LEAST", 0.0)
    sandbox.faults.append(Fault("redirect", path="/orders", skip=1))
    with pytest.raises(Exception, match="redirected"):
        extract(concurrency=1)
    del lines[:]
    extract(concurrency=1)
    assert re.fullmatch(r"Checking 1 part \(\d+ kB\) that an earlier attempt has left\.", lines[3])
    assert re.fullmatch(r"Kept from an earlier attempt: \d+ orders\.", lines[4])
    assert re.fullmatch(r"Small files of orders are merged: 1 instead of \d+\.", lines[6])
    assert lines[8].startswith("750 orders in 1 file, ")


def test_everything_and_its_tail(extract: Extract, sandbox: Sandbox, lines: list[str]) -> None:
    extract(entity="tags", since=None)
    assert lines[1] == "The window is from the beginning to 2026-03-02 00:00 UTC."
    assert lines[3] == "Reading tags takes at least 4 requests."
    assert lines[4].startswith("Reading on from 2026-03-02 00:00 to ")
    assert lines[4].endswith(": rows that changed meanwhile have moved there.")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"entity": "webhooks"}, "Extracting all webhooks of "),
        ({"entity": "tags", "snapshot": True}, "Extracting the ids of all tags of "),
    ],
)
def test_what_is_read_whole(extract: Extract, lines: list[str], arguments: dict[str, Any], line: str) -> None:
    extract(since=None, **arguments)
    assert lines[0].startswith(line)
    assert lines[1].startswith("Folder: ")


def test_rows_that_changed_meanwhile_are_told(extract: Extract, sandbox: Sandbox, lines: list[str]) -> None:
    cloud = sandbox.cloud_ids[0]
    sandbox.shop.insert(cloud, "tags", {"versionDate": SINCE_MS})
    row = sandbox.shop.insert(cloud, "tags", {"versionDate": SINCE_MS})

    class Change(Fault):
        def strikes(self, method: str, path: str) -> bool:
            if super().strikes(method, path):  # between both walks
                sandbox.shop.update(cloud, "tags", row["id"], {"versionDate": SINCE_MS + 86_400_001})
            return False

    sandbox.faults.append(Change("500", path="/tags", skip=2))
    extract(entity="tags", since=None, concurrency=1)
    assert lines[-1].startswith("3 tags (2 different) in ")


def test_a_sets_files_are_counted_in_the_singular(extract: Extract, sandbox: Sandbox, lines: list[str]) -> None:
    sandbox.shop.insert(sandbox.cloud_ids[0], "branches", {"versionDate": SINCE_MS})
    extract(entity="branches")
    assert re.fullmatch(r"1 branch in 1 file, \d+ bytes\.", lines[-1])
