"""Why a branch has no sale: its verdict, what to do first, and how both read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.sales.errors import DotyposFreshnessError
from airflow_provider_dotypos.sales.opening_hours import OpeningHours, milliseconds_of
from airflow_provider_dotypos.transfers.wording import count

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


#: How many branches an error names. The log and the result hold all of them.
_NAMED = 5

#: How long a branch may sell nothing, unless somebody says otherwise.
USUAL_GAP = timedelta(hours=1)


@dataclass(frozen=True)
class Gaps:
    """How many milliseconds of opening hours branches may have no sale for.

    :param usual: of branches that have no gap of their own.
    :param own: by branch.
    """

    usual: int
    own: Mapping[int, int]

    @classmethod
    def of(cls, max_gap: timedelta | Mapping[int | str, timedelta]) -> Gaps:
        """Return gaps as an operator is given them.

        :raises DotyposInputError: if one isn't a time, or isn't a branch's.
        """
        by_branch = dict(max_gap) if isinstance(max_gap, Mapping) else {"others": max_gap}
        if not by_branch or not all(isinstance(gap, timedelta) and gap > timedelta(0) for gap in by_branch.values()):
            raise DotyposInputError(
                f"max_gap must be a timedelta of more than 0, or a mapping of them, not {max_gap!r} (no template)"
            )
        usual = by_branch.pop("others", USUAL_GAP)
        own = {int(id_text(branch, "an id in max_gap")): milliseconds_of(gap) for branch, gap in by_branch.items()}
        return cls(milliseconds_of(usual), own)

    def of_branch(self, branch: int) -> int:
        """Return a branch's gap."""
        return self.own.get(branch, self.usual)


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


def check_fail_on(fail_on: object) -> None:
    """Raise unless an argument is a list of verdicts.

    :raises DotyposInputError: if it isn't.
    """
    if isinstance(fail_on, str) or not isinstance(fail_on, Collection) or not {*fail_on} <= {*VERDICTS}:
        raise DotyposInputError(f"fail_on must be a list of {', '.join(VERDICTS)}, not {fail_on!r} (no template)")


def require_sales(
    states: Sequence[BranchState], fail_on: Collection[str], zone: tzinfo, *, covered: int, now: int
) -> None:
    """Raise if branches have a verdict that fails the task.

    :param covered: up to when sales would be seen (epoch milliseconds).
    :raises DotyposFreshnessError: if so.
    """
    failing = [state for state in states if state.verdict in fail_on]
    if not failing:
        return
    lines = [state.line(zone) for state in failing]
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    cures = [CURES[verdict] for verdict in CURES if any(state.verdict == verdict for state in failing)]
    reached = ""
    if covered < now and any(state.verdict == "late data" for state in failing):
        reached = f" What was loaded reaches up to {iso(covered)}, {spoken_span(now - covered)} ago."
    raise DotyposFreshnessError(
        f"{len(failing)} of {count(len(states), 'branches')}: {'; '.join([*lines[:_NAMED], *more])}.{reached} "
        f"{' '.join(cures)}",
        [state.as_mapping() for state in failing],
    )


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
