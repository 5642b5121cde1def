"""``exchange`` fed by hand, without I/O; ``channel``: what clients share; and both drivers on the same channel."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.aclient import AsyncDotyposClient, _locks
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.steps import Alone, Flow, Send, Sleep
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.api.drivers import DRIVERS
from tests.api.flows import Played, answer, scripted
from tests.conftest import NewClient

TOKEN = b'{"accessToken": "a.b.c"}'
EXPIRED = answer(403, b'{"reason": "ACCESS_TOKEN_EXPIRED"}')
LONG = {"Retry_After": "600"}


@pytest.fixture(autouse=True)
def clean_start() -> Iterator[None]:
    channel.forget_tokens()
    yield
    channel.forget_tokens()


def new_exchange(cloud_id: int = 1, refresh_token: str = "r" * 32, **settings: Any) -> Exchange:
    return Exchange(Settings("http://127.0.0.1:9", refresh_token, cloud_id, **settings), patience=Patience(1e6, 1e6))


def get(exchange: Exchange, path: str = "branches") -> Flow[object]:
    return exchange.flow("GET", path, decode=Answer.json)


def signed_in(exchange: Exchange) -> None:
    Played(scripted({"token": [answer(201, TOKEN)], "branches": [answer(200)]})).run(get(exchange))


class TestByHand:
    def test_two_failures_end_in_an_answer(self) -> None:
        played = Played(
            scripted({"token": [answer(201, TOKEN)], "branches": [answer(503), answer(503), answer(200, b"[1]")]})
        )
        assert played.run(get(new_exchange())) == [1]
        assert played.statuses == [201, 503, 503, 200]
        assert len(played.slept) >= 2
        assert [request.headers["Authorization"] for request in played.sent] == [f"User {'r' * 32}"] + [
            "Bearer a.b.c"
        ] * 3

    def test_a_refused_token_is_renewed_once_and_the_call_repeated(self) -> None:
        exchange = new_exchange()
        signed_in(exchange)
        tokens = [answer(201, b'{"accessToken": "second"}')]
        played = Played(scripted({"token": tokens, "branches": [EXPIRED, answer(200)]}))
        played.run(get(exchange))
        assert played.statuses == [403, 201, 200]
        assert played.sent[-1].headers["Authorization"] == "Bearer second"
        assert played.slept == []

    def test_a_call_waits_while_the_gate_is_closed(self) -> None:
        exchange = new_exchange()
        signed_in(exchange)
        exchange._channel.lane(1).gate.close(600)
        step = next(get(exchange))
        assert isinstance(step, Sleep)
        assert 599 < step.seconds < 602

    def test_a_call_without_a_token_asks_to_sign_in_alone(self) -> None:
        step = next(get(new_exchange()))
        assert isinstance(step, Alone)
        request = next(step.flow)
        assert isinstance(request, Send)
        assert request.request.path == "/v2/signin/token"

    def test_a_flow_that_is_closed_anywhere_leaves_nothing_behind(self) -> None:
        exchange = new_exchange()
        flow = get(exchange)
        step = next(flow)
        assert isinstance(step, Alone)
        next(step.flow)
        step.flow.close()
        flow.close()
        signed_in(exchange)

    def test_no_repr_of_a_step_holds_a_secret(self) -> None:
        step = next(get(new_exchange(refresh_token="secretsecretsecret")))
        assert isinstance(step, Alone)
        assert "secretsecret" not in f"{step!r} {next(step.flow)!r} {channel._channels!r}"


class TestGates:
    @pytest.mark.parametrize("other", [{"cloud_id": 2}, {"refresh_token": "s" * 32}], ids=["cloud", "credentials"])
    def test_a_throttled_cloud_holds_back_only_its_own_calls(self, other: dict[str, Any]) -> None:
        throttled = new_exchange()
        signed_in(throttled)
        flow = get(throttled)
        next(flow)
        assert isinstance(flow.send(answer(429, b"", **LONG)), Sleep)
        assert isinstance(next(get(new_exchange())), Sleep)
        signed_in(new_exchange(**other))

    def test_a_sign_in_waits_at_the_gate_of_its_cloud(self) -> None:
        exchange = new_exchange()
        exchange._channel.lane(1).gate.close(600)
        step = next(get(exchange))
        assert isinstance(step, Alone)
        assert isinstance(next(step.flow), Sleep)

    def test_a_sign_in_that_is_let_through_opens_no_gate_but_lets_the_call_follow_at_once(self) -> None:
        exchange = new_exchange()
        gate = exchange._channel.lane(1).gate
        gate.answered(time.monotonic(), throttled=True)
        gate.close(0)
        played = Played(scripted({"token": [answer(201, TOKEN)], "branches": [answer(200)]}))
        flow = get(exchange)
        renewal = next(flow)
        assert isinstance(renewal, Alone)
        token = played.run(renewal.flow)
        assert gate.throttled_for > 0  # what the budget `blind` counts goes on
        assert gate.refusals == 1
        assert isinstance(flow.send(token), Send)
        assert isinstance(next(get(exchange)), Sleep)  # the others wait for that call's answer
        with pytest.raises(StopIteration):
            flow.send(answer(200))
        assert gate.throttled_for == gate.refusals == 0
        assert isinstance(next(get(exchange)), Send)

    @pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
    def test_a_cloud_that_waits_ten_minutes_delays_no_other(
        self, sandbox: Sandbox, new_client: NewClient, driver: type[DotyposClient]
    ) -> None:
        first, second = sandbox.cloud_ids
        waiting, free = new_client(Patience(60, 1e6), cloud_id=first), new_client(cloud_id=second)
        sandbox.faults.append(Fault("429", retry_after="600", path=f"{first}/branches", times=1))
        gate = channel.open_channel(waiting.settings).lane(first).gate
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(waiting.call, "GET", "branches", decode=Answer.json)
            while not gate.throttled_for:
                time.sleep(0.01)
            assert free.call("GET", "branches", decode=Answer.json)
            assert not future.done()
            waiting.cancel()
            with pytest.raises((errors.DotyposCancelledError, CancelledError)):
                future.result()


class TestTogether:
    @pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
    def test_of_32_calls_at_once_with_an_expired_token_one_signs_in(
        self, sandbox: Sandbox, new_client: NewClient, driver: type[DotyposClient]
    ) -> None:
        client = new_client(max_concurrency=32)
        client.call("GET", "branches", decode=Answer.json)
        sandbox.expire_tokens()
        barrier = threading.Barrier(32)

        def one(_: int) -> object:
            barrier.wait()
            return client.call("GET", "branches", decode=Answer.json)

        with ThreadPoolExecutor(32) as pool:
            assert len(list(pool.map(one, range(32)))) == 32
        assert sandbox.sign_ins == 2

    def test_threads_and_a_loop_share_tokens_and_gate(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(Patience(20, 20), max_concurrency=16)
        sandbox.latency = 0.02

        async def on_loop() -> None:
            async_client = AsyncDotyposClient(client.settings, patience=Patience(20, 20))
            for _ in range(3):
                await asyncio.gather(*(async_client.call("GET", "branches", decode=Answer.json) for _ in range(16)))
            await async_client.aclose()

        sandbox.faults.append(Fault("429", retry_after="1", path="branches", skip=30))
        with ThreadPoolExecutor(17) as pool:
            loop = pool.submit(asyncio.run, on_loop())
            list(pool.map(lambda _: client.call("GET", "branches", decode=Answer.json), range(64)))
            loop.result()
        assert sandbox.sign_ins <= 2
        assert channel.open_channel(client.settings).lane(client.settings.cloud_id).gate.throttled_for == 0

    def test_a_call_that_blocks_the_loop_waits_for_no_task_of_it(self, sandbox: Sandbox, new_client: NewClient) -> None:
        """It should not be made there, but somebody will; the task couldn't go on signing in."""
        client = new_client()

        async def main() -> None:
            async_client = AsyncDotyposClient(client.settings)
            task = asyncio.create_task(async_client.call("GET", "branches", decode=Answer.json))
            while not _locks or not any(lock.locked() for lock in _locks.values()):
                await asyncio.sleep(0)
            client.call("GET", "branches", decode=Answer.json)
            await task
            await async_client.aclose()

        asyncio.run(main())
        assert sandbox.sign_ins <= 2
        assert not _locks

    def test_a_forked_child_makes_calls_of_both_kinds_whatever_the_parent_is_doing(
        self, sandbox: Sandbox, new_client: NewClient
    ) -> None:
        client = new_client()

        async def call() -> None:
            async_client = AsyncDotyposClient(client.settings)
            await async_client.call("GET", "branches", decode=Answer.json)
            await async_client.aclose()

        asyncio.run(call())
        cloud = channel.open_channel(client.settings).lane(client.settings.cloud_id)
        with client._channel._lock, cloud.gate._lock, cloud.tokens.lock:
            child = os.fork()
            if child == 0:
                failed = 1
                try:
                    channel.forget_tokens()
                    client.call("GET", "branches", decode=Answer.json)
                    DotyposClient(client.settings)
                    asyncio.run(call())
                    failed = 0
                finally:
                    os._exit(failed)
            _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


def test_plain_http_to_another_host_is_logged_once_a_process(caplog: pytest.LogCaptureFixture) -> None:
    for url in ("http://127.0.0.1:9", "http://sandbox:8765", "http://sandbox:8765", "https://proxy.invalid"):
        channel.open_channel(Settings(url, f"logged{os.getpid()}"))
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["Allow plain HTTP is set: tokens and rows travel unencrypted to sandbox:8765, a sandbox."]
