"""Errors of writing back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError


class Problem(NamedTuple):
    """What is wrong with a row of a source.

    :param row: its number, from 1 on; ``None`` for the source as a whole.
    :param field: the field, if it is about one.
    :param what: what is wrong, and the cure. It never holds the row's value.
    """

    row: int | None
    field: str | None
    what: str


class DotyposPlanError(DotyposInputError):
    """A source can't be planned, or a plan can't be applied as it is: all problems of all its rows at once.

    :ivar problems: what is wrong, in the order of the rows.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class DotyposSourceError(DotyposError):
    """The database of a source failed, so that its rows can't be read. The message holds no value of a row."""


class DotyposLimitError(DotyposPlanError):
    """A plan asks for more than a limit allows: too many changes, a price that moves too far, deletes.

    Nothing is written, and no plan is kept. The message names the limit, and the argument that raises it.
    """


class DotyposApprovalError(DotyposPlanError):
    """A plan wasn't approved: somebody rejected it, or nobody answered."""


class DotyposSideEffectError(DotyposPlanError):
    """A write didn't do what the plan says: it changed a field that it doesn't name, or left one as it was.

    No further row is written. The message names the entity, the row's id and the fields, and says whether a field that
    changed was put back.
    """


class DotyposWritesFailedError(DotyposError):
    """Some rows of a plan aren't as planned; the report says which and why.

    :ivar counts: how many rows have each status.
    :ivar report: where the report is.
    :ivar reason: `NOTHING_LEFT_TO_TRY`, if applying the same plan again can't help.
    """

    def __init__(
        self, message: str, *, counts: Mapping[str, int] | None = None, report: str = "", reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.counts = dict(counts or {})
        self.report = report
        self.reason = reason


class DotyposUncertainBookingError(DotyposError):
    """Nobody knows whether a stock operation was booked: no answer came, and the stock moved otherwise meanwhile.

    Nothing sends it again before a person has decided. The message says how.

    :ivar evidence: what each product's level was, is, and by how much it was to move.
    :ivar journal: the folder of the document's journal.
    """

    def __init__(self, message: str, *, evidence: Sequence[Mapping[str, str | None]] = (), journal: str = "") -> None:
        super().__init__(message)
        self.evidence = list(evidence)
        self.journal = journal


class DotyposStockTakingError(DotyposError):
    """Dotypos has accepted a stock-taking, and then refused it. Nothing was changed.

    :ivar reason: the API's code, such as ``PRODUCT_STOCK_TAKING_AFTER_DATE``.
    """

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
