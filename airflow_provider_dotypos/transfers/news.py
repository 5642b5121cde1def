"""What a task's log says of fields that the entity table doesn't know: once a run, and since when they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.transfers.rows.new_fields import NewField, NewFieldsByTable

log = list_log(__name__)

#: What becomes of fields that aren't known: they stay in the rows, go into `UNKNOWN`, or aren't wanted.
Kept: TypeAlias = Literal["as they came", "aside", "omitted"]

#: Where windows begin in which fields were first seen, by table and by field.
FirstSeen: TypeAlias = Mapping[str, Mapping[str, str]]

_WHERE: Mapping[Kept, str] = {
    "as they came": "Rows hold them as they came.",
    "aside": "Values of such fields are kept in the column _unknown.",
    "omitted": "Such fields are omitted, as only known fields are wanted.",
}


_BEGINNING = "the beginning"


def beginning(window: Window) -> str:
    """Return where a window begins, in ISO 8601 or in words."""
    return _BEGINNING if window.since is None else iso(window.since)


def tell_news(entity: str, new_fields: NewFieldsByTable, begins: str, earlier: FirstSeen | None, kept: Kept) -> None:
    """Log fields that aren't known, if there are any: a warning only if they are kept aside.

    :param begins: where the window begins.
    :param earlier: those that were seen before, and since when; ``None`` if that can't be found out.
    """
    new, known = [], []
    for table, fields in new_fields.items():
        for name, field in fields.items():
            shown = name if table == entity else f"{table}.{name}"
            since = (earlier or {}).get(table, {}).get(name)
            if since is None or _order(begins) <= _order(since):
                new.append(f"'{shown}' ({field.kind})")
            else:
                known.append(f"'{shown}' ({field.kind}, since {since})")
    if not new and not known:
        return
    sentences = []
    if new:
        noun, when = _noun(new), " since this window" if earlier is not None else " that this package doesn't know"
        sentences.append(f"{entity} has {noun}{when}: {', '.join(new)}.")
    if known:
        begin = f"{entity} has" if not new else "It still has"
        sentences.append(f"{begin} {_noun(known)} that this package doesn't know: {', '.join(known)}.")
    say = log.warning if kept == "aside" else log.info
    say("%s %s A newer airflow-provider-dotypos may know more fields.", " ".join(sentences), _WHERE[kept])


def _noun(names: list[str]) -> str:
    return "a new field" if len(names) == 1 else "new fields"


def with_first_seen(
    earlier: Mapping[str, Mapping[str, str]], new_fields: Mapping[str, Mapping[str, NewField]], since: str
) -> dict[str, dict[str, str]]:
    """Return what was seen first when, once fields were seen in a window.

    :param since: where the window begins.
    """
    seen = {table: dict(fields) for table, fields in earlier.items()}
    for table, fields in new_fields.items():
        for name in fields:
            of_table = seen.setdefault(table, {})
            of_table[name] = min(of_table.get(name, since), since, key=_order)
    return seen


def _order(begins: str) -> str:
    return "" if begins == _BEGINNING else begins
