"""A plan for people: as a table in the log, and as Markdown for an approver. Personal data comes as marks.

Nothing of a row appears in any other log or message.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.writes.personal import hashed
from airflow_provider_dotypos.writes.plan import ACTIONS, PlanHeader, PlannedRow
from airflow_provider_dotypos.writes.price import spoken_price

#: The longest cell, in characters.
_WIDEST = 40

#: What Markdown or HTML would take for more than text.
_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|~&"})

#: What a row that is to be written is called, where the operation's name is no noun.
_NOUNS = {"anonymize": "anonymization"}

_HEADINGS = ("", "key", "field", "before", "after")


class Line(NamedTuple):
    """A field of a planned row, or the row itself where it has none to show.

    :param op: what is to be done; empty below the row's first line, as is `key`.
    :param after: what the field is to hold; of a conflict, why it is one.
    """

    op: str
    key: str
    field: str = ""
    before: str = ""
    after: str = ""


def lines(entity: Entity, header: PlanHeader, rows: Iterable[PlannedRow]) -> Iterator[Line]:
    """Yield the lines of planned rows.

    :param header: the plan's header, whose salt makes the marks of personal data.
    """
    for planned in rows:
        key = " / ".join(
            _shown(entity, name, value, header.salt) for name, value in zip(header.match, planned.key, strict=True)
        )
        if not planned.after:
            yield Line(planned.op, key, after=planned.why or "")
            continue
        first: tuple[str, str] = (planned.op, key)
        for name, value in planned.after.items():
            before = _shown(entity, name, planned.before[name], header.salt) if name in planned.before else ""
            yield Line(*first, name, before, _shown(entity, name, value, header.salt))
            first = ("", "")


def log_table(entity: Entity, header: PlanHeader, rows: Iterable[PlannedRow], most: int) -> str:
    """Return planned rows as a table for a log; nothing if there are none.

    :param most: how many rows it shows; the last line says how many there are besides.
    """
    shown = [*lines(entity, header, itertools.islice(rows, most))]
    if not shown:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(_HEADINGS, *shown, strict=True)]
    texts = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in (_HEADINGS, *shown)]
    return "\n".join([*texts, *_more(header, most)])


def headline(entity: Entity, header: PlanHeader, cloud: str, budget: Budget | None) -> str:
    """Return what a plan does and what it costs.

    :param cloud: the cloud for people.
    :param budget: the connection's request budget.
    """
    text = f"{cloud}: {describe(entity, header.counts)}."
    if header.requests["patch"]:
        text += f" Applying takes {spoken_price(header.requests, budget)}."
    return text


def summary(entity: Entity, header: PlanHeader, rows: Iterable[PlannedRow], what: str, most: int) -> str:
    """Return a plan as Markdown: a line that says what it does and what it costs, and its first rows.

    :param what: that line, from `headline`.
    :param most: how many rows it shows.
    """
    text = what.translate(_MARKS)
    shown = [*lines(entity, header, itertools.islice(rows, most))]
    if not shown:
        return text
    table = [f"| {' | '.join(heading or ' ' for heading in _HEADINGS)} |", "|---" * len(_HEADINGS) + "|"]
    table += [f"| {' | '.join(cell.translate(_MARKS) for cell in line)} |" for line in shown]
    return "\n".join([text, "", *table, *(f"\n{more}" for more in _more(header, most))])


def describe(entity: Entity, counts: Mapping[str, int]) -> str:
    """Return what a plan does, in words: ``3 updates, 1 create and 2 conflicts of products; 94 are as they should be``.

    :param counts: from the plan's header.
    """
    parts = [
        f"{counts[op]:,} {_NOUNS.get(op, op)}{'' if counts[op] == 1 else 's'}"
        for op in (*ACTIONS, "conflict")
        if counts.get(op)
    ]
    rows = entity.name.replace("-", " ")
    done = "nothing to do" if not parts else _joined(parts)
    rest = counts.get("unchanged", 0)
    of = f"{done} of {rows}" if parts else f"{done} for {rows}"
    return f"{of}; {rest:,} {'is as it' if rest == 1 else 'are as they'} should be" if rest else of


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _more(header: PlanHeader, most: int) -> Iterator[str]:
    left = sum(header.counts.get(op, 0) for op in (*ACTIONS, "conflict")) - most
    if left > 0:
        yield f"… and {left:,} more row{'' if left == 1 else 's'}, in the plan's file"


def _shown(entity: Entity, name: str, value: Any, salt: str) -> str:
    """Return a value in one short line; a mark, if it is personal."""
    if entity.field(name).personal:
        return hashed(value, salt)
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else _text(value)
    text = "".join(character if character.isprintable() else "·" for character in text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "[]"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {text}" for name, text in value.items()) or "{}"
    return str(value) or '""'
