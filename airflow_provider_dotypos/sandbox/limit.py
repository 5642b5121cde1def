"""A limit on requests: a number of them in a number of seconds, then 429.

Two sources name 150 requests per 30 minutes [D2]. How requests are counted, in which window, and what a refusal
carries is unknown [U], so each of these is a setting.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from airflow_provider_dotypos.sandbox.errors import RefusedError

SIGN_IN = "/v2/signin/token"

#: The values of each setting that has a fixed set, the default first.
CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "window": ("fixed", "sliding"),
        "retry_after": (True, False),
        "refused_count": (False, True),
        "per": ("cloud", "token", "server"),
    }
)


@dataclass
class Limit:
    """The number of requests that are let in per window. The sandbox refuses further ones with 429.

    :param requests: how many requests a window lets in. Sign-ins count, too.
    :param seconds: the length of a window.
    :param window: ``fixed``: a window starts with the first request after the previous one has ended. ``sliding``:
        the last `seconds` before each request.
    :param retry_after: whether a refusal carries ``Retry-After``, in whole seconds.
    :param refused_count: whether refused requests count, too. In a sliding window a client that doesn't wait is then
        never let in again. In a fixed one it makes no difference.
    :param per: what has its own count: each ``cloud`` (named by the path or by the body of a sign-in; all other
        requests share one count), each ``token`` (the credential in ``Authorization``, so a new access token starts
        again), or the whole ``server``.
    :param clock: returns the time in seconds. With a clock of its own, a test can skip half an hour.
    """

    requests: int = 150
    seconds: float = 1800.0
    window: str = "fixed"
    retry_after: bool = True
    refused_count: bool = False
    per: str = "cloud"
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)
    # The times of the last requests that counted, at most as many as a window lets in.
    _counted: dict[str, deque[float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, positions in CHOICES.items():
            if getattr(self, name) not in positions:
                raise ValueError(f"{name} must be one of {positions}, not {getattr(self, name)!r}")
        if isinstance(self.requests, bool) or not isinstance(self.requests, int) or self.requests < 1:
            raise ValueError("requests must be a whole number, 1 or more")
        number = isinstance(self.seconds, (int, float)) and not isinstance(self.seconds, bool)
        if not number or not 0 < self.seconds < math.inf:
            raise ValueError("seconds must be a number above 0")

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read ``150/1800``: 150 requests in 1800 seconds.

        :param text: the limit, as the command's option takes it.
        """
        match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)", text.strip())
        if match is None:
            raise ValueError(f"a limit is written REQUESTS/SECONDS, such as 150/1800, not {text!r}")
        return cls(int(match[1]), float(match[2]))

    def admit(self, key: str) -> float | None:
        """Let a request in and return None, or return the seconds until one would be let in.

        :param key: the count that the request belongs to, see `key`.
        """
        now = self.clock()
        counted = self._counted.setdefault(key, deque(maxlen=self.requests))
        if self.window == "fixed" and counted and now - counted[0] >= self.seconds:
            counted.clear()
        # As many requests as a window lets in came within one window.
        refused = len(counted) == self.requests and now - counted[0] < self.seconds
        if not refused or (self.refused_count and self.window == "sliding"):
            counted.append(now)
        return self.seconds - (now - counted[0]) if refused else None

    def key(self, path: str, authorization: str, body: bytes = b"") -> str:
        """Return the name of the count that a request belongs to.

        :param path: the request's path.
        :param authorization: its ``Authorization`` header.
        :param body: its body. Only needed for sign-ins.
        """
        if self.per == "server":
            return ""
        if self.per == "token":
            return authorization.partition(" ")[2]
        if path == SIGN_IN:
            return _cloud_of_sign_in(body)
        match = re.match(r"/v2/clouds/([^/]+)", path)
        return match[1] if match else ""

    def refusal(self, seconds: float) -> tuple[bytes, dict[str, str]]:
        """Return the body and the headers of a refusal. The body is the API's error object [A].

        :param seconds: the seconds until the next request is let in.
        """
        error = RefusedError(429, "TOO_MANY_REQUESTS", f"Only {self.requests} requests in {self.seconds:g} s")
        return error.body(), {"retry-after": str(math.ceil(seconds))} if self.retry_after else {}

    def settings(self) -> dict[str, Any]:
        """Return the settings that JSON can hold: all but the clock."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.init and item.name != "clock"}


def _cloud_of_sign_in(body: bytes) -> str:
    try:
        fields = json.loads(body)
    except ValueError:
        return ""
    return str(fields.get("_cloudId") or "") if isinstance(fields, dict) else ""
