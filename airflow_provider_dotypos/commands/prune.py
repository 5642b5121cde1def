"""``airflow dotypos prune``: sets that aren't needed any more are removed."""

from __future__ import annotations

import argparse

from airflow_provider_dotypos.commands.options import Option, number
from airflow_provider_dotypos.commands.output import Report, note, tell
from airflow_provider_dotypos.commands.upkeep import list_options, note_unchanged, over_lists
from airflow_provider_dotypos.transfers.wording import count, size

#: Most days of an age: a hundred years.
_LONGEST = 36_500

_DAY = 86_400_000


def options() -> list[Option]:
    """Return the command's options."""
    grace = "days for which a covered set stays after the one that covers it was made (default: 1)"
    older_than = "of ENTITY also remove what nothing covers, if its window ended so many days ago: rows are gone then"
    return list_options(
        (("--grace",), {"type": number(0, _LONGEST), "default": 1.0, "metavar": "DAYS", "help": grace}),
        (("--older-than",), {"type": number(1, _LONGEST), "metavar": "DAYS", "help": older_than}),
    )


def run(args: argparse.Namespace) -> int:
    """Print what is removed, or would be, and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.lake.pruning import preview_pruning, prune_list
    from airflow_provider_dotypos.lake.upkeep import pruned_rows, pruned_totals, read_entities, refuse_retention_of_all

    grace = int(args.grace * _DAY)
    older_than = None if args.older_than is None else int(args.older_than * _DAY)
    refuse_retention_of_all(older_than, None if args.entity is None else read_entities(args.entity))
    work = prune_list if args.yes else preview_pruning
    done = over_lists(args, lambda folder: work(folder, grace=grace, older_than=older_than))
    totals = pruned_totals(done)
    if not done:
        note("Nothing to prune: no compacted set covers others, or not for long enough (--grace 0 doesn't wait).")
    else:
        note(
            f"{count(totals['sets'], 'sets')} {'are removed' if args.yes else 'would be removed'}: "
            f"{totals['covered']:,} covered by compacted ones, {totals['by_age']:,} by age, {size(totals['bytes'])}."
        )
        if not args.yes:
            note_unchanged()
    return Report(pruned_rows(done), narrow=("entity", "sets", "rows", "bytes", "because"), empty="")
