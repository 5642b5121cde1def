"""Failures on purpose, and the log of requests.

None of these failures is documented behaviour of Dotypos. Any network and any proxy may cause them [A].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Statuses that a proxy, a gateway or a firewall answers with in Dotypos's place.
_FOREIGN = (400, 401, 403, 404, 405, 421, 499, 501, 502)

KINDS = (
    *("429", "500", "503", "reset", "reset-body", "cut-json", "short-body", "hang", "drip"),
    *("html-200", "redirect", "empty", "emptied"),
    *(f"{status}-html" for status in _FOREIGN),
    *("401-empty", "403-empty", "404-empty"),
)


@dataclass
class Fault:
    """A failure that requests will meet.

    :param kind: ``429``, ``500``, ``503``: that status; ``502-html``, ``403-html``, …: the page of a proxy;
        ``403-empty``, …: that status without a body; ``html-200``: a page that says 200; ``redirect``: 302 to another
        host; ``reset``: the connection is reset before any answer; ``reset-body``: in the middle of one;
        ``short-body``: less body than ``Content-Length`` says, then the end; ``cut-json``: a valid HTTP answer whose
        JSON is cut off; ``hang``: no answer until the client goes; ``drip``: one byte per `interval`; ``empty``: an
        empty list, although there are rows; ``emptied``: a list without its rows, whose envelope still says how many
        there are in all and which page is next.
    :param retry_after: value of a ``Retry-After`` header, sent as it is.
    :param times: how many requests meet it.
    :param skip: how many matching requests pass before.
    :param path: part of the path that a request must have.
    :param method: the method that a request must have.
    :param interval: seconds between the bytes of a ``drip``.
    """

    kind: str
    retry_after: str | None = None
    times: int = 1
    skip: int = 0
    path: str = ""
    method: str | None = None
    interval: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; kinds: {', '.join(KINDS)}")

    def strikes(self, method: str, path: str) -> bool:
        """Return whether this request meets the fault, and count it."""
        if self.times <= 0 or self.path not in path or self.method not in (None, method):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


DELIVERY_KINDS = ("twice", "late", "swapped", "never", "slow")


@dataclass
class DeliveryFault:
    """A failure that deliveries of webhooks will meet.

    :param kind: ``twice``: delivered, and delivered again; ``late``: `seconds` later, while others go ahead;
        ``swapped``: after the webhook's next delivery; ``never``: lost; ``slow``: its body takes `seconds` to arrive.
    :param times: how many deliveries meet it.
    :param skip: how many matching deliveries pass before.
    :param payload_entity: what the webhook must deliver, such as ``PRODUCT``. Any by default.
    :param seconds: how late or how slow.
    """

    kind: str
    times: int = 1
    skip: int = 0
    payload_entity: str | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.kind not in DELIVERY_KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; kinds: {', '.join(DELIVERY_KINDS)}")
        if not 0 <= self.seconds < math.inf:
            raise ValueError("seconds must be 0 or more")

    def strikes(self, payload_entity: str) -> bool:
        """Return whether this delivery meets the fault, and count it."""
        if self.times <= 0 or self.payload_entity not in (None, payload_entity):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Request:
    """A request that the sandbox received. ``status`` is 0 if the answer never began."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    headers: dict[str, str]
