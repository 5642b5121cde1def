"""`transport`, `http`, `environment`: one request over real sockets, whatever server, environment and process do."""

from __future__ import annotations

import gc
import gzip
import json
import multiprocessing
import os
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api.auth import sign_in_request
from airflow_provider_dotypos.api.channel import open_channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.http import LARGEST_ANSWER, Answer, Request
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.transport import Transport
from tests.api.conftest import PASSWORD
from tests.api.drivers import DRIVERS, OnLoop
from tests.api.hostile import (
    DRIPS,
    FLOODS,
    HEAD,
    MIB,
    RawServer,
    Script,
    answering,
    bomb,
    cost_of,
    endlessly,
    numbered,
    whole,
)
from tests.sleeping import retry_soon

TIMEOUT = 0.5
#: A busy machine's slack. Without a bound, what these servers do takes a minute or has no end.
SLACK = 30.0


def ask(url: str, *, method: str = "GET", body: bytes | None = None, timeout: float = TIMEOUT) -> Answer:
    return send(Transport(url, ()), f"{url}/v2/x?y=z", method=method, body=body, timeout=timeout)


def send(
    transport: Transport, url: str, *, method: str = "GET", body: bytes | None = None, timeout: float = 5.0
) -> Answer:
    return transport.send(Request(method, urlsplit(url).path, url, body=body, timeout=timeout))


