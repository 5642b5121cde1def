"""What the UI's Test button answers, asked through the very endpoint it posts to.

Tests `_airflow`, `api/check`.
"""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_dotypos.sandbox import Sandbox
from tests.certificate import write_certificate
from tests.ui.airflow_server import AirflowServer

CLIENT_SECRET = "5ecbe77e5ecbe77e"

Press = Callable[..., tuple[bool, str]]


@pytest.fixture
def press(airflow: AirflowServer, sandbox: Sandbox) -> Press:
    """Press Test on a connection to the sandbox with some fields replaced; whatever comes, it comes soon and is safe
    to show."""

    def press(*, extra: dict[str, Any] | None = None, **fields: object) -> tuple[bool, str]:
        connection = {**sandbox.connection(), "password": CLIENT_SECRET, **fields}
        connection["extra"] = {**connection["extra"], **(extra or {})}
        started = time.monotonic()
        status, message = airflow.press_test(connection)
        assert time.monotonic() - started < 60
        for secret in (str(connection["extra"].get("refresh_token")), sandbox.refresh_token, CLIENT_SECRET, "eyJ"):
            assert secret not in message
        return status, message

    return press


@contextmanager
def web_server(status: int, body: bytes, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve one answer to everything; yields the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 (http.server's names)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that hangs up on our certificate is what we want

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def self_signed(folder: Path) -> ssl.SSLContext:
    """Return a server's TLS context with a certificate that nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_certificate(folder))
    return context


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, so that nobody else gets it, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_good_connection_names_its_cloud(press: Press, sandbox: Sandbox):
    status, message = press()

    assert status is True
    assert message.startswith("Connected to cloud ")
    assert message.endswith(f"({sandbox.cloud_ids[0]})")


@pytest.mark.parametrize("kind", [int, str, float])
def test_the_cloud_id_may_be_a_number_or_text(press: Press, sandbox: Sandbox, kind: type):
    assert press(extra={"cloud_id": kind(sandbox.cloud_ids[1])})[0] is True


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_blank_fields_mean_the_same_as_absent_ones(press: Press, blank: str | None):
    assert press(extra={"timeout": blank, "requests_per_minute": blank, "max_concurrency": blank})[0] is True


@pytest.mark.parametrize("end", ["/", "/v2", "/v2/"])
def test_the_base_url_may_end_as_people_copy_it(press: Press, sandbox: Sandbox, end: str):
    assert press(host=sandbox.url + end)[0] is True


@pytest.mark.parametrize("port", [None, 0])
def test_no_port_and_the_forms_port_0_leave_the_base_urls_own(press: Press, sandbox: Sandbox, port: int | None):
    assert press(host=sandbox.url, port=port)[0] is True


def test_the_port_field_completes_a_base_url_without_one(press: Press, sandbox: Sandbox):
    assert press(host="http://127.0.0.1", port=urlsplit(sandbox.url).port)[0] is True


@pytest.mark.parametrize("blank", ["", None, "absent"])
def test_a_missing_cloud_id_lists_the_clouds_the_token_may_use(
    airflow: AirflowServer, sandbox: Sandbox, blank: str | None
):
    extra = {"refresh_token": sandbox.refresh_token, "cloud_id": blank}
    if blank == "absent":
        del extra["cloud_id"]

    status, message = airflow.press_test({**sandbox.connection(), "extra": extra})

    assert status is False
    assert "Cloud ID is missing" in message
    assert all(str(cloud) in message for cloud in sandbox.cloud_ids)
    assert str(sandbox.foreign_cloud_id) not in message


def test_a_wrong_token_says_where_to_get_a_good_one(press: Press):
    status, message = press(extra={"refresh_token": "0123456789abcdef" * 2})

    assert status is False
    assert "Refresh Token was refused" in message
    assert "Connect the cloud again" in message
    assert "Cloud ID" not in message


@pytest.mark.parametrize("cloud", ["foreign", 123456789])
def test_a_wrong_cloud_names_the_clouds_the_token_may_use(press: Press, sandbox: Sandbox, cloud: str | int):
    wrong = sandbox.foreign_cloud_id if cloud == "foreign" else cloud

    status, message = press(extra={"cloud_id": wrong})

    assert status is False
    assert f"Refresh Token is good, but not for Cloud ID {wrong}" in message
    assert all(str(cloud) in message for cloud in sandbox.cloud_ids)


@pytest.mark.parametrize("value", ["Bistro", -1, 2**31, True])
def test_a_cloud_id_that_is_none_is_told_before_anything_is_sent(press: Press, sandbox: Sandbox, value: object):
    status, message = press(extra={"cloud_id": value})

    assert status is False
    assert message.startswith("Cloud ID must be the cloud's number")
    assert not sandbox.requests


@pytest.mark.parametrize("field", ["timeout", "requests_per_minute", "request_budget", "max_concurrency"])
def test_a_bad_number_names_its_field(press: Press, field: str):
    status, message = press(extra={field: "many"})

    assert status is False
    assert message.startswith(field.replace("_", " ").capitalize())


def test_a_missing_token_names_its_field(airflow: AirflowServer, sandbox: Sandbox):
    status, message = airflow.press_test({**sandbox.connection(), "extra": {"refresh_token": None}})

    assert status is False
    assert message.startswith("Refresh Token is missing")


def test_an_unreachable_host_says_what_to_check(press: Press, closed_port: int):
    status, message = press(host=f"http://127.0.0.1:{closed_port}")

    assert status is False
    assert "can't be reached" in message
    assert "Check API base URL and Port" in message
    assert f"127.0.0.1:{closed_port}" in message


def test_https_to_a_server_without_tls_is_told_as_a_tls_failure(press: Press, sandbox: Sandbox):
    status, message = press(host=sandbox.url.replace("http://", "https://"))

    assert status is False
    assert message.startswith("TLS failed")
    assert "API base URL" in message


def test_an_untrusted_certificate_says_how_to_have_it_trusted(press: Press, tmp_path: Path):
    with web_server(200, b"{}", self_signed(tmp_path)) as url:
        status, message = press(host=url)

    assert status is False
    assert message.startswith("TLS failed")
    assert "certificate" in message
    assert "REQUESTS_CA_BUNDLE" in message


@pytest.mark.parametrize("answer", [200, 302, 400, 403, 404, 405, 501])
def test_a_server_that_is_not_dotypos_is_told_so(press: Press, answer: int):
    with web_server(answer, b"<html><h1>Welcome</h1></html>") as url:
        status, message = press(host=url)

    assert status is False
    assert "doesn't answer like Dotypos. " in message
    assert "API base URL in the Airflow connection" in message
    assert "Signed in" not in message
    assert "<html>" not in message


def test_http_to_another_machine_is_refused_before_anything_is_sent(press: Press, sandbox: Sandbox):
    status, message = press(host="http://api.dotykacka.cz")

    assert status is False
    assert "API base URL must start with https://" in message
    assert not sandbox.requests


def test_a_corrected_connection_works_at_once(press: Press):
    assert press(extra={"refresh_token": "0123456789abcdef" * 2})[0] is False
    assert press()[0] is True
