"""Sources: where the rows of a plan come from, as arguments give them.

Anything with ``rows()`` that yields mappings of fields to values is one, such as a committed set of the transfers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, runtime_checkable

import msgspec
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.sources.files import FileSource
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.source import Row, Source
from airflow_provider_dotypos.writes.sources.sql import Sql as Sql


@runtime_checkable
class HasRows(Protocol):
    """What has rows, such as a committed set."""

    def rows(self) -> Iterator[Row]:
        """Yield the rows."""


#: What an argument may give as a source: rows, the address of a file, a query, or anything that has rows.
AnySource: TypeAlias = "Iterable[Row] | str | ObjectStoragePath | HasRows"

_CURE = "give a list of dicts, the path of a file (.jsonl, .csv, .parquet), Sql(conn_id, query), or a committed set"


@dataclass(frozen=True)
class NamedRows(Source):
    """Rows that something else yields.

    :param title: what messages call them.
    :param items: yields them.
    """

    title: str
    items: Iterable[object]

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.title

    def numbered(self, problems: Problems) -> Iterator[tuple[int, Row]]:
        """Yield the rows with their numbers, from 1 on."""
        for number, row in enumerate(self.items, 1):
            if isinstance(row, Mapping):
                yield number, row
            else:
                problems.add(Problem(number, None, f"is a value of type {type(row).__name__}, not a dict"))


def source_of(source: AnySource, argument: str = "source") -> Source:
    """Return what an argument gives as a source. Nothing of it is read yet.

    :param argument: what it is called.
    :raises DotyposInputError: if it isn't one; the message says what is.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, HasRows):
        return NamedRows(str(getattr(source, "path", argument)), source.rows())
    if isinstance(source, (str, ObjectStoragePath)):
        return _of_text(source, argument)
    if hasattr(source, "to_dict"):
        raise DotyposInputError(
            f"{argument} is a data frame: give its rows, in pandas "
            "df.astype(object).where(df.notna(), None).to_dict('records')"
        )
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise DotyposInputError(f"{argument} can't be a value of type {type(source).__name__}: {_CURE}")
    return NamedRows(argument, source)


def _of_text(text: str | ObjectStoragePath, argument: str) -> Source:
    """Return a file's rows, or those that a template has rendered as JSON.

    :raises DotyposInputError: if the text is neither an address nor JSON.
    """
    if not str(text).lstrip().startswith(("[", "{", "(")):  # rows, which no message may show
        return FileSource.of(text, argument)
    try:
        rows = _ROWS.decode(str(text))
    except (msgspec.MsgspecError, RecursionError):
        raise DotyposInputError(
            f"{argument} is text that looks like rows, and isn't a list in JSON: if a template rendered it, end the "
            "template with | tojson, or set render_template_as_native_obj=True on the DAG"
        ) from None
    return NamedRows(argument, rows)


#: A float would lose digits of a number.
_ROWS = msgspec.json.Decoder(list[Any], float_hook=Decimal)
