"""``airflow dotypos erase``: a customer's personal data out of files and tables."""

from __future__ import annotations

import argparse
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from airflow_provider_dotypos.commands.options import (
    DATABASE_CONN_ID,
    DESTINATION_CONN_ID,
    OUTPUT,
    SCHEMA,
    YES,
    Option,
    cloud_id,
    whole_number,
)
from airflow_provider_dotypos.commands.output import (
    ATTENTION,
    WELL,
    Report,
    WrongUsageError,
    fields_below_each_other,
    note,
    tell,
)
from airflow_provider_dotypos.commands.upkeep import note_unchanged, store_path

if TYPE_CHECKING:
    from airflow_provider_dotypos.lake.erasure.report import ErasureReport

#: Ids are 64-bit integers.
_ID = whole_number(1, 2**63 - 1)


def options() -> list[Option]:
    """Return the command's options."""
    destination = "the folder that extractions were given, whose sets are searched"
    unfinished = "also remove files that unfinished extractions have left; let none run meanwhile"
    return [
        (("what",), {"choices": ["customer"], "metavar": "customer", "help": "whose data: a customer's"}),
        (("id",), {"type": _ID, "metavar": "ID", "help": "the customer's id"}),
        (("--destination",), {"metavar": "FOLDER", "help": destination}),
        DESTINATION_CONN_ID,
        DATABASE_CONN_ID,
        SCHEMA,
        (("--cloud-id",), {"type": cloud_id, "help": "the customer's cloud (default: the only one there is data of)"}),
        (("--remove-unfinished",), {"action": "store_true", "help": unfinished}),
        (("--report",), {"metavar": "FILE", "help": "also write the whole report to this file, as JSON"}),
        YES,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Search or erase, print what was found, and return the exit code."""
    return tell(args, lambda: _report(args), with_log=True)


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.lake.erasure.erasing import Erasure
    from airflow_provider_dotypos.lake.erasure.report import require_room_for, write_report
    from airflow_provider_dotypos.transfers.sql.database import Database

    if args.destination is None and args.database_conn_id is None:
        raise WrongUsageError("Give --destination, --database-conn-id, or both: they say where to erase.")
    database = Database.of(args.database_conn_id, 1) if args.database_conn_id else None
    place = None if args.destination is None else store_path(args, args.destination)
    file = store_path(args, args.report, "report") if args.report else None
    if file is not None:
        require_room_for(file)
    with closing(database) if database is not None else nullcontext():
        erasure = Erasure(
            args.id,
            place,
            database,
            args.schema,
            args.cloud_id,
            dry_run=not args.yes,
            remove_unfinished=args.remove_unfinished,
        )
        report = erasure.run()
    if file is not None:
        write_report(report, file)
    for line in report.warnings():
        note(line)
    if report.dry_run and report.totals()["changed"]:
        note_unchanged()
    return _printed(report)


def _printed(report: ErasureReport) -> Report:
    """Return the report as it is printed: people see the places, and below them where else the data may be."""
    whole = report.as_mapping()
    places = [
        {
            "state": place["state"],
            "rows": str(place["rows"]),
            "values": str(sum(place["fields"].values())),
            "of": place["table"],
            "place": place["place"],
            "fields": ", ".join(f"{name} {number}" for name, number in place["fields"].items()),
        }
        for place in whole["places"]
    ]
    totals = {name: str(value) for name, value in report.totals().items()}
    elsewhere = [{"not searched": text} for text in whole["not_searched"]]
    return Report(
        [whole],
        code=WELL if report.whole else ATTENTION,
        tables=(Report(places, empty=""), fields_below_each_other(totals), Report(elsewhere)),
    )
