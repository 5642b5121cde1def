"""``aclient``, ``idle``: what a call on a loop does that one in a thread can't, and the same bounds on any server."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import channel, idle
from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
from airflow_provider_dotypos.api.http import LARGEST_ANSWER, Answer, Request
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.sandbox import Sandbox
from tests.api.conftest import PASSWORD
from tests.api.hostile import DRIPS, HEAD, MIB, RawServer, answering, bomb, numbered, whole
from tests.api.test_transport import SLACK, TIMEOUT

T = TypeVar("T")


@pytest.fixture(autouse=True)
def clean_start() -> Iterator[None]:
    channel.forget_tokens()
    yield
    channel.forget_tokens()


def with_client(url: str, use: Callable[[AsyncDotyposClient], Awaitable[T]], **settings: Any) -> T:
    async def main() -> T:
        made = AsyncDotyposClient(Settings(url, "r" * 32, cloud_id=1, **settings), patience=Patience(0, 0))
        async with aclosing(made) as client:
            return await use(client)

    return asyncio.run(main())


def ask(url: str, *, method: str = "GET", body: bytes | None = None, timeout: float = TIMEOUT) -> Answer:
    """Send one request, as ``Transport.send`` does."""
    return with_client(url, lambda client: client._send(Request(method, "/v2/x", f"{url}/v2/x", {}, body, timeout)))


def test_200_calls_at_once_sign_in_once_and_start_no_threads(sandbox: Sandbox) -> None:
    threads = 0

    async def main() -> None:
        nonlocal threads
        settings = Settings(sandbox.url, sandbox.refresh_token, sandbox.cloud_ids[0])
        async with aclosing(AsyncDotyposClient(settings)) as client:
            before = threading.active_count()
            await asyncio.gather(*(client.call("GET", "branches", decode=Answer.json) for _ in range(200)))
            threads = threading.active_count() - before

    asyncio.run(main())
    assert sandbox.sign_ins == 1
    assert threads <= 1  # it has read the environment, once


@pytest.mark.parametrize("during", ["call", "sign-in"])
def test_cancelling_a_task_cancels_its_request_and_harms_no_other(during: str) -> None:
    asked, hung_up = asyncio.Event, asyncio.Event

    async def main() -> None:
        began, gone = asked(), hung_up()
        hang = True

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"signin" in head and b"_cloudId" not in head:
                    await reader.read(100)
                if hang and (b"signin" in head) is (during == "sign-in"):
                    began.set()
                    assert await reader.read() == b""
                    gone.set()
                    writer.close()
                    return
                writer.write(whole(b'{"accessToken": "a.b.c"}'))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with aclosing(AsyncDotyposClient(Settings(url, "r" * 32, 1))) as client:
            task = asyncio.create_task(client.call("GET", "branches", decode=Answer.json))
            await began.wait()
            other = asyncio.create_task(client.call("GET", "taxes", decode=Answer.json))
            await asyncio.sleep(0)
            hang = False
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(gone.wait(), 5)
            assert await asyncio.wait_for(other, 5)
        server.close()

    asyncio.run(main())


class TestIdleConnections:
    def test_a_client_outlives_its_loop(self) -> None:
        """``asyncio.run`` three times, without ``aclose``: a connection belongs to the loop that opened it."""
        with RawServer(numbered) as server:
            client = AsyncDotyposClient(Settings(server.url, "r" * 32, cloud_id=1), patience=Patience(0, 0))
            for _ in range(3):
                answers = [asyncio.run(call(client, path)) for path in ("/clouds", "branches")]
                assert answers == [b"/v2/clouds", b"/v2/clouds/1/branches"]

    def test_so_many_are_kept_and_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def many(client: AsyncDotyposClient) -> int:
            await asyncio.gather(*(call(client, "branches") for _ in range(32)))
            return len(client._idle._here())

        monkeypatch.setattr(idle, "KEPT", 3)
        with RawServer(numbered) as server:
            assert with_client(server.url, many) == 3
            assert server.connections > 3

    def test_one_that_was_idle_for_long_is_closed_even_if_another_one_is_used(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def use(client: AsyncDotyposClient) -> list[int]:
            kept = []
            for at_once in (8, 1, 1):
                await asyncio.gather(*(call(client, "branches") for _ in range(at_once)))
                kept.append(len(client._idle._here()))
                monkeypatch.setattr(idle, "KEPT_FOR", -1.0)
            return kept

        with RawServer(numbered) as server:
            first, *later = with_client(server.url, use)
        assert first > 1
        assert later == [0, 0]


async def call(client: AsyncDotyposClient, path: str) -> bytes:
    return await client.call("GET", path, decode=lambda answer: answer.body)


class TestBounds:
    @pytest.mark.parametrize("name", DRIPS)
    def test_whatever_drips_in_a_call_ends_in_its_time(self, name: str) -> None:
        with RawServer(DRIPS[name]) as server:
            started = time.monotonic()
            with pytest.raises(errors.DotyposConnectionError, match="it took too long") as caught:
                ask(server.url)
            assert time.monotonic() - started < TIMEOUT + SLACK
        assert caught.value.sent
        assert caught.value.passing

    def test_the_bound_holds_for_what_is_zipped(self) -> None:
        zipped = HEAD + b"Content-Encoding: gzip\r\n"
        with (
            RawServer(answering(whole(bomb(LARGEST_ANSWER * 2), zipped))) as server,
            pytest.raises(errors.DotyposAnswerTooLargeError, match="larger than 64 MiB") as caught,
        ):
            ask(server.url, timeout=20)
        assert not caught.value.passing

    def test_zipped_answers_may_come_in_several_members(self) -> None:
        members = gzip.compress(b"[1,") + gzip.compress(b"2]") + bytes(8)
        with RawServer(answering(whole(members, HEAD + b"Content-Encoding: GZIP\r\n"))) as server:
            assert ask(server.url).json() == [1, 2]

    def test_a_handshake_that_is_never_answered_ends_in_time_with_nothing_sent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            started = time.monotonic()
            with pytest.raises(errors.DotyposConnectionError, match="it took too long") as caught:
                ask(f"https://127.0.0.1:{silent.getsockname()[1]}", method="POST", body=b"{}")
            assert time.monotonic() - started < TIMEOUT + SLACK
        assert not caught.value.sent

    def test_a_server_that_reads_nothing_ends_a_call_in_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(RawServer, "_read_request", lambda self, connection: self.pause(60))
        with RawServer(answering(b"")) as server:
            with pytest.raises(errors.DotyposConnectionError) as caught:
                ask(server.url, method="POST", body=bytes(64 * MIB))
            assert caught.value.sent

    def test_the_same_bytes_are_sent_by_both(self) -> None:
        from airflow_provider_dotypos.api.client import DotyposClient

        heads: list[bytes] = []

        def script(server: RawServer, head: bytes) -> list[bytes]:
            heads.append(head)
            return [whole(b"{}")]

        arguments: dict[str, Any] = {
            "params": {"filter": "note|like|žluť a|b;x|in|1,2", "sort": "-versionDate"},
            "headers": {"If-Match": '"x"'},
            "decode": Answer.json,
        }
        with RawServer(script) as server:
            for method, body in (("GET", None), ("POST", {"name": "ž"})):
                with_client(server.url, lambda c, m=method, b=body: c.call(m, "orders/1", json=b, **arguments))
                settings = Settings(server.url, "r" * 32, cloud_id=1)
                DotyposClient(settings).call(method, "orders/1", json=body, **arguments)
        for one, two in zip(heads[::2], heads[1::2], strict=True):
            assert one.splitlines()[0] == two.splitlines()[0]
            assert sorted(line.lower() for line in one.splitlines()) == sorted(
                line.lower() for line in two.splitlines()
            )


class TestEnvironment:
    def test_a_trusted_certificate_is_read_from_the_environment(
        self,
        server_for: Callable[..., RawServer],
    ) -> None:
        with server_for(answering(whole(b"1"))) as server:
            assert ask(server.url, timeout=5).body == b"1"

    def test_a_certificate_that_nobody_vouches_for_sends_nothing(self, certificate: object) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(certificate))
        with (
            RawServer(answering(whole(b"1")), context) as server,
            pytest.raises(errors.DotyposTlsError, match="no trusted TLS connection") as caught,
        ):
            ask(server.url, method="POST", body=b"{}", timeout=5)
        assert not caught.value.sent

    def test_calls_go_through_a_proxy_to_a_server_that_is_trusted(
        self,
        certificate: object,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(certificate))
        with RawServer(numbered, context, tunnel=b"HTTP/1.1 200 Connection established\r\n\r\n") as server:
            for scheme in ("http://", ""):
                monkeypatch.setenv("HTTPS_PROXY", f"{scheme}user:{PASSWORD}@127.0.0.1:{server.port}")
                assert ask("https://api.example.invalid", timeout=5).body == b"/v2/x"

    def test_a_password_that_a_proxy_refuses_is_permanent_and_names_the_variable(
        self,
        proxy: tuple[str, list[bytes]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        address, seen = proxy
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(errors.DotyposEnvironmentError, match=r"HTTPS_PROXY.*407") as caught:
            ask("https://api.example.invalid", timeout=5)
        assert PASSWORD not in str(caught.value)
        assert len(seen) == 1
        with RawServer(answering(whole(b"1"))) as server:
            monkeypatch.setenv("ALL_PROXY", address)
            assert ask(server.url, timeout=5).body == b"1"  # this machine is never asked through a proxy
        assert len(seen) == 1

    def test_a_proxy_that_is_away_may_come_back_and_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            monkeypatch.setenv("https_proxy", f"http://user:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(errors.DotyposConnectionError, match="through the proxy in https_proxy") as caught:
                ask("https://api.example.invalid", method="POST", body=b"{}", timeout=5)
        assert caught.value.passing
        assert not caught.value.sent
        assert PASSWORD not in str(caught.value)

    @pytest.mark.parametrize(
        ("address", "cure"),
        [
            (f"socks5://user:{PASSWORD}@127.0.0.1:9", "PySocks"),
            (f"http://user:{PASSWORD}@proxy host:x", "must look like"),
            (f"http://user:{PASSWORD}@[::1", "must look like"),
            (f"http://user:{PASSWORD}@proxy:99999", "must look like"),
            (f"ftp://user:{PASSWORD}@proxy", "must look like"),
        ],
    )
    def test_a_proxy_that_can_not_be_used_is_permanent_and_names_the_variable(
        self, monkeypatch: pytest.MonkeyPatch, address: str, cure: str
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(errors.DotyposEnvironmentError, match="HTTPS_PROXY") as caught:
            ask("https://api.example.invalid")
        assert cure in str(caught.value)
        assert PASSWORD not in str(caught.value)

    def test_certificates_that_can_not_be_read_are_permanent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
        with pytest.raises(errors.DotyposError, match="REQUESTS_CA_BUNDLE") as caught:
            ask("https://api.example.invalid")
        assert caught.value.permanent
