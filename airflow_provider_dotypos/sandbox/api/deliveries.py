"""Deliveries of webhooks: in a thread of its own, a queue for each webhook, to this machine unless a switch says more.

https://docs.api.dotypos.com/others/webhook
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
import msgspec

from airflow_provider_dotypos.sandbox.faults import DeliveryFault
from airflow_provider_dotypos.sandbox.shop.table import Row

log = logging.getLogger(__name__)

#: Most records in one delivery, and most that wait for one webhook. Beyond, the oldest is dropped.
MOST_RECORDS, MOST_WAITING = 100, 1000

#: What a body holds of one change.
Record: TypeAlias = dict[str, Any]

_GATHERED = 0.05  # seconds in which changes go together
_FIRST_PAUSE = 1.0  # seconds before a second try; each further pause is twice as long [U]
_KEPT = 10_000  # deliveries in the log


@dataclass(frozen=True)
class Delivery:
    """A delivery that was tried.

    :param webhook_id: the webhook's id; 0 for the result of a POS action.
    :param payload_entity: what it delivers, such as ``PRODUCT``, or the action.
    :param records: what the body held: the records, none for a ``GET``; of a POS action its result.
    :param status: the answer's status, 0 if there was none.
    :param error: why there was none.
    :param fault: the kind of the `DeliveryFault` that it met, if any.
    :param seconds: how long it took.
    """

    webhook_id: int
    payload_entity: str
    records: list[Record] | Record
    status: int
    error: str | None
    fault: str | None
    seconds: float


class Deliveries:
    """What is delivered, and what was.

    :ivar faults: failures to come, see ``DeliveryFault``.
    :ivar log: the newest deliveries.
    :ivar dropped: how many records were dropped because too many waited.
    :ivar anywhere: whether addresses beyond this machine get deliveries.
    :ivar tries: see ``Behaviour.delivery_tries``.
    :ivar timeout: seconds after which an answer isn't waited for any more [U].
    """

    def __init__(self) -> None:
        self.faults: list[DeliveryFault] = []
        self.log: deque[Delivery] = deque(maxlen=_KEPT)
        self.dropped = 0
        self.anywhere = False
        self.tries = 1
        self.timeout = 10.0
        self._open = False
        self._running = 0
        self._changed = threading.Condition()
        self._waiting: dict[int, deque[Record]] = {}
        self._swapped: dict[int, list[list[Record]]] = {}
        self._worker: _Worker | None = None

    def open(self) -> None:
        """Deliver what is put from now on. The thread starts with the first of it."""
        self._open = True

    def close(self) -> None:
        """End all deliveries, and wait until the thread has ended."""
        with self._changed:
            self._open = False
            worker, self._worker = self._worker, None
            self._waiting.clear()
            self._swapped.clear()
        if worker is not None:
            worker.close()

    @property
    def pending(self) -> int:
        """How many deliveries are under way or to come. Those that are ``swapped`` don't count while they wait."""
        return self._running

    def settle(self, timeout: float) -> bool:
        """Wait until nothing is pending; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout)

    def put(self, webhook: Row, record: Record) -> None:
        """Let a record be delivered to a webhook soon, together with others of the same moment. Doesn't block."""
        with self._changed:
            if not self._open:
                return
            waiting = self._waiting.get(webhook["id"])
            if waiting is None:
                waiting = self._waiting[webhook["id"]] = deque()
                self._begin(self._empty(webhook))
            waiting.append(record)
            if len(waiting) > MOST_WAITING:
                waiting.popleft()
                self.dropped += 1

    def call_back(self, url: str, action: str, result: Record, key: object = None) -> None:
        """Let the result of a POS action be sent to an address of the caller's soon. Doesn't block.

        :param key: the action's idempotency key, which goes along in a header [D2].
        """
        headers = {"Idempotency-Key": str(key)} if key else {}
        caller = {"id": 0, "payloadEntity": action, "method": "POST", "url": url, "headers": headers}
        with self._changed:
            if self._open:
                self._begin(self._send(caller, result, None))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        if self._worker is None:
            self._worker = _Worker()
        self._running += 1
        self._worker.run(work, self._end)

    def _end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    async def _empty(self, webhook: Row) -> None:
        """Deliver what waits for a webhook, in order, until nothing does."""
        while True:
            await asyncio.sleep(_GATHERED)
            with self._changed:
                waiting = self._waiting.get(webhook["id"])
                if not waiting:
                    self._waiting.pop(webhook["id"], None)
                    return
                records = [waiting.popleft() for _ in range(min(len(waiting), MOST_RECORDS))]
            await self._deliver(webhook, records)

    async def _deliver(self, webhook: Row, records: list[Record]) -> None:
        """Deliver some records, or fail to on purpose."""
        fault = next((f for f in list(self.faults) if f.strikes(webhook["payloadEntity"])), None)
        kind = fault.kind if fault is not None else None
        if kind == "never":
            self._note(webhook, records, kind)
        elif fault is not None and kind == "late":
            with self._changed:
                if self._open:
                    self._begin(self._deliver_late(webhook, records, fault.seconds))
        elif kind == "swapped":
            self._swapped.setdefault(webhook["id"], []).append(records)
        else:
            await self._send(webhook, records, kind, fault.seconds if fault is not None else 0.0)
            if kind == "twice":
                await self._send(webhook, records, kind)
            for earlier in self._swapped.pop(webhook["id"], ()):
                await self._send(webhook, earlier, "swapped")

    async def _deliver_late(self, webhook: Row, records: list[Record], seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._send(webhook, records, "late")

    async def _send(self, webhook: Row, records: list[Record] | Record, fault: str | None, slowly: float = 0.0) -> None:
        """Send records, and send them again if they aren't accepted and may be tried again.

        :param slowly: seconds that the body takes, if `fault` is ``slow``.
        """
        if not (self.anywhere or _is_here(webhook["url"])):
            self._note(webhook, records, fault, error="the address isn't on this machine")
            return
        for attempt in range(self.tries):
            if attempt:
                await asyncio.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
            started, status, error = time.monotonic(), 0, None
            try:
                status = await _answer(webhook, records, self.timeout, slowly if fault == "slow" else 0.0)
            except Exception as failure:  # no network, no answer, or an address that is none
                error = type(failure).__name__
            self._note(webhook, records, fault, status, error, time.monotonic() - started)
            if 200 <= status < 300:
                return

    def _note(
        self,
        webhook: Row,
        records: list[Record] | Record,
        fault: str | None,
        status: int = 0,
        error: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.log.append(
            Delivery(webhook["id"], webhook["payloadEntity"], records, status, error, fault, round(seconds, 3))
        )


async def _answer(webhook: Row, records: list[Record] | Record, timeout: float, slowly: float) -> int:
    """Send records to a webhook, by ``GET`` only that there are some [D]; return the status of the answer."""
    body = msgspec.json.encode(records) if webhook["method"] == "POST" else b""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} if body else {}
    headers |= webhook.get("headers", {})
    content = _drip(body, slowly) if slowly else body
    verify = _trusted() if webhook["url"].startswith("https:") else False

    async def ask() -> int:
        async with (
            httpx.AsyncClient(verify=verify, trust_env=False, timeout=timeout) as client,
            client.stream(webhook["method"], webhook["url"], headers=headers, content=content) as answer,
        ):
            return answer.status_code  # the body isn't read: it may be without end

    return await asyncio.wait_for(ask(), timeout + slowly)


async def _drip(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for at in range(len(body)):
        yield body[at : at + 1]
        await asyncio.sleep(seconds / len(body))


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return what decides which servers are trusted: the machine's certificates."""
    return ssl.create_default_context()


def _is_here(url: str) -> bool:
    """Return whether an address is on this machine. Names aren't looked up."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or no address at all
        return False


class _Worker:
    """A thread with a loop, which runs work until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="dotypos-deliveries", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, None], done: Callable[[], None]) -> None:
        """Run `work`, and call `done` when it has ended, in whatever way."""
        self._loop.call_soon_threadsafe(self._start, work, done)

    def close(self) -> None:
        """Cancel all work, and wait until the thread has ended."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        await self._closing.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None], done: Callable[[], None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._end, done))

    def _end(self, done: Callable[[], None], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        done()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A delivery failed", exc_info=error)
