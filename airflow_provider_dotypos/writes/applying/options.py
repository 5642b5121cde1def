"""How a plan is applied: what the arguments of its task may say, and which outcome they let pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.overrides import describe
from airflow_provider_dotypos.api.window import SETTLE, check_settle
from airflow_provider_dotypos.writes.verdicts import DONE

#: How rows are updated: by whichever way suits, row by row, or by lists.
Method: TypeAlias = Literal["auto", "patch", "put"]

#: How rows are created: under an id of ours, exactly once, or by POST, which can't be exact.
Create: TypeAlias = Literal["put", "post"]

#: Which outcome fails a task: any row that isn't as planned, none, or more than a share of them.
FailOn: TypeAlias = Literal["any", "none"] | float

#: The age up to which plans are applied.
MAX_AGE = timedelta(hours=24)


@dataclass(frozen=True)
class ApplyOptions:
    """How a plan is applied.

    :param method: how rows are written: ``patch``, row by row; ``put``, by lists; ``auto``, by what costs less if the
        plan is large.
    :param create: how rows are created: ``put`` under an id that follows from the key, exactly once; ``post``, where
        the API takes no ids of ours: a row whose answer is lost is looked up by its key, and a request that is carried
        out very late can create it twice.
    :param fail_on: which outcome fails the task: ``any`` row that isn't as planned, ``none``, or a share of the plan's
        rows above which it fails, such as 0.01.
    :param settle: seconds until a write shows in the API.
    :param max_age: the age up to which a plan is applied.
    :raises DotyposInputError: if one can't be meant.
    """

    method: Method = "auto"
    create: Create = "put"
    fail_on: FailOn = "any"
    settle: float = SETTLE
    max_age: timedelta = MAX_AGE

    def __post_init__(self) -> None:
        for name, kind in (("method", Method), ("create", Create)):
            if getattr(self, name) not in get_args(kind):
                choices = " or ".join(get_args(kind))
                raise DotyposInputError(f"{name} must be {choices}, not {describe(getattr(self, name))}")
        if self.fail_on not in ("any", "none") and not _is_share(self.fail_on):
            raise DotyposInputError(
                f"fail_on must be any, none or a share of the rows such as 0.01, not {describe(self.fail_on)}"
            )
        check_settle(self.settle)
        if not isinstance(self.max_age, timedelta) or self.max_age <= timedelta(0):
            raise DotyposInputError(f"max_age must be a timedelta above 0, not {describe(self.max_age)}")

    def tolerates(self, counts: Mapping[str, int]) -> bool:
        """Return whether a plan's outcome lets its task succeed.

        :param counts: how many rows have each status.
        """
        rows = sum(counts.values())
        failed = rows - sum(counts.get(status, 0) for status in DONE)
        if self.fail_on == "none":
            return True
        return failed <= (0 if self.fail_on == "any" else self.fail_on * rows)


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
