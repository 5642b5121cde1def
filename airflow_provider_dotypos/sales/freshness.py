"""Why a branch has no sale: its verdict, what to do first, and how both read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.sales.opening_hours import OpeningHours

#: ``fresh``: there was a sale. ``closed``: the branch is closed now. ``late data``: what was loaded doesn't reach far
#: enough to tell. ``no sale``: there was none, although it does. ``till silent``: and the till doesn't answer.
FreshnessVerdict: TypeAlias = Literal["fresh", "closed", "late data", "no sale", "till silent"]

VERDICTS: tuple[FreshnessVerdict, ...] = get_args(FreshnessVerdict)

#: Which of them fail a task by default.
FAIL_ON: tuple[FreshnessVerdict, ...] = ("late data", "no sale", "till silent")

#: The likeliest cause of each, and the first thing to do.
CURES: Mapping[str, str] = {
    "late data": (
        "What was loaded doesn't reach far enough to tell: look at the task that loads it, and run it again."
    ),
    "no sale": (
        "The data are complete, so call the shop: is it open? If it sells, look at the till's last synchronization."
    ),
    "till silent": (
        "The till is off or has no network: call the shop. What it has sold meanwhile comes when it is back."
    ),
}


class Branch(NamedTuple):
    """A branch, as far as it is known.

    :param name: empty if it wasn't asked for.
    """

    id: int
    name: str = ""

    def __str__(self) -> str:
        return f"branch {self.id}" + (f" ({self.name})" if self.name else "")


class BranchState(NamedTuple):
    """What was found out about a branch.

    :param last_sale: when it sold something last (epoch milliseconds), as far back as was looked.
    :param open_for: milliseconds of opening hours since then; ``None`` if nothing was found.
    :param till: what its till has answered, as a word: ``answers``, ``silent``, or ``not asked``.
    """

    branch: Branch
    verdict: FreshnessVerdict
    last_sale: int | None
    open_for: int | None
    till: str = "not asked"

    def as_mapping(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "branch_id": self.branch.id,
            "name": self.branch.name,
            "verdict": self.verdict,
            "last_sale": None if self.last_sale is None else iso(self.last_sale),
            "open_for": None if self.open_for is None else round(self.open_for / 1000),
            "till": self.till,
        }

    def line(self, zone: tzinfo) -> str:
        """Return it for people."""
        if self.last_sale is None or self.open_for is None:
            last = "no sale was found"
        else:
            moment = datetime.fromtimestamp(self.last_sale / 1000, zone)
            last = f"last sale {moment:%Y-%m-%d %H:%M} {zone}, {spoken_span(self.open_for)} of opening hours ago"
        return f"{self.branch}: {self.verdict}, {last}"


def judge_branch(
    hours: OpeningHours, branch: Branch, last_sale: int | None, *, gap: int, now: int, covered: int
) -> BranchState:
    """Return the state of a branch, whose till wasn't asked.

    :param last_sale: when it sold something last (epoch milliseconds); ``None`` if nothing was found.
    :param gap: how many milliseconds of opening hours may pass without a sale.
    :param covered: up to when sales would be seen (epoch milliseconds).
    """

    def is_silent(until: int) -> bool:
        return last_sale is None or last_sale < hours.begin_of(branch.id, until, gap)

    verdict: FreshnessVerdict
    if not is_silent(now):
        verdict = "fresh"
    elif not hours.is_open(branch.id, now):
        verdict = "closed"
    else:
        verdict = "no sale" if is_silent(covered) else "late data"
    open_for = None if last_sale is None else hours.open_for(branch.id, last_sale, now)
    return BranchState(branch, verdict, last_sale, open_for)


def spoken_span(milliseconds: int) -> str:
    """Return a span of time: ``40 min``, ``1 h 48 min``, ``3 d 2 h``."""
    minutes = max(0, milliseconds) // 60_000
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
