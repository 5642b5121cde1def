"""What a source is: rows with their numbers, under a name for messages."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from airflow_provider_dotypos.writes.sources.problems import Problems

Row: TypeAlias = Mapping[str, Any]


def of_four_bytes(number: float) -> float:
    """Return a number that was kept in four bytes with the digits that it had: 125.1 and not 125.0999984741211."""
    pack = struct.Struct("f").pack
    spelled = (float(f"{number:.{digits}g}") for digits in range(6, 10))  # nine digits tell all such numbers apart
    return next(read for read in spelled if pack(read) == pack(number))


class Source(ABC):
    """Rows that are read once, one after the other."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call it."""

    @abstractmethod
    def numbered(self, problems: Problems) -> Iterator[tuple[int, Row]]:
        """Yield the rows with their numbers, from 1 on.

        :param problems: gets a problem for each row that can't be read. It isn't yielded, and the others are.
        """

    def rows(self) -> Iterator[Row]:
        """Yield the rows.

        :raises DotyposPlanError: in the end, if some couldn't be read.
        """
        problems = Problems()
        for _, row in self.numbered(problems):
            yield row
        problems.raise_any(self.name)
