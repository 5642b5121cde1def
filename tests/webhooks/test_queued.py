"""Deliveries that came by a queue, and the public program of the guide that puts them there."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.watch import Change
from airflow_provider_dotypos.api.window import instant, iso
from airflow_provider_dotypos.assets import changed_window
from airflow_provider_dotypos.webhooks.queued import LONGEST_WAIT, MOST_BYTES, queued_change

GUIDE = Path(__file__).parents[2] / "docs/guides/webhooks-by-a-queue.md"
NOW = time.time_ns() // 1_000_000
CLOUD = 310101001
PATH = f"/dotypos-webhooks/dotypos_default/{CLOUD}/orders/{'5e' * 32}"


def row(number: int, changed: int = NOW - 5_123) -> dict[str, Any]:
    return {"orderid": number, "versiondate": changed, "note": "Jana's birthday"}


def message(*rows: dict[str, Any], received: int = NOW) -> bytes:
    return json.dumps({"received": received, "body": rows}).encode()


def change_of(*messages: str | bytes, entity: str = "orders") -> dict[str, Any]:
    change = queued_change(messages, entity=entity, cloud_id=CLOUD)
    assert change is not None
    return change


def test_messages_give_one_change_with_the_keys_of_an_event() -> None:
    change = change_of(message(row(12), row(7, NOW - 9_456)), message(row(12)), json.dumps([row(9)]))
    assert change.keys() == Change(0, 1, None, None, None, "").payload(1, "orders").keys()
    assert (change["ids"], change["count"], change["source"]) == (["7", "9", "12"], 3, "webhook")
    assert (change["since"], change["newest"]) == (iso(NOW - 9_456), iso(NOW - 5_123))
    assert "Jana" not in json.dumps(change)
    window = changed_window(None, queued=change)
    assert window["since"] == iso(NOW - 69_456)
    assert instant(window["until"], "until") >= NOW
    assert queued_change([], entity="orders", cloud_id=CLOUD) is None
    with pytest.raises(DotyposInputError, match="no event of a watcher or a webhook"):
        changed_window(None, queued=None)


def test_the_order_of_messages_makes_no_difference() -> None:
    messages = [message(row(1)), message(received=NOW - 90_000), message(row(2), received=NOW - 60_000)]
    assert change_of(*messages)["since"] == change_of(*reversed(messages))["since"] == iso(NOW - 690_000)


@pytest.mark.parametrize(
    "odd",
    [
        message({"versiondate": NOW - 5_123, "orderid": 4.1e15}, received=NOW - 60_000),
        json.dumps({"received": NOW - 60_000, "body": "Jana"}),
        json.dumps({"received": NOW - 60_000}),
        message(received=NOW - 60_000),
    ],
    ids=["digits are lost", "no rows", "no body", "empty"],
)
def test_what_names_no_row_is_a_change_of_unknown_rows_since_it_came(odd: str | bytes) -> None:
    change = change_of(odd, message(row(1)))
    assert (change["ids"], change["count"]) == (None, None)
    assert change["since"] == iso(NOW - 660_000)


@pytest.mark.parametrize(
    "odd", [b"", b"ring", b"\xff", b"[" * 100_000, "null", b"x" * (MOST_BYTES + 1), json.dumps({"received": "soon"})]
)
def test_what_cannot_be_read_and_says_no_time_stops_nothing(odd: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    change = change_of(message(row(1)), odd)
    assert change["ids"] is None
    assert instant(change["since"], "since") <= time.time_ns() // 1_000_000 - LONGEST_WAIT
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage().startswith("1 messages of the queue can't be read as deliveries of orders.")


def test_movements_of_stock_name_no_row() -> None:
    change = change_of(message({"stocklogid": 5, "versiondate": NOW - 5_123}), entity="warehouse-products")
    assert (change["ids"], change["entity"]) == (None, "warehouse-products")


def test_wrong_arguments_are_refused() -> None:
    arguments: dict[str, Any]
    for messages, arguments, said in (
        ([], {"entity": "branches"}, "Dotypos delivers no changes of 'branches'"),
        ([], {"cloud_id": "my cloud"}, "cloud_id"),
        ([5], {}, "messages must be texts or bytes, not values of type int"),
    ):
        with pytest.raises(DotyposInputError, match=said):
            queued_change(messages, **{"entity": "orders", "cloud_id": CLOUD, **arguments})  # type: ignore[arg-type]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The guide's program with a Redis that notes what it is asked."""
    redis = pytest.importorskip("redis")
    (code,) = (
        block for block in re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S) if "wsgi" in block
    )
    done: list[tuple[Any, ...]] = []

    class Noting:
        def __enter__(self) -> Noting:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def rpush(self, *arguments: Any) -> None:
            done.append(("rpush", *arguments))

        def publish(self, *arguments: Any) -> None:
            done.append(("publish", *arguments))

    monkeypatch.setenv("DOTYPOS_PATHS", f"/dotypos-webhooks/x/1/products/{'0' * 64} {PATH}")
    monkeypatch.setenv("REDIS_URL", "redis://nobody")
    monkeypatch.setattr(redis.Redis, "from_url", lambda _: Noting())
    known: dict[str, Any] = {"done": done}
    exec(compile(code, str(GUIDE), "exec"), known)
    return known


def call(program: dict[str, Any], body: bytes, path: str = PATH, method: str = "POST", **more: str) -> str:
    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **more,
    }
    program["application"](environ, lambda status, headers: answers.append(status))
    return answers[0]


def test_the_program_keeps_ids_and_times_and_rings(program: dict[str, Any]) -> None:
    assert call(program, json.dumps([row(12)]).encode()) == "202 Accepted"
    assert call(program, b"[]", path=PATH[17:], SCRIPT_NAME="/dotypos-webhooks") == "202 Accepted"
    (_, queue, put), rung, *_ = program["done"]
    assert (queue, rung) == ("dotypos:orders", ("publish", "dotypos:orders:bell", "ring"))
    assert "Jana" not in put
    assert change_of(put)["ids"] == ["12"]


def test_the_program_takes_nothing_else(program: dict[str, Any]) -> None:
    for path in (PATH[:-1] + "f", PATH + "/", "/", ""):
        assert call(program, b"[]", path=path) == "404 Not Found"
    assert call(program, b"[]", method="GET") == "404 Not Found"
    assert call(program, b" " * ((1 << 20) + 1)) == "404 Not Found"
    for length in ("-1", "-5", "many", "9" * 5000):
        assert call(program, json.dumps([row(12)]).encode(), CONTENT_LENGTH=length) == "404 Not Found"
    for body in (b"", b"5", b"[5]", b'["versiondate"]', b"\xff", b"[" * 100_000):
        assert call(program, body) == "400 Bad Request"
    assert program["done"] == []
