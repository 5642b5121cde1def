"""The register that POS actions go through to: what it does with them, and when it is silent.

https://docs.api.dotypos.com/pos-actions/
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LOOK = 0.005  # seconds between two looks whether an action was carried out


@dataclass
class Action:
    """An action on its way to the register.

    :param carry_out: carries it out, and returns its result.
    :param result: the result, once there is one.
    :param given_up: whether the API has stopped waiting for it.
    """

    carry_out: Callable[[Action], dict[str, Any]]
    result: dict[str, Any] | None = None
    given_up: bool = False


class Device:
    """The register of the sandbox's branches. By default it is online, and answers at once.

    :ivar silent: whether it hears nothing. Actions wait for it until it wakes up.
    :ivar patience: seconds after which the API gives a silent register up, with 404: 21 [D2]. The action still waits.
    :ivar seconds: how long it takes for an action. Meanwhile further ones are refused with 429 [D].
    :ivar clock_offset: seconds by which its clock is ahead of the shop's.
    :ivar codes: result codes with which it refuses the next actions, one each, but not ``order/hello``. 0 lets one
        pass.
    :ivar results: the results of actions by their branch and idempotency key.
    """

    def __init__(self) -> None:
        self.silent = False
        self.patience = 21.0
        self.seconds = 0.0
        self.clock_offset = 0.0
        self.codes: list[int] = []
        self.results: dict[tuple[int, int, str], dict[str, Any]] = {}
        self.busy: set[tuple[int, int]] = set()
        self._waiting: list[Action] = []
        self._lock = threading.RLock()

    def settings(self) -> dict[str, Any]:
        """Return what can be set, and how many actions wait."""
        names = ("silent", "patience", "seconds", "clock_offset", "codes")
        return {name: getattr(self, name) for name in names} | {"waiting": len(self._waiting)}

    def set(self, **settings: Any) -> None:
        """Change some settings.

        :raises ValueError: if there is no such setting, or a value doesn't fit.
        """
        for name, value in settings.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            fits = {
                "silent": isinstance(value, bool),
                "patience": number and 0 <= value < math.inf,
                "seconds": number and 0 <= value < math.inf,
                "clock_offset": number and math.isfinite(value),
                "codes": isinstance(value, list) and all(isinstance(code, int) for code in value),
            }
            if not fits.get(name):
                raise ValueError(f"{name} isn't a setting of the device, or its value doesn't fit")
            setattr(self, name, value)
        if settings.get("silent") is False:
            self.wake()

    def wake(self) -> None:
        """Let the register be heard again: it carries out all actions that wait, given up or not."""
        with self._lock:
            self.silent = False
            while self._waiting:
                self._perform(self._waiting.pop(0))

    def take(self, action: Action) -> None:
        """Carry an action out, or let it wait if the register is silent."""
        with self._lock:
            if self.silent:
                self._waiting.append(action)
            else:
                self._perform(action)

    async def answer(self, action: Action) -> dict[str, Any] | None:
        """Return an action's result; ``None`` if the register stays silent for as long as the API has patience."""
        deadline = time.monotonic() + self.patience
        if self.seconds:
            await asyncio.sleep(self.seconds)
        self.take(action)
        while action.result is None and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK)
        action.given_up = action.result is None
        return action.result

    def _perform(self, action: Action) -> None:
        action.result = action.carry_out(action)
