"""dlt's rest_api source over many lists, incremental on each list's cursor; run by the environment that has dlt."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from benchmarks.peers.lists import ListJob, params, run, table

_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}
_BEGINNING = "1970-01-01T00:00:00.000Z"


def _milliseconds(value: str) -> str:
    return str(round(datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() * 1000))


def _resource(one: dict[str, Any]) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "path": one["path"],
        "params": params(one, "{incremental.start_value}"),
        "data_selector": "data" if one["paged"] else "$",
        # An empty list may be a 404.
        "response_actions": [{"status_code": 404, "action": "ignore"}],
    }
    if one["paged"]:
        # The answer names the next page: unlike counting pages, this needs no empty page to see the end.
        endpoint["paginator"] = {"type": "cursor", "cursor_path": "nextPage", "cursor_param": "page"}
        endpoint["params"]["page"] = "1"
    else:
        endpoint["paginator"] = "single_page"
    if one["parent"]:
        endpoint["path"] = one["path"].replace("{warehouse_id}", "{resources.warehouses.id}")
    if one["cursor"]:
        endpoint["incremental"] = {
            "cursor_path": one["cursor"],
            "initial_value": _BEGINNING,
            "on_cursor_value_missing": "include",
            "convert": _milliseconds,
        }
    return {"name": table(one["name"]), "primary_key": "id", "endpoint": endpoint}


def _with_whole_parents(lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lists; those below which others lie are read whole, for no child of a quiet parent would be read."""
    parents = {one["parent"] for one in lists}
    return [one | ({"cursor": None, "sorted": False} if one["name"] in parents else {}) for one in lists]


def read(job: ListJob) -> None:
    """Extract, normalize and load what is new in each list."""
    os.environ.update(_SETTINGS | {"DLT_DATA_DIR": f"{job.folder}/dlt"})
    import dlt
    from dlt.sources.rest_api import rest_api_source

    pipeline = dlt.pipeline(
        "lists",
        pipelines_dir=f"{job.folder}/pipelines",
        destination=dlt.destinations.filesystem(bucket_url=f"file://{job.folder}"),
        dataset_name="rows",
    )
    source = rest_api_source(
        {
            "client": {
                "base_url": job.url,
                "auth": {"type": "bearer", "token": job.token},
                "headers": {"Allow-Version": "BC1"},
            },
            "resource_defaults": {"write_disposition": "append", "max_table_nesting": 0},
            "resources": [_resource(one) for one in _with_whole_parents(job.lists)],
        }
    )
    pipeline.run(source, loader_file_format="jsonl").raise_on_failed_jobs()


if __name__ == "__main__":
    run(read)
