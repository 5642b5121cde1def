"""What many calls at once cost an event loop: how long it stalls, how many threads and sign-ins there are.

200 calls are made at once by the asyncio driver, again and again, as a triggerer with as many watchers makes them. The
server answers after 300 ms. A task beside them sleeps for 5 ms at a time and notes by how much it is late: what stalls
the loop. Rounds with calls and rounds of the loop alone take turns, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from multiprocessing.connection import Connection

from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
from airflow_provider_dotypos.api.channel import forget_tokens
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.settings import Settings
from benchmarks.machine import machine, spread
from benchmarks.server import whole_answer

#: Clouds whose calls the server answers, throttles for ten minutes, and never answers.
ANSWERED, THROTTLED, HANGING = 1, 2, 3
_TICK = 0.005


async def _serve(addresses: Connection, latency: float) -> None:
    sign_ins = 0

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sign_ins
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = head.split(b" ", 2)[1].decode()
            if target == "/sign-ins":
                answer = whole_answer(200, str(sign_ins).encode())
                sign_ins = 0
            elif target.endswith("signin/token"):
                await reader.readuntil(b"}")
                sign_ins += 1
                await asyncio.sleep(latency)
                answer = whole_answer(201, b'{"accessToken": "a.b.c"}')
            elif f"/clouds/{HANGING}/" in target:
                await asyncio.sleep(3600)
            elif f"/clouds/{THROTTLED}/" in target:
                answer = whole_answer(429, b"", "Retry-After: 600\r\n")
            else:
                await asyncio.sleep(latency)
                answer = whole_answer(200, b'{"data": []}')
            writer.write(answer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    addresses.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


def _serving(addresses: Connection, latency: float) -> None:
    asyncio.run(_serve(addresses, latency))


async def _sign_ins(url: str) -> int:
    """Return how many sign-ins the server has had since this was last asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(b"GET /sign-ins HTTP/1.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.splitlines() if line.startswith(b"Content-Length:"))
    said = await reader.readexactly(length)
    writer.close()
    return int(said)


class Watch:
    """Notes the longest stall of the loop, and the most threads, while it is open."""

    def __init__(self) -> None:
        self.stall = 0.0
        self.threads = 0

    async def _look(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            self.stall = max(self.stall, time.perf_counter() - before - _TICK)
            self.threads = max(self.threads, threading.active_count())

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Watch]:
        task = asyncio.create_task(self._look())
        try:
            yield self
        finally:
            task.cancel()


async def measure(url: str, calls: int, rounds: int, troubled: bool) -> None:
    """Print what rounds of calls cost, beside rounds of the loop alone.

    :param troubled: with a throttled and a hanging cloud beside the one that answers.
    """
    forget_tokens()
    async with AsyncExitStack() as stack:
        clients = {}
        for cloud_id in (ANSWERED, THROTTLED, HANGING):
            client = AsyncDotyposClient(Settings(url, "r" * 32, cloud_id=cloud_id, timeout=3600.0))
            clients[cloud_id] = await stack.enter_async_context(aclosing(client))
        failed = 0

        async def call(cloud_id: int) -> None:
            nonlocal failed
            try:
                await clients[cloud_id].call("GET", "orders", decode=Answer.json)
            except DotyposError:
                failed += 1

        stuck = [
            asyncio.create_task(call(cloud_id)) for cloud_id in (THROTTLED, HANGING) for _ in range(calls) if troubled
        ]
        first, cold, alone, busy, seconds = Watch(), 0.0, Watch(), Watch(), []
        stalls: dict[str, list[float]] = {"alone": [], "busy": []}
        for number in range(rounds + 1):
            async with (busy := Watch()).looking():
                started = time.perf_counter()
                await asyncio.gather(*(call(ANSWERED) for _ in range(calls)))
                took = time.perf_counter() - started
            async with (alone := Watch()).looking():
                await asyncio.sleep(took)
            if number == 0:  # a sign-in, and a connection for each call
                first, cold = busy, took
                continue
            seconds.append(took)
            stalls["alone"].append(alone.stall * 1000)
            stalls["busy"].append(busy.stall * 1000)
        waiting = sum(not task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        sign_ins = await _sign_ins(url)
    name = f"{calls}, and {waiting} that wait for a throttled and a hanging cloud" if troubled else f"{calls}"
    print(
        f"| {name} | {cold:.2f} s, {first.stall * 1000:.0f} ms | {spread(seconds, 2)} | {spread(stalls['busy'])} | "
        f"{spread(stalls['alone'])} | {max(first.threads, busy.threads)} | {sign_ins} | {failed} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Stalls of the loop, threads and sign-ins of many calls at once.")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--latency-ms", type=float, default=300)
    asked = parser.parse_args()
    logging.disable()
    print(machine())
    print(
        f"\n| calls at once, answers after {asked.latency_ms:.0f} ms | first round; its longest stall "
        "| seconds a round | longest stall, ms | of the loop alone, ms | threads | sign-ins | failed |"
    )
    print("|---|---|---|---|---|---|---|---|")
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serving, args=(theirs, asked.latency_ms / 1000), daemon=True
    )
    server.start()
    try:
        url = ours.recv()
        for troubled in (False, True):
            asyncio.run(measure(url, asked.calls, asked.rounds, troubled))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
