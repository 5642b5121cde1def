"""What a source is: rows with their numbers, under a name for messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from airflow_provider_dotypos.writes.sources.problems import Problems

Row: TypeAlias = Mapping[str, Any]


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