class TestDeadline:
    @pytest.mark.parametrize("name", DRIPS)
    def test_whatever_drips_in_a_call_ends_in_its_time(
        self, server_for: Callable[[Script], RawServer], name: str
    ) -> None:
        with server_for(DRIPS[name]) as server:
            started = time.monotonic()
            with pytest.raises(errors.DotyposConnectionError, match="it took too long") as caught:
                ask(server.url)
            assert time.monotonic() - started < TIMEOUT + SLACK
        assert caught.value.sent
        assert caught.value.passing

    def test_a_server_that_reads_nothing_ends_a_call_in_its_time(
        self, server_for: Callable[[Script], RawServer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RawServer, "_read_request", lambda self, connection: self.pause(60))
        with server_for(answering(b"")) as server:
            started = time.monotonic()
            with pytest.raises(errors.DotyposConnectionError) as caught:
                ask(server.url, method="POST", body=bytes(64 * MIB))
            assert time.monotonic() - started < TIMEOUT + SLACK
        assert caught.value.sent

    def test_a_handshake_that_is_never_answered_ends_in_time_with_nothing_sent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            started = time.monotonic()
            with pytest.raises(errors.DotyposConnectionError) as caught:
                ask(f"https://127.0.0.1:{silent.getsockname()[1]}", method="POST", body=b"{}")
            assert time.monotonic() - started < TIMEOUT + SLACK
        assert not caught.value.sent

    def test_a_short_time_left_of_one_call_is_not_held_against_the_next(self) -> None:
        def script(server: RawServer, head: bytes) -> Iterable[bytes]:
            server.pause(0.8)
            return [whole(b"1")]

        with RawServer(script) as server:
            one = Transport(server.url, ())
            for timeout in (1.0, 3.0):
                assert send(one, f"{server.url}/v2/x", method="POST", body=b"{}", timeout=timeout).body == b"1"
            assert server.connections == 1


class TestSize:
    @pytest.mark.parametrize("driver", DRIVERS)
    @pytest.mark.parametrize("name", FLOODS)
    def test_whatever_comes_memory_and_time_are_bounded(self, name: str, driver: str) -> None:
        cost = cost_of(FLOODS[name], timeout=1.0, driver=driver)
        assert cost.seconds < 1.0 + SLACK
        assert cost.mib < LARGEST_ANSWER / MIB * 1.5
        assert cost.outcome.startswith("Dotypos") or name == "gzip in gzip of 1.5 GB"

    def test_the_bound_is_told_and_trying_again_does_not_help(self) -> None:
        zipped = HEAD + b"Content-Encoding: gzip\r\n"
        with (
            RawServer(answering(whole(bomb(LARGEST_ANSWER * 2), zipped))) as server,
            pytest.raises(errors.DotyposAnswerTooLargeError, match="larger than 64 MiB") as caught,
        ):
            ask(server.url, timeout=20)
        assert not caught.value.passing

    @pytest.mark.parametrize("packed", [False, True], ids=["as it is", "zipped"])
    def test_an_answer_up_to_the_bound_is_read_whole(self, packed: bool) -> None:
        body = bytes(LARGEST_ANSWER)
        sent = gzip.compress(body, 1) if packed else body
        head = HEAD + b"Content-Encoding: gzip\r\n" if packed else HEAD
        with RawServer(answering(whole(sent, head))) as server:
            assert ask(server.url, timeout=20).body == body

    def test_zipped_answers_may_come_in_several_members(self) -> None:
        members = gzip.compress(b"[1,") + gzip.compress(b"2]")
        with RawServer(answering(whole(members, HEAD + b"Content-Encoding: GZIP\r\n"))) as server:
            assert ask(server.url).json() == [1, 2]

    def test_a_token_needs_no_such_room(self) -> None:
        endless = HEAD + b"\r\n"

        def script(server: RawServer, head: bytes) -> Iterator[bytes]:
            yield endless
            yield from endlessly(b" " * 65536)

        with RawServer(script) as server:
            request = sign_in_request(Settings(f"{server.url}/x", "r" * 32), None)
            with pytest.raises(errors.DotyposAnswerTooLargeError, match="larger than 1 MiB"):
                Transport(server.url, ()).send(replace(request, url=f"{server.url}/x"))


class TestAnswers:
    def test_interim_answers_are_not_taken_for_the_answer(self) -> None:
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        count = iter(range(100))

        def script(server: RawServer, head: bytes) -> Iterator[bytes]:
            yield hints
            server.pause(0.05)
            yield whole(b"%d" % next(count))

        with RawServer(script) as server:
            one = Transport(server.url, ())
            bodies = [send(one, f"{server.url}/v2/x").body for _ in range(4)]
        assert bodies == [b"0", b"1", b"2", b"3"]

    @pytest.mark.parametrize("body", [b'{"a": 1}', b"[]", b"", b"  "])
    def test_a_byte_order_mark_changes_nothing(self, body: bytes) -> None:
        assert Answer(200, {}, b"\xef\xbb\xbf" + body).json() == Answer(200, {}, body).json()

    @pytest.mark.parametrize(
        "body", [b'{"note": "\xe1"}', rb'{"note": "\ud800"}'], ids=["no utf-8", "half a character"]
    )
    def test_a_character_that_is_lost_costs_no_more_than_itself(self, body: bytes) -> None:
        assert Answer(200, {}, body).json() == {"note": "�"}

    @pytest.mark.parametrize(
        "body",
        [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"[" + b"9" * 5000 + b"]", b"1e999", b"\xff"],
        ids=["deep", "deep objects", "digits", "digits within", "exponent", "no utf-8"],
    )
    def test_what_can_not_be_held_is_an_error_of_the_family(self, body: bytes) -> None:
        with pytest.raises(errors.DotyposResponseError, match="not JSON"):
            Answer(200, {}, body).json()

    def test_an_error_holds_little_of_a_foreign_header_and_no_secret(self) -> None:
        kind = "text/html; token=abcdefghijklmnop " + "x" * 60_000
        with pytest.raises(errors.DotyposResponseError) as caught:
            Answer(200, {"Content-Type": kind}, b"<").json()
        assert len(str(caught.value)) < 400
        assert "abcdefgh" not in str(caught.value)

    @settings(max_examples=60, deadline=None)
    @given(
        status=st.sampled_from([b"200 OK", b"000", b"-1", b"99999", b"204 ", b"304 x", b"101 y", b"2e2", b"\xff", b""]),
        headers=st.lists(
            st.tuples(
                st.sampled_from(
                    [b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Connection", b"X", b""]
                ),
                st.one_of(
                    st.sampled_from([b"0", b"-5", b"9" * 5000, b"3, 3", b"3, 4", b"chunked", b"gzip", b"br", b"close"]),
                    st.binary(max_size=20),
                ),
            ),
            max_size=4,
        ),
        body=st.one_of(
            st.binary(max_size=40), st.sampled_from([b"-5\r\nabc", b"f" * 70_000, b"ffffffffffffffffff\r\n1"])
        ),
    )
    def test_any_bytes_are_an_answer_or_an_error_of_the_family(
        self, status: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)

        def script(server: RawServer, head: bytes) -> Iterator[bytes]:
            yield b"HTTP/1.1 " + status + b"\r\n" + lines + b"\r\n" + body
            raise ConnectionAbortedError

        with RawServer(script) as server:
            told = ""
            try:
                assert ask(server.url, timeout=1).status >= 200
            except errors.DotyposConnectionError as error:
                told = str(error)
            assert len(told) < 500


def wrong_answers(one: Transport, url: str, who: str, calls: int = 40) -> int:
    """Return how many answers were meant for somebody else."""
    paths = [f"/v2/{who}/{number}" for number in range(calls)]
    return sum(send(one, url + path).body != path.encode() for path in paths)


#: What a forked worker has of its parent, without pickling.
inherited: list[tuple[Transport, str]] = []


def wrong_answers_of_a_worker(who: str) -> int:
    one, url = inherited[0]
    return wrong_answers(one, url, who)


class TestForks:
    def test_parent_and_children_read_their_own_answers(self, server_for: Callable[[Script], RawServer]) -> None:
        with server_for(numbered) as server:
            one = open_channel(Settings(server.url, "r" * 32)).transport()
            assert wrong_answers(one, server.url, "before") == 0
            children = []
            for number in range(3):
                child = os.fork()
                if child == 0:
                    wrong = 99
                    try:
                        wrong = wrong_answers(one, server.url, f"child{number}")
                    finally:
                        os._exit(wrong)
                children.append(child)
            assert wrong_answers(one, server.url, "parent") == 0
            assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
            connected = server.connections
            assert wrong_answers(one, server.url, "afterwards") == 0
            assert server.connections == connected  # the parent's own connection outlived its children

    def test_a_pool_of_forked_workers_reads_its_own_answers(self) -> None:
        with RawServer(numbered) as server:
            one = open_channel(Settings(server.url, "r" * 32)).transport()
            with ThreadPoolExecutor(4) as threads:  # several idle connections to inherit
                assert sum(threads.map(lambda who: wrong_answers(one, server.url, f"thread{who}"), range(4))) == 0
            with multiprocessing.get_context("fork").Pool(4, inherited.append, ((one, server.url),)) as workers:
                parts = [workers.apply_async(wrong_answers_of_a_worker, (f"worker{n}",)) for n in range(8)]
                assert wrong_answers(one, server.url, "parent") == 0
                assert [part.get(60) for part in parts] == [0] * 8

    def test_a_child_waits_for_no_lock_of_another_thread(self) -> None:
        with RawServer(numbered) as server:
            one = open_channel(Settings(server.url, "r" * 32)).transport()
            with one._idle.mutex:
                child = os.fork()
                if child == 0:
                    wrong = 99
                    try:
                        wrong = wrong_answers(one, server.url, "child")
                    finally:
                        os._exit(wrong)
                _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0

    def test_connections_are_shared_by_clients_and_go_with_the_last_one(self) -> None:
        with RawServer(numbered) as server:
            settings = Settings(server.url, "r" * 32)
            first, second = DotyposClient(settings), DotyposClient(settings)
            assert first._transport is second._transport
            for client in (first, second):
                assert client.call("GET", "/clouds", decode=lambda answer: answer.body) == b"/v2/clouds"
            assert server.connections == 1
            first.close()  # breaks nothing of the other
            assert second.call("GET", "/clouds", decode=lambda answer: answer.body) == b"/v2/clouds"
            gone = weakref.ref(first._transport)
            del first, second, client
            gc.collect()
            assert gone() is None


class TestEnvironment:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
    @pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
    def test_this_machine_is_never_asked_through_a_proxy(
        self, proxy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, host: str, variable: str
    ) -> None:
        address, seen = proxy
        monkeypatch.setenv(variable, address)
        with RawServer(answering(whole(b"1")), interface="0.0.0.0") as server:
            assert ask(f"http://{host}:{server.port}").body == b"1"
        assert seen == []

    def test_a_password_that_a_proxy_refuses_is_permanent_and_names_the_variable(
        self, proxy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address, seen = proxy
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(errors.DotyposEnvironmentError, match=r"HTTPS_PROXY.*407") as caught:
            ask("https://api.example.invalid")
        assert caught.value.permanent
        assert PASSWORD not in str(caught.value)
        assert len(seen) == 1

    @pytest.mark.parametrize("driver", [DotyposClient, OnLoop])
    def test_a_host_that_a_proxy_can_not_reach_is_tried_for_a_short_time(
        self, driver: type[DotyposClient] | type[OnLoop], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The proxy's own answer doesn't show that the address is right."""
        retry_soon(monkeypatch)
        stranger = Settings("https://api.example.invalid", "r" * 32, 5)
        with RawServer(numbered, tunnel=b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as server:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
            client = driver(stranger, patience=Patience(faults=60, unreachable=0.05))
            with pytest.raises(errors.DotyposConnectionError, match=r"502 Bad Gateway\. Check API base URL") as caught:
                client.call("GET", "branches", decode=Answer.json)
            client.close()
        assert caught.value.unreachable
        assert "whether the proxy in HTTPS_PROXY lets calls through" in str(caught.value)

    def test_calls_go_through_a_proxy_to_a_server_that_is_trusted(
        self, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        url = "https://api.example.invalid"
        with RawServer(numbered, context, tunnel=b"HTTP/1.1 200 Connection established\r\n\r\n") as server:
            for connected, scheme in enumerate(("http://", ""), 1):
                monkeypatch.setenv("HTTPS_PROXY", f"{scheme}user:{PASSWORD}@127.0.0.1:{server.port}")
                one = Transport(url, ())
                assert wrong_answers(one, url, "proxied", 5) == 0
                assert server.connections == connected

    def test_a_proxy_that_never_comes_to_an_end_ends_a_call_in_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with RawServer(DRIPS["header"]) as server:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
            started = time.monotonic()
            with pytest.raises(errors.DotyposConnectionError, match="it took too long") as caught:
                ask("https://api.example.invalid", method="POST", body=b"{}")
            assert time.monotonic() - started < TIMEOUT + SLACK
        assert not caught.value.sent

    def test_a_proxy_that_is_away_may_come_back_and_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            monkeypatch.setenv("https_proxy", f"http://user:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(errors.DotyposConnectionError, match="through the proxy in https_proxy") as caught:
                ask("https://api.example.invalid", method="POST", body=b"{}")
        assert caught.value.passing
        assert not caught.value.sent
        assert PASSWORD not in str(caught.value)
        assert "in https_proxy: Failed to establish a new connection: " in str(caught.value)
        assert "Check the proxy in https_proxy" in str(caught.value)
        assert caught.value.unreachable

    @pytest.mark.parametrize(
        ("address", "cure"),
        [
            (f"socks5://user:{PASSWORD}@127.0.0.1:9", "PySocks"),
            (f"http://user:{PASSWORD}@proxy host:x", "must look like"),
            (f"http://user:{PASSWORD}@:3128", "must look like"),
            (f"http://user:{PASSWORD}@[::1", "must look like"),
            (f"http://user:{PASSWORD}@proxy:99999", "must look like"),
            (f"ftp://user:{PASSWORD}@proxy", "must look like"),
        ],
    )
    @pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
    def test_a_proxy_that_can_not_be_used_is_permanent_and_names_the_variable(
        self, monkeypatch: pytest.MonkeyPatch, address: str, cure: str, variable: str
    ) -> None:
        monkeypatch.setenv(variable, address)
        with pytest.raises(errors.DotyposEnvironmentError, match=variable) as caught:
            Transport("https://api.example.invalid", ())
        assert caught.value.permanent
        assert cure in str(caught.value)
        assert PASSWORD not in str(caught.value)
        assert Transport("http://127.0.0.1:9", ())  # where it isn't needed it does no harm

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    @pytest.mark.parametrize("kind", ["absent", "empty", "no certificates"])
    def test_certificates_that_can_not_be_read_are_permanent_and_name_the_variable(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, kind: str
    ) -> None:
        path = tmp_path / "ca.pem"
        if kind != "absent":
            path.write_text("" if kind == "empty" else "certificates")
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(errors.DotyposEnvironmentError, match=rf"{variable} names .*ca\.pem") as caught:
            Transport("https://api.example.invalid", ())
        assert caught.value.permanent
        assert Transport("http://127.0.0.1:9", ())

    def test_a_certificate_that_nobody_vouches_for_sends_nothing(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with (
            RawServer(answering(whole(b"1")), context) as server,
            pytest.raises(errors.DotyposTlsError, match="no trusted TLS connection") as caught,
        ):
            ask(server.url, method="POST", body=b"{}")
        assert caught.value.permanent
        assert not caught.value.sent

    def test_a_worker_set_up_wrong_fails_an_extraction_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from airflow_provider_dotypos._compat import fail_exception
        from airflow_provider_dotypos.operators.dotypos import DotyposOperator

        extra = {"refresh_token": "r" * 32, "cloud_id": 1}
        monkeypatch.setenv(
            "AIRFLOW_CONN_DOTYPOS_DEFAULT",
            json.dumps({"conn_type": "dotypos", "host": "https://api.example.invalid", "extra": extra}),
        )
        monkeypatch.setenv("ALL_PROXY", f"socks5://user:{PASSWORD}@127.0.0.1:9")
        with pytest.raises(fail_exception(), match="ALL_PROXY") as caught:
            DotyposOperator(task_id="t", method="GET", path="branches").execute({})
        assert PASSWORD not in str(caught.value)
        assert "connection 'dotypos_default'" in str(caught.value)


def test_a_server_that_is_not_there_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(errors.DotyposConnectionError) as caught:
        ask(f"http://127.0.0.1:{port}")
    assert f"no whole answer from 127.0.0.1:{port}: Failed to establish a new connection" in str(caught.value)
    assert "API base URL" in str(caught.value)
