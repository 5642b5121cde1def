"""Cases that a reviewer thought of, each of which failed once (all of ``api``)."""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import error_for, redact
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.page import read_page
from airflow_provider_dotypos.api.query import conditions, filter_text
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.refusals import retry_after_seconds
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.api.drivers import DRIVERS
from tests.conftest import SHORT, NewClient
from tests.sleeping import retry_soon

#: What a scripted server answers: status, headers, body.
Script = Callable[[str, str], tuple[int, dict[str, str], bytes]]


class Scripted:
    """A server that answers as a test says, and counts what it was asked."""

    def __init__(self, script: Script, driver: type[DotyposClient]) -> None:
        self._driver = driver
        self.clients: list[DotyposClient] = []
        self.asked: list[tuple[str, str]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/v2/signin/token":
                    status, headers, body = 201, {}, b'{"accessToken": "a.b.c"}'
                else:
                    scripted.asked.append((self.command, self.path))
                    status, headers, body = script(self.command, self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def client(self, **fields: object) -> DotyposClient:
        extra = {"refresh_token": "0" * 32, "cloud_id": 1, "timeout": 5, **fields}
        self.clients.append(self._driver(Settings.from_fields(host=self.url, extra=extra), patience=SHORT))
        return self.clients[-1]


@pytest.fixture
def serve(driver: type[DotyposClient]) -> Iterator[Callable[[Script], Scripted]]:
    channel.forget_tokens()
    running: list[Scripted] = []

    def start(script: Script) -> Scripted:
        running.append(Scripted(script, driver))
        return running[-1]

    yield start
    for one in running:
        for client in one.clients:
            client.close()
        one.server.shutdown()
        one.server.server_close()
    channel.forget_tokens()


def rows_of(*moments: int) -> list[dict[str, str]]:
    return [{"id": str(moment), "versionDate": str(moment)} for moment in moments]


class BothDrivers:
    @pytest.fixture(params=DRIVERS)
    def driver(self, request: pytest.FixtureRequest) -> object:
        return DRIVERS[request.param]


class TestWrites(BothDrivers):
    @pytest.mark.parametrize("body", [b"done", b'[{"id": "1"'])
    def test_a_write_whose_answer_cannot_be_read_is_not_repeated(
        self, serve: Callable[[Script], Scripted], body: bytes
    ) -> None:
        server = serve(lambda method, path: (201, {}, body))
        with pytest.raises(errors.DotyposUnreadableAnswerError, match="it is done") as caught:
            server.client().call("POST", "tags", json=[{}], decode=Answer.json)
        error = caught.value
        assert (error.method, error.path, error.sent, error.status) == ("POST", "/v2/clouds/1/tags", True, 201)
        assert error.permanent
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        ("status", "body"),
        [*((status, b"") for status in (408, 500, 503, 520, 522, 524, 529)), (200, b"<html>"), (201, b"<html>")],
    )
    def test_no_failure_of_a_server_lets_a_write_be_repeated(
        self, serve: Callable[[Script], Scripted], status: int, body: bytes
    ) -> None:
        server = serve(lambda method, path: (status, {}, body))
        with pytest.raises(errors.DotyposUncertainWriteError) as caught:
            server.client().call("POST", "tags", json=[{}], decode=Answer.json)
        error = caught.value
        assert (error.method, error.path, error.sent, error.status) == ("POST", "/v2/clouds/1/tags", True, status)
        assert error.permanent
        assert len(server.asked) == 1

    def test_a_read_is_tried_again_whatever_5xx_a_proxy_makes_up(self, serve: Callable[[Script], Scripted]) -> None:
        answers = iter([(522, {}, b""), (529, {}, b""), (200, {}, b"{}")])
        server = serve(lambda method, path: next(answers))
        assert server.client().call("GET", "branches", decode=Answer.json) == {}


class TestWalks:
    def walk(self, server: Scripted, name: str = "orders") -> list[str]:
        return [row["id"] for row in Reader(server.client()).changes(name, Window(0, 10**9))]

    def test_one_empty_404_in_the_middle_ends_no_walk(self, serve: Callable[[Script], Scripted]) -> None:
        lists = iter([0, 1, 2])

        def script(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if "orders" not in path:
                return 200, {}, b'{"id": "1"}'
            turn = next(lists, 3)
            if turn == 1:
                return 404, {}, b""
            moments = range(1000, 101_000, 1000) if turn == 0 else range(100_000, 130_000, 1000)
            return 200, {}, msgspec.json.encode({"perPage": "100", "data": rows_of(*moments)})

        assert len(self.walk(serve(script))) == 129

    def test_a_cloud_that_vanishes_in_the_middle_is_an_error(self, serve: Callable[[Script], Scripted]) -> None:
        state = {"up": True}

        def script(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if not state["up"]:
                return 404, {}, b""
            if "orders" in path:
                state["up"] = False
                body = {"perPage": "100", "data": rows_of(*range(1000, 101_000, 1000))}
                return 200, {}, msgspec.json.encode(body)
            return 200, {}, b'{"id": "1"}'

        with pytest.raises(errors.DotyposNotFoundError, match="There is no cloud 1"):
            self.walk(serve(script))

    @pytest.mark.parametrize("body", [b"{}", b'{"status": "ok"}', b'{"id": "2", "name": "another"}'])
    def test_an_object_that_is_not_the_cloud_does_not_count_as_it(
        self, serve: Callable[[Script], Scripted], body: bytes
    ) -> None:
        answers = iter([body])
        empty: tuple[int, dict[str, str], bytes] = (404, {}, b"")
        server = serve(lambda method, path: empty if "orders" in path else (200, {}, next(answers, b'{"id": "1"}')))
        assert self.walk(server) == []
        with pytest.raises(errors.DotyposResponseError, match="isn't cloud 1"):
            self.walk(serve(lambda method, path: empty if "orders" in path else (200, {}, body)))

    @pytest.mark.parametrize("told", ["nothing", "total", "next page", "wrong size"])
    def test_a_server_that_caps_pages_without_saying_so_loses_nothing(
        self, serve: Callable[[Script], Scripted], told: str
    ) -> None:
        moments = [1000 * i for i in range(1, 221)]

        def script(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if "orders" not in path:
                return 200, {}, b'{"id": "1"}'
            terms = [term.split("|") for term in parse_qs(urlsplit(path).query)["filter"][0].split(";")]
            found = [m for m in moments if all(self.holds(m, *term[1:]) for term in terms)]
            page: Any = rows_of(*found[:50])
            more = len(found) > 50
            if told == "total":
                page = {"data": page, "totalItemsCount": str(len(found))}
            elif told == "next page":
                page = {"data": page, "nextPage": "2" if more else None}
            elif told == "wrong size":
                page = {"data": page, "perPage": "100", "nextPage": "2" if more else None}
            return 200, {}, msgspec.json.encode(page)

        ids = self.walk(serve(script))
        assert sorted(map(int, ids)) == moments

    @staticmethod
    def holds(moment: int, operator: str, value: str) -> bool:
        if operator == "notin":
            return str(moment) not in value.split(",")
        return moment >= int(value) if operator == "gteq" else moment < int(value)

    @pytest.mark.parametrize("told", ["total", "next page"])
    def test_numbered_pages_that_are_capped_without_saying_so_lose_nothing(
        self, serve: Callable[[Script], Scripted], told: str
    ) -> None:
        def script(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if "portions" not in path:
                return 200, {}, b'{"id": "1"}'
            number = int(parse_qs(urlsplit(path).query)["page"][0])
            page: dict[str, Any] = {"perPage": "100", "data": rows_of(*range(170)[(number - 1) * 50 : number * 50])}
            more = (
                {"totalItemsCount": "170"} if told == "total" else {"nextPage": str(number + 1) if number < 4 else None}
            )
            return 200, {}, msgspec.json.encode(page | more)

        reader = Reader(serve(script).client())
        assert len({row["id"] for row in reader.rows("portions")}) == 170
        assert len({row["id"] for row in reader.changes("portions", Window(0, 1))}) == 170

    def test_a_byte_order_mark_stops_no_walk(self, serve: Callable[[Script], Scripted]) -> None:
        body = b"\xef\xbb\xbf" + msgspec.json.encode({"perPage": "100", "data": rows_of(1000, 2000)})
        server = serve(lambda method, path: (200, {}, body if "orders" in path else b'{"id": "1"}'))
        assert self.walk(server) == ["1000", "2000"]
        assert len(server.asked) == 1

    def test_a_time_that_java_wrote_stops_no_walk(self, serve: Callable[[Script], Scripted]) -> None:
        rows = [
            {"id": "1", "versionDate": "1970-01-01T00:01Z"},
            {"id": "2", "versionDate": "1970-01-01T01:02:00+01:00[Europe/Prague]"},
            {"id": "3", "versionDate": "1970-01-01T00:02:00.001Z"},
        ]
        body = msgspec.json.encode({"perPage": "100.0", "totalItemsCount": "3.0", "data": rows})
        server = serve(lambda method, path: (200, {}, body if "orders" in path else b'{"id": "1"}'))
        assert self.walk(server) == ["1", "2", "3"]

    def test_a_list_that_ignores_page_numbers_ends(self, serve: Callable[[Script], Scripted]) -> None:
        body = msgspec.json.encode({"perPage": "100", "data": rows_of(*range(1, 101))})

        def script(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            return 200, {}, body if "portions" in path else b'{"id": "1"}'

        server = serve(script)
        with pytest.raises(errors.DotyposWalkError, match="page 2 repeats page 1"):
            self.walk(server, "portions")
        assert len(server.asked) < 10

    def test_a_warehouse_that_is_deleted_while_they_are_listed_is_walked_once(
        self, serve: Callable[[Script], Scripted]
    ) -> None:
        def script(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if path.endswith("/clouds/1"):
                return 200, {}, b'{"id": "1"}'
            if "/warehouses?" in path:
                return 200, {}, b'{"perPage": "100", "data": [{"id": "7"}]}'
            empty = "gteq%7C0" not in path or "deleted" in path
            rows = [] if empty else [{"id": "1", "stockStatusVersiondate": "5", "versionDate": "5"}]
            return 200, {}, msgspec.json.encode({"perPage": "100", "data": rows if "sort=stock" in path else []})

        assert self.walk(serve(script), "warehouse-products") == ["1"]

    def test_a_filter_given_as_a_generator_holds_on_every_page(self, sandbox: Sandbox, new_client: NewClient) -> None:
        for i in range(150):
            sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"paid": True, "note": str(i)})
            sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"paid": False})
        triples = (triple for triple in [("paid", "eq", True)])
        assert len(list(Reader(new_client()).rows("orders", filter=triples))) == 150


class TestTimes:
    def test_pendulum_datetimes_are_times_like_any_other(self) -> None:
        pendulum = pytest.importorskip("pendulum")
        moment = pendulum.datetime(2026, 1, 1, 1, tz="Europe/Prague")
        assert Window.of(moment, moment.add(hours=1)).since == 1767225600000
        assert (
            filter_text(conditions(find_entity("orders"), [("created", "gteq", moment)]))
            == "created|gteq|1767225600000"
        )

    def test_datetimes_of_any_library_can_be_sent_in_a_body(self, serve: Callable[[Script], Scripted]) -> None:
        pendulum = pytest.importorskip("pendulum")
        server = serve(lambda method, path: (200, {}, b"{}"))
        client = server.client()
        assert client.call("POST", "x", json={"at": pendulum.datetime(2026, 1, 1)}, decode=Answer.json) == {}
        with pytest.raises(errors.DotyposInputError, match="json can't be sent"):
            client.call("POST", "x", json={"at": object()}, decode=Answer.json)

    @pytest.mark.parametrize("value", ["", "None", "null"])
    def test_a_time_that_rendered_to_nothing_is_not_the_beginning_of_time(self, value: str) -> None:
        with pytest.raises(errors.DotyposInputError, match="since"):
            Window.of(value, "2026-01-01T00:00:00Z")

    @pytest.mark.parametrize("value", ["None", "null", " "])
    def test_a_cloud_that_rendered_to_nothing_is_not_another_cloud(self, value: str) -> None:
        with pytest.raises(errors.DotyposInputError, match="cloud_id"):
            Settings.from_fields(extra={"refresh_token": "x" * 32, "cloud_id": 5}, cloud_id=value)

    @pytest.mark.parametrize(
        ("value", "most"),
        [("1767225600000", 86_400), ("1767225600", 86_400), ("9" * 400, None), ("86401", 86_400), ("1e99", None)],
    )
    def test_an_absurd_retry_after_overflows_nothing(self, value: str, most: float | None) -> None:
        seconds = retry_after_seconds(value)
        assert seconds is None if most is None else seconds is not None and seconds <= most
        assert error_for("GET", "/x", 429, {"Retry-After": value}, b"")


class TestTransport(BothDrivers):
    def test_a_handshake_that_breaks_off_passes(self, driver: type[DotyposClient]) -> None:
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        accepted = []

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(1)
                connection.recv(1)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        extra = {"refresh_token": "x" * 32, "cloud_id": 1}
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        client = driver(Settings.from_fields(host=url, extra=extra), patience=Patience(2, 2))
        with pytest.raises(errors.DotyposConnectionError) as caught:
            client.call("POST", "tags", json=[], decode=Answer.json)
        listener.close()
        assert not isinstance(caught.value, errors.DotyposTlsError)
        assert len(accepted) > 1

    @pytest.mark.parametrize("driver", [DotyposClient])
    def test_a_killed_client_starts_no_further_request(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client()
        client.call("GET", "branches", decode=Answer.json)
        client.cancel()
        asked = len(sandbox.requests)
        with pytest.raises(errors.DotyposCancelledError):
            client.call("GET", "branches", decode=Answer.json)
        assert len(sandbox.requests) == asked

    @pytest.mark.parametrize(
        "arguments",
        [
            {"params": "limit=3"},
            {"headers": "x"},
            {"headers": {"X": "a\nb"}},
            {"headers": {"X": None}},
            {"headers": {"X": "žluť"}},
            {"headers": {"X y": "a"}},
        ],
        ids=str,
    )
    def test_what_no_request_can_hold_is_refused(self, new_client: NewClient, arguments: Any) -> None:
        with pytest.raises(errors.DotyposInputError):
            new_client().call("GET", "branches", decode=Answer.json, **arguments)

    def test_a_redirect_to_nonsense_is_an_error_of_ours(self, serve: Callable[[Script], Scripted]) -> None:
        server = serve(lambda method, path: (302, {"Location": "http://[::1"}, b""))
        with pytest.raises(errors.DotyposResponseError, match="not followed") as caught:
            server.client().call("GET", "branches", decode=Answer.json)
        assert caught.value.permanent

    def test_a_zipped_answer_is_read_whole(self, serve: Callable[[Script], Scripted]) -> None:
        import gzip

        content = {"data": rows_of(*range(2000))}
        zipped = gzip.compress(json.dumps(content).encode())
        server = serve(lambda method, path: (200, {"Content-Encoding": "gzip"}, zipped))
        assert server.client().call("GET", "branches", decode=Answer.json) == content

    def test_a_forked_child_passes_a_gate_whose_lock_the_parent_held(self) -> None:
        gate = channel.open_channel(Settings("http://fork.invalid", "r" * 32)).lane(1).gate
        with gate._lock:
            child = os.fork()
            if child == 0:
                gate.close(0)
                os._exit(0)
            _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


class TestSecrets:
    def test_a_reason_and_a_field_are_masked_like_all_that_comes_from_outside(self) -> None:
        secret = "refreshtoken0123456789"
        body = msgspec.json.encode(
            {"reason": f"BAD {secret}", "violations": [{"fieldName": secret, "message": secret}]}
        )
        error = error_for("GET", "/x", 400, {}, body, [secret])
        assert secret not in str(error)
        assert isinstance(error, errors.DotyposValidationError)
        assert secret not in str(error.violations)

    def test_prose_is_left_alone(self) -> None:
        assert redact("user not found") == "user not found"


class TestPages:
    def test_ids_of_64_bits_are_read(self) -> None:
        assert read_page(b'[{"id": "9223372036854775807"}]', None).ids == ["9223372036854775807"]

    @pytest.mark.parametrize("value", [True, "true", "1", 1])
    def test_a_marker_is_read_however_it_is_written(self, value: object) -> None:
        assert list(read_page(msgspec.json.encode([{"id": 1, "deleted": value}]), None).deleted) == [True]

    def test_blanks_and_a_trailing_separator_change_nothing(self) -> None:
        for text in ("paid|eq|true", "paid | eq | true ", "paid|eq|true;", " paid|eq|true ; "):
            assert filter_text(conditions(find_entity("orders"), text)) == "paid|eq|true"
        assert filter_text(conditions(find_entity("orders"), "_branchId|in|1, 2")) == "_branchId|in|1,2"
        assert filter_text(conditions(find_entity("orders"), "note|like| a ")) == "note|like| a "


@pytest.mark.parametrize("driver", DRIVERS.values())
def test_a_server_without_tls_is_still_a_tls_error(sandbox: Sandbox, new_client: NewClient) -> None:
    assert ssl.OPENSSL_VERSION
    with pytest.raises(errors.DotyposTlsError):
        new_client(host=sandbox.url.replace("http:", "https:")).call("GET", "branches", decode=Answer.json)


def test_a_throttled_walk_is_not_given_up(
    sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry_soon(monkeypatch)
    sandbox.faults.append(Fault("429", path="orders", times=3))
    assert list(Reader(new_client(Patience(20, 20))).changes("orders", Window(0, 1000))) == []
