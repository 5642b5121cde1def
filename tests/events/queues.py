"""A queue in front of Airflow: a real Redis, and the public program of the guide that fills it."""

from __future__ import annotations

import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import make_server

import pytest

from tests.fleet.services import processes, program, start_redis

GUIDE = Path(__file__).parents[2] / "docs/guides/webhooks-by-a-queue.md"

#: The asset and the channel of the example.
RUNG, BELL = "dotypos orders by a queue", "dotypos:orders:bell"


@contextmanager
def queue_of(folders: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run a Redis, and give the settings by which Airflow finds it; none if something is missing."""
    needed = ("airflow.providers.redis", "airflow.providers.common.messaging")
    if program("redis-server") is None or not all(importlib.util.find_spec(name) for name in needed):
        yield {}
        return
    with processes(folders.mktemp("redis")) as running:
        url = start_redis(running, folders.mktemp("redis-data") / "data")
        parts = urlsplit(url)
        found = {"conn_type": "redis", "host": parts.hostname, "port": parts.port, "password": parts.password}
        yield {"AIRFLOW_CONN_REDIS_DEFAULT": json.dumps(found), "REDIS_URL": url}


@contextmanager
def guide_program() -> Iterator[str]:
    """Serve the public program of the guide on loopback, and give its address."""
    (code,) = (text for text in re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S) if "wsgi" in text)
    known: dict[str, Any] = {}
    exec(compile(code, str(GUIDE), "exec"), known)
    with make_server("127.0.0.1", 0, known["application"]) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
