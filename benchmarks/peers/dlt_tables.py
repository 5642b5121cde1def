"""dlt's rest_api source to its PostgreSQL destination, merged by id; run by the environment that has dlt."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.child import Job
from benchmarks.peers.dlt_files import SETTINGS, source
from benchmarks.tables import check as check
from benchmarks.tables import schema_of


def extract(
    job: Job, database: str, windows: int = 1, strategy: str = "delete-insert", file_format: str | None = None
) -> None:
    """Extract, normalize, load and merge.

    :param database: where the server's socket is.
    :param windows: number of resources that the window is cut into, for extraction in parallel.
    :param strategy: how dlt merges.
    :param file_format: what it loads from. Defaults to dlt's own choice.
    """
    os.environ.update(SETTINGS | {"DLT_DATA_DIR": f"{job.folder}-dlt"})
    import dlt

    pipeline = dlt.pipeline(
        "orders",
        pipelines_dir=f"{job.folder}-pipelines",
        destination=dlt.destinations.postgres(
            credentials=f"postgresql://postgres:none@localhost/postgres?host={database}"
        ),
        dataset_name=schema_of(job),
    )
    merge: dict[str, Any] = {"disposition": "merge", "strategy": strategy}
    orders = source(job, windows, write_disposition=merge, primary_key="id")
    pipeline.run(orders, loader_file_format=file_format).raise_on_failed_jobs()
