"""Authorized calls in threads: what performs the steps of ``exchange``, one thread for each call."""

from __future__ import annotations

import copy
import threading
from _thread import start_new_thread
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any, TypeVar

from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.steps import Flow, Perform, Send, Sleep, Step

T = TypeVar("T")


class DotyposClient(Exchange):
    """Authorized, retried calls to one Dotypos cloud; safe to share between threads."""

    def _set_up(self) -> None:
        self._cancelled = False
        self._wake = threading.Event()
        self._transport = self._channel.transport()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        decode: Callable[[Answer], T],
    ) -> T:
        """Make one authorized call and return what `decode` makes of the answer.

        :param path: below ``/v2/clouds/{cloud}``; with a leading ``/``, below ``/v2``.
        :param params: query parameters, not yet encoded; ``None`` values aren't sent.
        :param json: the request's body: an object or an array.
        :param headers: further headers, such as ``If-Match``.
        :param decode: turns the answer into a result; an error that it raises is retried as ``retry_table`` says.
        :raises DotyposInputError: if the path, the method, the body or a header can't be sent.
        :raises DotyposUncertainWriteError: if a write may or may not have been carried out.
        :raises DotyposUnreadableAnswerError: if a write is done, but `decode` failed.
        :raises DotyposError: if the call fails in another way that ``errors`` names; the last error says how often it
            was tried.
        """
        return self.run(self.flow(method, path, params=params, json=json, headers=headers, decode=decode))

    def sign_in(self) -> None:
        """Sign in, if there is no valid token for the settings' cloud. The next call doesn't need to, then.

        :raises DotyposError: if that fails.
        """
        self.run(self.sign_in_flow())

    def sleep(self, seconds: float) -> None:
        """Wait.

        :raises DotyposCancelledError: if the task is killed; the wait ends at once.
        """
        if self._cancelled or (seconds > 0 and self._wake.wait(seconds)):
            raise DotyposCancelledError(
                "The task was killed while it waited for Dotypos. It was cleared or marked, or its worker is ending."
            )

    def cancel(self) -> None:
        """End every wait at once and start no further request.

        Safe in a signal's handler, where Airflow calls ``on_kill``: the handler breaks in upon the main thread, which
        may hold the event's lock just then, so another thread sets it.
        """
        self._cancelled = True
        with suppress(RuntimeError):  # no thread can be started: waits last to their end, and nothing follows them
            start_new_thread(self._wake.set, ())

    def twin(self) -> DotyposClient:
        """Return a client that shares everything with this one, but is cancelled by itself."""
        twin = copy.copy(self)
        twin._set_up()
        return twin

    def give_back(self) -> None:
        """Give back what was claimed of the request budget and not used. Call it when no call is under way."""
        self.run(self._give_back())

    def close(self) -> None:
        """Close idle connections. Other clients with the same credentials share them, and open new ones at need."""
        self._transport.close()

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow, such as that of several calls, and return its result."""
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    try:
                        result = self._perform(step)
                    except DotyposError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(result)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Send):
            self.sleep(0)  # a killed task starts no further request
            return self._transport.send(step.request)
        if isinstance(step, Sleep):
            return self.sleep(step.seconds)
        if isinstance(step, Perform):
            return step.function()
        with step.owner.lock:
            return self.run(step.flow)
