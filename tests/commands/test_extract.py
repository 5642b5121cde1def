"""``extract`` and ``show``: a window to a folder, and what is in it.

Tests `commands/extract`, `commands/extraction`, `commands/progress_bar`, `commands/show`, `commands/sets`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.commands.rows import MASK
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.manifest import read_manifest
from airflow_provider_dotypos.transfers.progress import Progress
from tests.commands.conftest import Command, Done

SINCE_MS = 1_772_323_200_000
WINDOW = ("--since", "2026-03-01T00:00:00Z", "--until", "2026-03-02T00:00:00Z")

#: Stands for the path of a file that is no manifest.
FILE = "a file"


@pytest.fixture
def orders(sandbox: Sandbox) -> list[str]:
    """A day with 250 orders, the first of them with an item."""
    cloud = sandbox.cloud_ids[0]
    rows = [{"versionDate": SINCE_MS + 1000 * i, "note": f"for Jana {i}"} for i in range(250)]
    ids = [str(sandbox.shop.insert(cloud, "orders", row)["id"]) for row in rows]
    sandbox.shop.insert(cloud, "order-items", {"_orderId": int(ids[0]), "name": "Espresso", "note": "pro Janu"})
    return ids


def described(done: Done) -> dict[str, Any]:
    """Return the set that a command has printed as JSON."""
    assert done.code == 0, done.err
    (row,) = done.rows
    return dict(row)


def test_a_window_is_extracted_as_the_operator_does(
    sandbox: Sandbox, command: Command, tmp_path: Path, orders: list[str]
) -> None:
    done = command("extract", "orders", "--destination", str(tmp_path / "lake"), *WINDOW, "-o", "json")

    committed = read_manifest(described(done)["manifest"])
    assert [row["id"] for row in committed.rows()] == orders
    operator = DotyposToObjectStorageOperator(
        task_id="same", entity="orders", destination=f"file://{tmp_path}/lake", since=WINDOW[1], until=WINDOW[3]
    )
    asked = len(sandbox.requests)
    assert Path(operator.execute({})["manifest"].removeprefix("file://")) == Path(committed.path.path)  # type: ignore[arg-type]
    assert {request.path.rsplit("/", 1)[-1] for request in sandbox.requests[asked:]} <= {"310101001", "token"}


def test_the_shape_is_that_of_the_options(command: Command, tmp_path: Path, orders: list[str]) -> None:
    shape = ("--include", "orderItems", "--flatten", "--file-format", "csv", "--compression", "gzip")
    done = command(
        "extract", "orders", "--destination", str(tmp_path), *WINDOW, *shape, "--no-personal-data",
        "--filter", "paid|eq|false", "-o", "json",
    )  # fmt: skip

    held = described(done)
    assert (held["format"], held["filter"]) == ("csv gzip", "paid|eq|false")
    assert [(table["table"], table["rows"]) for table in held["tables"]] == [("orders", "250"), ("order-items", "1")]
    assert "note" not in held["tables"][0]["columns"]


def test_a_relative_folder_lies_in_the_current_one(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orders: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    done = command("extract", "orders", "--destination", "lake", *WINDOW, "-o", "json")

    assert described(done)["manifest"].startswith(f"{tmp_path}/lake/")
    assert command("show", described(done)["manifest"].removeprefix(f"{tmp_path}/")).code == 0


def test_without_an_end_everything_is_read_that_has_settled(
    command: Command, tmp_path: Path, orders: list[str]
) -> None:
    held = described(command("extract", "orders", "--destination", str(tmp_path), "--settle", "0", "-o", "json"))

    assert held["since"] == "the beginning"
    assert int(held["rows"]) >= 250


def test_an_interrupted_extraction_is_resumed_by_the_same_command(
    sandbox: Sandbox, command: Command, tmp_path: Path, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("extract", "orders", "--destination", str(tmp_path), *WINDOW, "--concurrency", "1", "-o", "json")
    with monkeypatch.context() as patch:
        reports: list[int] = []

        def interrupted(self: Progress, rows: int, *more: Any) -> None:
            reports.append(rows)
            if len(reports) == 2:
                raise KeyboardInterrupt

        patch.setattr(Progress, "report", interrupted)
        done = command(*arguments)
    assert (done.code, done.out) == (130, "")
    last = done.err.splitlines()[-3:]
    assert last[0] == "What was read is kept. The same command reads only what is missing."
    assert last[-1] == "Interrupted."

    sandbox.requests.clear()
    held = described(command(*arguments))
    assert held["rows"] == "250"
    assert sum(request.path.endswith("/orders") for request in sandbox.requests) <= 3  # of 5
    assert Counter(row["id"] for row in read_manifest(held["manifest"]).rows()) == Counter(orders)


def test_without_an_end_the_hint_names_it(
    command: Command, tmp_path: Path, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "report", interrupted)
    done = command("extract", "orders", "--destination", str(tmp_path), "--settle", "0", "--concurrency", "1")

    assert done.code == 130
    assert "What was read is kept. The same command with --until 20" in done.err


def test_a_terminal_shows_a_bar_and_stdout_the_result_alone(
    command: Command, tmp_path: Path, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = sys.stderr
    monkeypatch.setattr(type(stderr), "isatty", lambda stream: stream is stderr)

    done = command("extract", "orders", "--destination", str(tmp_path), *WINDOW, "-o", "json")

    assert " rows" in done.err
    assert "━" in done.err
    assert json.loads(done.out)  # no colors in it


def test_elsewhere_plain_lines_say_how_far_it_is(
    command: Command, tmp_path: Path, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Progress.__init__

    def at_once(self: Progress, *arguments: Any) -> None:
        started(self, *arguments)
        self._next = 0.0

    monkeypatch.setattr(Progress, "__init__", at_once)
    done = command("extract", "orders", "--destination", str(tmp_path), *WINDOW, "-o", "json")

    assert "━" not in done.err
    assert "rows/s" in done.err
    assert "\x1b" not in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ordrs"], "did you mean 'orders'?"),
        (["orders", "--since", "2026-01-01"], "bare date"),
        (["orders", "--since", "2026-03-02T00:00:00Z", "--until", "2026-03-01T00:00:00Z"], "reversed"),
        (["orders", "--until", ""], "until must be"),
        (["orders", "--destination", ""], "destination must be an absolute path"),
        (["orders", "--flatten"], "flatten needs child lists"),
        (["orders", "--compression", "gzip", "--file-format", "parquet"], "compresses its columns by itself"),
        (["orders", "--destination", "nothing://x"], "no file system for 'nothing://'"),
        (["warehouse-branches", "--snapshot", "--since", "2026-03-01T00:00:00Z"], "snapshot writes the ids"),
        (["clouds", "--since", "2026-03-01T00:00:00Z", "--until", "2026-03-02T00:00:00Z"], "omit --since"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(
    command: Command, sandbox: Sandbox, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = command("extract", "--destination", str(tmp_path / "lake"), "--until", "2026-03-02T00:00:00Z", *arguments)

    assert done.code == 1
    assert says in done.err
    assert len(done.err.splitlines()) == 1
    assert not [request for request in sandbox.requests if "signin" not in request.path]


def test_a_wrong_beginning_is_refused_before_the_clock_is_asked_for(
    command: Command, sandbox: Sandbox, tmp_path: Path
) -> None:
    done = command("extract", "orders", "--destination", str(tmp_path), "--since", "yesterday")

    assert (done.code, sandbox.requests) == (1, [])
    assert "since must be a datetime" in done.err


def test_a_folder_that_takes_no_files_is_said_in_one_line(command: Command, tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "lake").write_text("a file")

    done = command("extract", "orders", "--destination", str(tmp_path / "lake"), *WINDOW)

    assert done.code == 1
    assert "Not a directory" in done.err.splitlines()[-1]
    assert "Check --destination" in done.err.splitlines()[-1]


def test_a_set_is_shown_with_its_first_rows_masked(command: Command, tmp_path: Path, orders: list[str]) -> None:
    made = command(
        "extract",
        "orders",
        "--destination",
        str(tmp_path),
        *WINDOW,
        "--include",
        "orderItems",
        "--flatten",
        "-o",
        "json",
    )
    manifest = described(made)["manifest"]

    held = described(command("show", manifest, "--limit", "2", "-o", "json"))
    assert [row["id"] for row in held["first orders"]] == orders[:2]
    assert [row["note"] for row in held["first orders"]] == [MASK, MASK]
    assert {name: held[name] for name in ("entity", "cloud", "since", "until", "rows", "different ids")} == {
        "entity": "orders",
        "cloud": "310101001",
        "since": "2026-03-01T00:00:00.000Z",
        "until": "2026-03-02T00:00:00.000Z",
        "rows": "250",
        "different ids": "250",
    }
    assert [table["files"] for table in held["tables"]] == ["1", "1"]
    assert int(held["tables"][0]["bytes"]) > 10_000

    items = described(command("show", manifest, "--table", "order-items", "--personal", "-o", "json"))
    assert [row["note"] for row in items["first order-items"]] == ["pro Janu"]

    done = command("show", manifest, "--columns", "id,note", "--verify")
    assert done.code == 0
    assert "what          | value" in done.out
    assert "order-items | 1 " in done.out
    assert f"{orders[0]} | {MASK}" in done.out
    assert "Jana" not in done.out


def test_a_set_without_rows_is_shown(command: Command, tmp_path: Path, sandbox: Sandbox) -> None:
    made = command("extract", "orders", "--destination", str(tmp_path), *WINDOW, "-o", "json")

    done = command("show", described(made)["manifest"])

    assert done.code == 0
    assert "orders | 0    | 0 " in done.out


@pytest.mark.parametrize(
    ("path", "options", "says"),
    [
        ("nowhere", [], "no whole set at"),
        (FILE, [], "no whole set at"),
        ("", [], "absolute path"),
        (".", ["--table", "items"], "no table 'items'"),
        (".", ["--columns", "noet"], "did you mean 'note'?"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_said(
    command: Command, tmp_path: Path, orders: list[str], path: str, options: list[str], says: str
) -> None:
    made = command("extract", "orders", "--destination", str(tmp_path), *WINDOW, "-o", "json")
    folder = Path(described(made)["manifest"]).parent
    if path == FILE:
        path = next(folder.glob("g*")).name

    done = command("show", str(folder / path) if path else "", *options)

    assert (done.code, done.out) == (1, "")
    assert says in done.err


def test_a_damaged_set_is_noticed(command: Command, tmp_path: Path, orders: list[str]) -> None:
    made = command("extract", "orders", "--destination", str(tmp_path), *WINDOW, "-o", "json")
    committed = read_manifest(described(made)["manifest"])
    file = Path(committed.files[0].path)
    file.write_bytes(file.read_bytes().replace(b"Jana", b"Hana"))

    done = command("show", str(committed.path), "--verify")

    assert (done.code, done.out) == (1, "")
    assert "SHA-256 differs" in done.err
