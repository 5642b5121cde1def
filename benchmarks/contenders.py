"""Ways to write the rows of a window to files, with packages of our environment; ``peers`` has the others."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.child import Job
from benchmarks.orders import CLOUD_ID, PAGE, PATH, iso


def ours(job: Job, **arguments: Any) -> None:
    """Run the operator as a task does.

    :param arguments: further arguments of the operator.
    """
    from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator

    orders = DotyposToObjectStorageOperator(
        task_id="orders",
        entity="orders",
        destination=f"file://{job.folder}",
        since=iso(job.since),
        until=iso(job.until),
        settle=0,
        **arguments,
    )
    with redirect_stdout(sys.stderr):  # Airflow prints a notice that no task runs this
        orders.execute({"ti": SimpleNamespace(try_number=1)})  # type: ignore[typeddict-item]


def ours_without_looking(job: Job, **arguments: Any) -> None:
    """Run the operator as `ours` does, but look at no row for fields that aren't known."""
    from airflow_provider_dotypos.transfers.files.sink import FileSink

    FileSink.look = lambda *_: None  # type: ignore[assignment, method-assign]
    ours(job, **arguments)


def plain_loop(job: Job) -> None:
    """Extract as in a simple script: one session, page numbers, the json module, one row per line."""
    import requests

    session = requests.Session()
    session.headers["Authorization"] = "Bearer benchmark"
    number = 0
    with (job.folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        while True:
            number += 1
            response = session.get(job.url + PATH, params={**job.query(), "page": str(number)}, timeout=60)
            response.raise_for_status()
            page = response.json()["data"]
            for row in page:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if len(page) < PAGE:
                break


def http_operator(job: Job) -> None:
    """Extract by HttpOperator with a pagination function; its result is then written, one row per line."""
    from airflow.providers.http.operators.http import HttpOperator

    def next_page(response: Any) -> dict[str, Any] | None:
        found = response.json()
        return {"data": {"page": int(found["currentPage"]) + 1}} if len(found["data"]) == PAGE else None

    orders = HttpOperator(
        task_id="orders",
        method="GET",
        endpoint=PATH,
        data={**job.query(), "page": 1},
        headers={"Authorization": "Bearer benchmark"},
        pagination_function=next_page,
    )
    with (job.folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for page in orders.execute({}):
            for row in json.loads(page)["data"]:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def raw_sockets(job: Job, connections: int = 1) -> None:
    """Show the limit: hand-written requests, bodies copied to files unseen, a socket and a thread per connection."""
    pages = range(1, -(-job.rows // PAGE) + 1)
    threads = [
        threading.Thread(target=_raw_socket, args=(job, pages[number::connections], job.folder / f"{number}.jsonl"))
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _raw_socket(job: Job, pages: range, path: Path) -> None:
    host, port = job.url.removeprefix("http://").split(":")
    window = "&".join(f"{name}={value}" for name, value in job.query().items()).replace("|", "%7C")
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_connection((host, int(port))) as connection, path.open("wb") as file:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in pages:
            connection.sendall(f"GET {PATH}?{window}&page={number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            filled = end = 0
            while not end or filled < end:
                filled += connection.recv_into(buffer[filled:])
                if not end and (start := bytes(buffer[: min(filled, 1024)]).find(b"\r\n\r\n") + 4) > 3:
                    head = bytes(buffer[:start]).lower()
                    end = start + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            file.write(buffer[start:end])
            file.write(b"\n")


def environment(url: str, home: Path) -> dict[str, str]:
    """Return the environment of a contender: connections, and an Airflow home of its own."""
    dotypos = {
        "conn_type": "dotypos",
        "host": url,
        "extra": {"refresh_token": "0" * 32, "cloud_id": str(CLOUD_ID)},
    }
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        # HttpHook logs one line per page; without that it runs at its best.
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW_CONN_DOTYPOS_DEFAULT": json.dumps(dotypos),
        "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps({"conn_type": "http", "host": url}),
    }
