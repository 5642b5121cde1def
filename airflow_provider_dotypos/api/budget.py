"""How many requests may be made in how long: what the connection's Request budget says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.overrides import describe, is_absent

_UNITS = {"s": 1, "min": 60, "h": 3600}

#: With fewer requests a task could do little more than sign in, again and again.
_FEWEST, _MOST = 10, 100_000

#: The longest window, in seconds: a day.
_LONGEST = 86_400.0


@dataclass(frozen=True)
class Budget:
    """The most requests in any window of time.

    :param requests: how many.
    :param seconds: length of the window.
    :param each: whether each process counts for itself, instead of sharing the budget with other tasks.
    """

    requests: int
    seconds: float
    each: bool = False

    def __str__(self) -> str:
        unit = next(unit for unit in ("h", "min", "s") if unit == "s" or self.seconds % _UNITS[unit] == 0)
        return f"{self.requests}/{self.seconds / _UNITS[unit]:g}{unit}{' each' if self.each else ''}"


def read_budget(value: object) -> Budget | None:
    """Return the budget that a connection's field holds; ``None`` if it is empty.

    :raises DotyposConfigurationError: if it isn't one.
    """
    if is_absent(value):
        return None
    text = " ".join(value.split()).lower() if isinstance(value, str) else ""
    match = re.fullmatch(r"(\d{1,6}) ?/ ?(\d{1,6}(?:\.\d{1,3})?)? ?(s|min|h)( each)?", text)
    if match is None:
        raise DotyposConfigurationError(
            "Request budget in the Airflow connection must be written like 150/30min: requests, a slash, and a time "
            f"in s, min or h; then each, if every task counts for itself. It is {describe(value)}"
        )
    budget = Budget(int(match[1]), float(match[2] or 1) * _UNITS[match[3]], each=bool(match[4]))
    if not (_FEWEST <= budget.requests <= _MOST and 1 <= budget.seconds <= _LONGEST):
        raise DotyposConfigurationError(
            f"Request budget in the Airflow connection must be {_FEWEST} to {_MOST} requests in 1 s to 24h, not "
            f"{describe(value)}"
        )
    return budget
