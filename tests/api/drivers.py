"""Both drivers of ``exchange`` with one face, so that one table of cases holds for calls in threads and on a loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar

from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.api.window import Clocks

T = TypeVar("T")


class OnLoop:
    """Calls as tasks of one event loop, which runs in a thread of its own; whoever calls waits for the result."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.client = AsyncDotyposClient(settings, **options)
        self.settings = settings
        self.patience = self.client.patience
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call(self, *arguments: Any, **named: Any) -> Any:
        return self.wait_for(self.client.call(*arguments, **named))

    def flow(self, *arguments: Any, **named: Any) -> Flow[Any]:
        return self.client.flow(*arguments, **named)

    def run(self, flow: Flow[T]) -> T:
        return self.wait_for(self.client.run(flow))

    def now(self) -> datetime:
        return self.client.now()

    def clocks(self) -> Clocks:
        return self.client.clocks()

    @property
    def knows_cloud(self) -> bool:
        return self.client.knows_cloud

    def note_cloud(self) -> None:
        self.client.note_cloud()

    def sign_in(self) -> None:
        self.run(self.client.sign_in_flow())

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def cancel(self) -> None:
        def cancel_all() -> None:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()

        self.loop.call_soon_threadsafe(cancel_all)

    def close(self) -> None:
        self.wait_for(self.client.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    @property
    def _on_token(self) -> Any:
        return self.client._on_token

    @_on_token.setter
    def _on_token(self, on_token: Any) -> None:
        self.client._on_token = on_token


DRIVERS = {"threads": DotyposClient, "asyncio": OnLoop}
