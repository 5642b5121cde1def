"""Failures on purpose, the log of requests, and the log of writes.

None of these failures is documented behaviour of Dotypos. Any network and any proxy may cause them [A].
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

#: Statuses that a proxy, a gateway or a firewall answers with in Dotypos's place.
_FOREIGN = (400, 401, 403, 404, 405, 421, 499, 501, 502)

#: Failures of an answer that the API has given, unless the fault says otherwise.
DAMAGES = ("reset-body", "cut-json", "short-body", "drip", "empty", "emptied")

KINDS = (
    *("408", "429", "500", "502", "503", "504", "reset", "closed", "hang", *DAMAGES),
    *("html-200", "redirect"),
    *(f"{status}-html" for status in _FOREIGN),
    *("401-empty", "403-empty", "404-empty"),
)


@dataclass
class Fault:
    """A failure that requests will meet.

    :param kind: ``408``, ``429``, ``500``, ``502``, ``503``, ``504``: that status; ``502-html``, ``403-html``, …: the
        page of a proxy; ``403-empty``, …: that status without a body; ``html-200``: a page that says 200; ``redirect``:
        302 to another host; ``reset``: the connection is reset before any answer; ``closed``: it is closed before any;
        ``reset-body``: it is reset in the middle of one; ``short-body``: less body than ``Content-Length`` says, then
        the end; ``cut-json``: a valid HTTP answer whose JSON is cut off; ``hang``: no answer until the client goes;
        ``drip``: one byte per `interval`; ``empty``: an empty list, although there are rows; ``emptied``: a list
        without its rows, whose envelope still says how many there are in all and which page is next.
    :param retry_after: value of a ``Retry-After`` header, sent as it is.
    :param times: how many requests meet it.
    :param skip: how many matching requests pass before.
    :param path: part of the path that a request must have.
    :param method: the method that a request must have.
    :param interval: seconds between the bytes of a ``drip``.
    :param when: whether the API carries the request out: not at all (``before`` it gets there), ``after`` which the
        answer is lost, or ``late``: when the client has given up. Defaults to ``after`` for answers that are damaged,
        and to ``before`` for all others.
    :param seconds: how much later, by the shop's clock, a ``late`` request is carried out. It is carried out as soon as
        the next request comes after that.
    :param calls: how many other requests a ``late`` one lets pass before.
    :param probability: the share of matching requests that meet it.
    :param seed: makes that choice the same again. By default it is another one each time.
    """

    kind: str
    retry_after: str | None = None
    times: int = 1
    skip: int = 0
    path: str = ""
    method: str | None = None
    interval: float = 0.05
    when: str | None = None
    seconds: float = 0.0
    calls: int = 0
    probability: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; kinds: {', '.join(KINDS)}")
        if not all(isinstance(number, int) for number in (self.times, self.skip)) or self.times < 1 or self.skip < 0:
            raise ValueError("times and skip must be whole numbers: times 1 or more, skip 0 or more")
        texts = (self.path, self.method or "", self.retry_after or "")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("path, method and retry_after must be texts")
        if self.when is None:
            self.when = "after" if self.kind in DAMAGES else "before"
        if self.when not in ("before", "after", "late"):
            raise ValueError(f"when must be before, after or late, not {self.when!r}")
        if self.kind in ("drip", "empty", "emptied") and self.when != "after":
            raise ValueError(f"{self.kind} is a failure of an answer: when must be after")
        if not 0 <= self.seconds < math.inf or self.calls < 0:
            raise ValueError("seconds and calls must be 0 or more")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability must be a number from 0 to 1")
        self._random = random.Random(self.seed)

    def strikes(self, method: str, path: str) -> bool:
        """Return whether this request meets the fault, and count it.

        :param method: the request's method.
        :param path: the request's path.
        """
        if self.times <= 0 or self.path not in path or self.method not in (None, method):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self._random.random() >= self.probability:
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
        """Return whether this delivery meets the fault, and count it.

        :param payload_entity: what the delivery is about.
        """
        if self.times <= 0 or self.payload_entity not in (None, payload_entity):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Request:
    """A request that the sandbox received. ``status`` is 0 if the answer never began.

    :param method: HTTP method.
    :param path: the path.
    :param query: the query, decoded.
    :param headers: the headers.
    """

    method: str
    path: str
    query: dict[str, str]
    status: int
    headers: dict[str, str]


@dataclass
class LateRequest:
    """A request that is carried out when its client has given up.

    :param method: its method.
    :param path: its path.
    :param carry_out: carries it out.
    :param due: from when on, in epoch milliseconds of the shop's clock.
    :param calls: how many other requests it lets pass before.
    """

    method: str
    path: str
    carry_out: Callable[[], Awaitable[None]]
    due: int
    calls: int


@dataclass(frozen=True)
class Write:
    """A change of one row that a request has made, or a warehouse operation or POS action that was carried out.

    :param method: HTTP method.
    :param path: the path.
    :param op: ``create``, ``update``, ``delete``, or ``action``.
    :param entity: what was changed. For an ``action`` the operation: ``stockups``, ``order/create``.
    :param id: the row's id; ``None`` for an action without one.
    :param fields: what the request set, as it is stored; of an action its body.
    :param time: when, in epoch milliseconds of the shop's clock.
    :param lost: whether a fault kept the answer from the client.
    :param late: whether it was carried out when the client had given up.
    """

    method: str
    path: str
    op: str
    entity: str
    id: int | None
    fields: dict[str, Any]
    time: int
    lost: bool = False
    late: bool = False
