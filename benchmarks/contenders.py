"""Four ways to bring the same rows into a file, each run in a process of its own by ``benchmarks.extraction``.

Every way is first run on one page in a scratch folder, so that imports, Airflow's look for providers and the first
connection are over when memory is read and the clock is started. Every file is on the disk (``fsync``) when it stops.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.server import CLOUD_ID, FIRST_ID, ORDERS, iso, moment

PAGE = 100

Extract = Callable[[str, int, Path], None]


def ours(url: str, rows: int, folder: Path) -> None:
    """The operator, as a task runs it."""
    from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator

    orders = DotyposToObjectStorageOperator(
        task_id="orders",
        entity="orders",
        destination=f"file://{folder}",
        since=iso(moment(0)),
        until=iso(moment(rows)),
        settle=0,
    )
    orders.execute({"ti": SimpleNamespace(try_number=1)})  # type: ignore[typeddict-item]


def plain_loop(url: str, rows: int, folder: Path) -> None:
    """What one writes in an afternoon: one session, page numbers, the json module, a line a row."""
    import requests

    session = requests.Session()
    session.headers["Authorization"] = "Bearer benchmark"
    number = 0
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        while True:
            number += 1
            response = session.get(url + ORDERS, params={**_window(rows), "page": str(number)}, timeout=60)
            response.raise_for_status()
            page = response.json()["data"]
            for row in page:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if len(page) < PAGE:
                break
        file.flush()
        os.fsync(file.fileno())


def http_operator(url: str, rows: int, folder: Path) -> None:
    """HttpOperator with a pagination function; what it returns is then written, a line a row."""
    from airflow.providers.http.operators.http import HttpOperator

    def next_page(response: Any) -> dict[str, Any] | None:
        found = response.json()
        return {"data": {"page": int(found["currentPage"]) + 1}} if len(found["data"]) == PAGE else None

    orders = HttpOperator(
        task_id="orders",
        method="GET",
        endpoint=ORDERS,
        data={**_window(rows), "page": 1},
        headers={"Authorization": "Bearer benchmark"},
        pagination_function=next_page,
    )
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for page in orders.execute({}):
            for row in json.loads(page)["data"]:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def raw_socket(url: str, rows: int, folder: Path) -> None:
    """The limit: one socket, a request written by hand, the body into the file unseen."""
    host, port = url.removeprefix("http://").split(":")
    window = "&".join(f"{name}={value}" for name, value in _window(rows).items()).replace("|", "%7C")
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_connection((host, int(port))) as connection, (folder / "pages.jsonl").open("wb") as file:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(1, -(-rows // PAGE) + 1):
            connection.sendall(f"GET {ORDERS}?{window}&page={number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            filled = end = 0
            while not end or filled < end:
                filled += connection.recv_into(buffer[filled:])
                if not end and (start := bytes(buffer[: min(filled, 1024)]).find(b"\r\n\r\n") + 4) > 3:
                    head = bytes(buffer[:start]).lower()
                    end = start + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            file.write(buffer[start:end])
            file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())


CONTENDERS: dict[str, Extract] = {
    "ours": ours,
    "plain loop": plain_loop,
    "HttpOperator": http_operator,
    "raw socket": raw_socket,
}


def ids(folder: Path) -> Iterator[int]:
    """Yield the ids in what a contender wrote, in its order (ours through its manifest)."""
    for path in [*folder.glob("*.jsonl"), *_our_parts(folder)]:
        with path.open("rb") as file:
            for line in file:
                found = json.loads(line)
                for row in found.get("data", [found]):
                    yield int(row["id"])


def _our_parts(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*/*/*/manifest-*.json"):
        for part in json.loads(path.read_bytes())["parts"]:
            yield path.parent / part["name"]


def _window(rows: int) -> dict[str, str]:
    return {
        "filter": f"versionDate|gteq|{moment(0)};versionDate|lt|{moment(rows)}",
        "sort": "versionDate",
        "limit": str(PAGE),
    }


def _status(name: str) -> float:
    """Return a line of this process's memory in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def measure(contender: str, url: str, rows: int, folder: Path) -> dict[str, float]:
    """Run a contender: once on a page to warm up, then on `rows`; return what it took.

    :raises AssertionError: it didn't write each row once.
    """
    extract = CONTENDERS[contender]
    for name in ("warm", "work"):
        (folder / name).mkdir()
    extract(url, PAGE, folder / "warm")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far was the imports'
    baseline = _status("VmRSS")
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    extract(url, rows, folder / "work")
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    peak = _status("VmHWM")
    found = list(ids(folder / "work"))
    assert found == list(range(FIRST_ID, FIRST_ID + rows)), f"{contender} wrote {len(found)} rows, not {rows} once each"
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rows": rows, "seconds": seconds, "cpu": cpu, "peak": peak, "above": peak - baseline}


def environment(url: str, home: Path) -> dict[str, str]:
    """Return the environment of a contender: connections, and a home for Airflow that nobody else uses."""
    dotypos = {
        "conn_type": "dotypos",
        "host": url,
        "extra": {"refresh_token": "0" * 32, "cloud_id": str(CLOUD_ID)},
    }
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        # HttpHook logs a line a page; without it, it is measured at its best.
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW_CONN_DOTYPOS_DEFAULT": json.dumps(dotypos),
        "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps({"conn_type": "http", "host": url}),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("url")
    parser.add_argument("rows", type=int)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    result = measure(asked.contender, asked.url, asked.rows, asked.folder)
    (asked.folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
