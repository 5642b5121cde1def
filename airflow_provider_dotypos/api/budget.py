"""How many requests may be made in how long: what the connection's Request budget says, and what if it is used up."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import datetime

from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposError
from airflow_provider_dotypos.api.overrides import describe, is_absent
from airflow_provider_dotypos.api.retry_table import TOO_MANY_TOGETHER

_UNITS = {"s": 1, "min": 60, "h": 3600}

#: With fewer requests a task could do little more than sign in, again and again.
_FEWEST, _MOST = 10, 100_000

#: The first block that a task claims is this part of a budget.
FIRST_PART = 10

#: The longest window, in seconds: a day.
_LONGEST = 86_400.0

#: The part of a budget that has to be free again before a task that was put off is worth running.
_ENOUGH = 0.75

#: The part of that which rows that belong together have used up if they took all of an attempt, which also signs in.
_NEARLY = 0.9


@dataclass(frozen=True)
class Budget:
    """The most requests in any window of time.

    :param requests: how many.
    :param seconds: length of the window.
    :param each: whether each process counts for itself, instead of sharing the budget with other tasks.
    :param block: how many requests are claimed at a time; ``None`` for parts of the budget, as a task needs them.
    """

    requests: int
    seconds: float
    each: bool = False
    block: int | None = None

    def behind_tasks(self, block: int) -> Budget:
        """Return the budget for those that let tasks go first.

        A task that finds the budget used up waits until a tenth of it is free, its first block. So that much is never
        taken from under it.

        :param block: how many requests are claimed at a time.
        """
        return replace(self, requests=self.requests - math.ceil(self.requests / FIRST_PART), block=block)

    @property
    def enough(self) -> int:
        """How many requests have to be free again before a task that was put off is worth running."""
        return math.ceil(self.requests * _ENOUGH)

    def __str__(self) -> str:
        unit = next(unit for unit in ("h", "min", "s") if unit == "s" or self.seconds % _UNITS[unit] == 0)
        return f"{self.requests}/{self.seconds / _UNITS[unit]:g}{unit}{' each' if self.each else ''}"


#: The limit that two public sources name [D2], where a connection names no budget.
KNOWN_LIMIT = Budget(150, 1800.0)


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


class DotyposBudgetError(DotyposError):
    """The connection's request budget is used up for longer than is worth holding a worker slot for.

    :ivar budget: the budget.
    :ivar reason: why it won't do later either, as ``retry_table`` knows it, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: Budget | None = None,
        retry_at: datetime | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.retry_at = retry_at
        self.reason = reason
        self.too_long_to_wait = reason is None


def judge(
    error: DotyposBudgetError, requests: int, what: str, cure: str = "Ask for a filter that divides these rows"
) -> DotyposBudgetError:
    """Return an error, or the one in its place if the next attempt would use up the budget just like this one.

    :param requests: how many were made of those that count only together.
    :param what: the rows that they were to bring, for people.
    :param cure: what to do about it, besides a larger budget.
    """
    if error.budget is None or requests < _NEARLY * error.budget.enough:
        return error
    return DotyposBudgetError(
        f"{requests} requests have not been enough for {what}, which count only when all of them are read. The request "
        f"budget, {error.budget}, never allows more than that together. {cure}, or raise Request budget in the Airflow "
        "connection for this task.",
        budget=error.budget,
        reason=TOO_MANY_TOGETHER,
    )
