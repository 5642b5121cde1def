"""Flows of ``exchange`` and ``auth`` performed without I/O: what a call asks for, answered by hand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

from airflow_provider_dotypos.api.auth import AccessToken, Tokens
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.steps import Perform, Send, Sleep, Step

T = TypeVar("T")


def signing_in(sign_in: Callable[[], str]) -> Generator[Any, Any, str]:
    """Return a sign-in's flow that takes no step."""
    return sign_in()
    yield


def run_alone(tokens: Tokens, renewal: Generator[Any, Any, AccessToken]) -> AccessToken:
    """Perform a renewal that takes no step, as a thread does: one at a time."""
    with tokens.lock:
        try:
            next(renewal)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
    raise AssertionError("the renewal took a step")


def renew(tokens: Tokens, sign_in: Callable[[], str]) -> AccessToken:
    """Sign in for the first time."""
    return run_alone(tokens, tokens.renewal(tokens.latest, signing_in(sign_in)))


def replace(tokens: Tokens, refused: AccessToken, sign_in: Callable[[], str]) -> AccessToken:
    """Return the token to use after one was refused."""
    if token := tokens.in_place_of(refused):
        return token
    return run_alone(tokens, tokens.renewal(refused, signing_in(sign_in), replacing=True))


def answer(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


class Played:
    """Performs a flow as the thread driver does, but a function answers its requests, and waits are only noted.

    :ivar sent: the requests.
    :ivar slept: the waits, in seconds.
    :ivar statuses: of the answers.
    """

    run = DotyposClient.run

    def __init__(self, reply: Callable[[Request], Answer]) -> None:
        self._reply = reply
        self.sent: list[Request] = []
        self.slept: list[float] = []
        self.statuses: list[int] = []

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Send):
            self.sent.append(step.request)
            received = self._reply(step.request)
            self.statuses.append(received.status)
            return received
        if isinstance(step, Sleep):
            self.slept.append(step.seconds)
            return None
        if isinstance(step, Perform):
            return step.function()
        return self.run(step.flow)


def scripted(answers: Mapping[str, list[Answer]]) -> Callable[[Request], Answer]:
    """Return a function that replies with the next answer for the end of a request's path; the last one stays."""

    def reply(request: Request) -> Answer:
        queue = next(queue for end, queue in answers.items() if request.path.endswith(end))
        return queue.pop(0) if len(queue) > 1 else queue[0]

    return reply
