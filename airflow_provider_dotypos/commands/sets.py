"""A committed set of files as a person looks at it: what it is, and what its tables hold."""

from __future__ import annotations

from typing import Any

from airflow_provider_dotypos.commands.output import Report, fields_below_each_other
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.manifest import CommittedSet


def set_report(committed: CommittedSet, first: dict[str, Report] | None = None) -> Report:
    """Return what a set holds.

    :param first: the first rows of tables, to print below it.
    """
    facts, tables = _facts(committed), _tables(committed)
    whole = {**facts, "tables": tables} | {f"first {table}": rows.rows for table, rows in (first or {}).items()}
    short = [{**line, "columns": _count(line["columns"])} for line in tables]
    return Report([whole], tables=(fields_below_each_other(facts), Report(short), *(first or {}).values()))


def _facts(committed: CommittedSet) -> dict[str, Any]:
    manifest = committed.manifest
    return {
        "entity": manifest.entity,
        "cloud": str(manifest.cloud_id),
        "since": manifest.since or "the beginning",
        "until": manifest.until,
        "changes until": manifest.tail_until or manifest.until,
        "filter": manifest.filter or "none",
        "snapshot": manifest.snapshot,
        "format": " ".join(filter(None, (manifest.file_format, manifest.compression))),
        "rows": str(manifest.rows),
        "different ids": str(manifest.distinct_ids),
        "misfits": manifest.misfits or "none",
        "written by": f"airflow-provider-dotypos {manifest.package_version}",
        "manifest": str(committed.path),
    }


def _tables(committed: CommittedSet) -> list[dict[str, Any]]:
    """Return what each table holds; the columns are none where its rows are as they came."""
    sizes = Store(committed.path.parent).list()
    files = {committed.manifest.entity: committed.files, **committed.children}
    return [
        {
            "table": name,
            "rows": str(rows),
            "files": str(len(files[name])),
            "bytes": str(sum(sizes.get(file.name, 0) for file in files[name])),
            "columns": committed.manifest.columns.get(name),
        }
        for name, rows in committed.tables.items()
    ]


def _count(columns: list[str] | None) -> str:
    return "all, as they came" if columns is None else str(len(columns))
