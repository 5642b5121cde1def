"""Problems of a source's rows, collected to be told at once: somebody who mends a file wants to do it once."""

from __future__ import annotations

from airflow_provider_dotypos.writes.errors import DotyposPlanError, Problem

#: Most problems that the error holds one by one. Its message counts them all.
KEPT = 1000

#: Most kinds of problem that the message names, and most rows of each.
_KINDS, _ROWS = 50, 5


class Problems:
    """The problems of a source: one by one up to a number, and counted by kind whatever their number is.

    A million rows with a wrong column take no memory.
    """

    def __init__(self) -> None:
        self._kept: list[Problem] = []
        self._rows: dict[tuple[str | None, str], list[int]] = {}
        self._counts: dict[tuple[str | None, str], int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def add(self, problem: Problem) -> None:
        """Add a problem."""
        if len(self._kept) < KEPT:
            self._kept.append(problem)
        kind = (problem.field, problem.what)
        if kind not in self._counts and len(self._counts) >= KEPT:
            kind = (None, "more problems, of other kinds")
        self._counts[kind] = self._counts.get(kind, 0) + 1
        rows = self._rows.setdefault(kind, [])
        if problem.row is not None and len(rows) < _ROWS and problem.row not in rows:
            rows.append(problem.row)

    def raise_any(self, about: str, kind: type[DotyposPlanError] = DotyposPlanError) -> None:
        """Raise an error with all problems, if there are any.

        :param about: what has them, as the message begins: ``source prices.csv``.
        :param kind: the class of the error.
        :raises DotyposPlanError: if there are any.
        """
        if not self._counts:
            return
        lines = [self._line(kind) for kind in list(self._counts)[:_KINDS]]
        if len(self._counts) > _KINDS:
            lines.append(f"… and {len(self._counts) - _KINDS} more kinds of problem")
        count = "1 problem" if len(self) == 1 else f"{len(self)} problems"
        message = f"{about}: nothing is written, because of {count}"
        raise kind("\n".join([message, *lines]), self._kept)

    def _line(self, kind: tuple[str | None, str]) -> str:
        field, what = kind
        rows, count = self._rows[kind], self._counts[kind]
        numbers = ", ".join(map(str, rows))
        if more := count - len(rows) if rows else 0:
            numbers += f" and {more} more"
        where = f"row{'s' if count > 1 else ''} {numbers}: " if rows else ""
        return f"- {where}{f'{field}: ' if field else ''}{what}"
