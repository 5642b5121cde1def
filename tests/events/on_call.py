"""A DAG that fails in several ways, and the channel that its messages come by: a small HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: A cloud that the token isn't for.
FOREIGN = 999

DAG_FILE = """
import json
import urllib.request
from datetime import timedelta

from airflow.sdk import DAG, BaseNotifier, task

from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.notifications.failure import DotyposFailureNotifier
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator


class Post(BaseNotifier):
    template_fields = ("subject", "text")

    def __init__(self):
        super().__init__()
        self.subject = "{{{{ dotypos_subject }}}}"
        self.text = "{{{{ dotypos_message }}}}"

    def notify(self, context):
        body = json.dumps({{"subject": self.subject, "message": self.text}}).encode()
        urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open("{url}", body, timeout=60).close()


on_call = DotyposFailureNotifier(Post())

with DAG("on_call", schedule=None, on_failure_callback=on_call):
    DotyposToObjectStorageOperator(
        task_id="orders",
        entity="orders",
        destination="{lake}",
        since="2026-03-01T00:00:00Z",
        until="2026-03-02T00:00:00Z",
        cloud_id={foreign},
        retries=2,
        on_failure_callback=on_call,
    )

    @task(retries=1, retry_delay=timedelta(seconds=1), on_retry_callback=on_call, on_failure_callback=on_call)
    def own():
        DotyposHook(cloud_id={foreign}).get("branches", 1)

    @task
    def branches():
        return len(list(DotyposHook().rows("branches")))

    own()
    branches()
"""


class Messages:
    """What has come by the channel.

    :ivar url: where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._received: list[dict[str, str]] = []
        self._lock = threading.Lock()

    def add(self, body: bytes) -> None:
        """Take a message."""
        with self._lock:
            self._received.append(json.loads(body))

    def by_subject(self, begin: str) -> list[str]:
        """Return the messages whose subjects begin with a text."""
        with self._lock:
            return [each["message"] for each in self._received if each["subject"].startswith(begin)]


@contextmanager
def channel() -> Iterator[Messages]:
    """Run the channel until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.add(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    messages = Messages(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield messages
    finally:
        server.shutdown()
        server.server_close()
