"""dlt's rest_api source to its filesystem destination; run by the environment that has dlt."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.child import Job, window_query
from benchmarks.orders import PATH

#: Settings of each run: no telemetry, and uncompressed files (jsonl is compressed otherwise).
SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "EXTRACT__WORKERS": "16",
    "EXTRACT__MAX_PARALLEL_ITEMS": "32",
}


def extract(job: Job, windows: int = 1, file_format: str = "jsonl", settings: dict[str, str] | None = None) -> None:
    """Extract, normalize and load.

    :param windows: number of resources that the window is cut into, for extraction in parallel.
    :param settings: further settings, as dlt reads them from the environment.
    """
    os.environ.update(SETTINGS | {"DLT_DATA_DIR": f"{job.folder}-dlt"} | (settings or {}))
    import dlt

    pipeline = dlt.pipeline(
        "orders",
        pipelines_dir=f"{job.folder}-pipelines",
        destination=dlt.destinations.filesystem(bucket_url=f"file://{job.folder}"),
        dataset_name="dotypos",
    )
    orders = source(job, windows, write_disposition="append")
    pipeline.run(orders, loader_file_format=file_format).raise_on_failed_jobs()


def source(job: Job, windows: int, **defaults: Any) -> Any:
    """Return the source of a job's rows.

    :param windows: number of resources that the window is cut into, for extraction in parallel.
    :param defaults: what holds for all of them.
    """
    from dlt.sources.rest_api import rest_api_source

    resources: list[Any] = [
        {
            "name": f"orders_{number}",
            "table_name": "orders",
            "endpoint": {
                "path": PATH,
                "data_selector": "data",
                "params": {**job.query(), **window_query(since, until), "page": "1"},
            },
        }
        for number, (since, until) in enumerate(job.cut(windows))
    ]
    return rest_api_source(
        {
            "client": {
                "base_url": job.url,
                "auth": {"type": "bearer", "token": "benchmark"},
                # The answer names the next page: unlike counting pages, this needs no empty page to see the end.
                "paginator": {"type": "cursor", "cursor_path": "nextPage", "cursor_param": "page"},
            },
            "resource_defaults": {"max_table_nesting": 0, **defaults},
            "resources": resources,
        },
        parallelized=True,  # as an argument: of a resource or of resource_defaults it has no effect in this release
    )
