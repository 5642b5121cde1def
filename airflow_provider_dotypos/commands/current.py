"""The current table of a list as a person looks at it: which time it covers, and what its tables hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.commands.output import ATTENTION, WELL, Report, fields_below_each_other, note
from airflow_provider_dotypos.lake.current import CurrentTable


def current_report(current: CurrentTable, first: Mapping[str, Report]) -> Report:
    """Return what a current table holds.

    :param first: the first rows of tables, to print below it.
    """
    facts = {"entity": current.entity, "cloud": str(current.cloud_id), "sets": str(len(current.sets))}
    times = {"covered": _times(current.covered), "gaps": _times(current.gaps)}
    tables = [{"table": table, "rows": str(current.count(table))} for table in current.tables]
    whole = {**facts, **times, "tables": tables} | {f"first {table}": rows.rows for table, rows in first.items()}
    lines = Report([{"what": what, **time} for what, some in times.items() for time in some or [_NOTHING]])
    code = WELL
    if current.gaps:
        code = ATTENTION
        some = "1 gap" if len(current.gaps) == 1 else f"{len(current.gaps)} gaps"
        note(f"{current.entity}: {some}, where no set covers what has changed. Extract these windows.")
    return Report([whole], code, tables=(fields_below_each_other(facts), lines, Report(tables), *first.values()))


def _times(windows: Iterable[Window]) -> list[dict[str, str]]:
    return [
        {"since": "the beginning" if window.since is None else iso(window.since), "until": iso(window.until)}
        for window in windows
    ]


#: Stands for no time at all.
_NOTHING = {"since": "none", "until": "none"}
