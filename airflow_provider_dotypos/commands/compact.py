"""``airflow dotypos compact``: the many sets of each month become one."""

from __future__ import annotations

import argparse
import time

from airflow_provider_dotypos.commands.options import Option
from airflow_provider_dotypos.commands.output import Report, note, tell
from airflow_provider_dotypos.commands.upkeep import list_options, note_unchanged, over_lists
from airflow_provider_dotypos.transfers.wording import count, size


def options() -> list[Option]:
    """Return the command's options."""
    until = "compact only months that have ended by then, such as 2026-03-01 (default: now)"
    return list_options((("--until",), {"metavar": "TIME", "help": until}))


def run(args: argparse.Namespace) -> int:
    """Print what becomes one set, or would, and return the exit code."""
    return tell(args, lambda: _report(args), with_log=args.yes)


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.lake.compaction import compact_list, preview_compaction
    from airflow_provider_dotypos.lake.upkeep import compacted_rows, compacted_totals, read_until

    until = read_until(args.until, time.time())
    work = compact_list if args.yes else preview_compaction
    done = over_lists(args, lambda folder: work(folder, until))
    totals = compacted_totals(done)
    if not done:
        note("Nothing to compact: each month that has ended is one set already, or has one alone.")
    else:
        become = "are" if args.yes else "would become"
        before, after = (size(totals[name]) for name in ("bytes_before", "bytes"))
        note(
            f"{count(totals['sets'], 'sets')} {become} {count(totals['compacted'], 'sets')}: "
            f"{totals['rows']:,} rows instead of {totals['rows_before']:,}, {after} instead of {before}. "
            "The sets that they are made of stay until they are pruned."
        )
        if not args.yes:
            note_unchanged()
    return Report(compacted_rows(done), narrow=("entity", "since", "until", "sets", "rows before", "rows"), empty="")
