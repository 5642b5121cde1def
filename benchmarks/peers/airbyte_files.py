"""A declarative (low-code) Airbyte source, its records as JSON lines; run by the environment that has airbyte-cdk.

Records go from the source's messages straight to the file, without the cost of a destination.
"""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.child import Job, window_query
from benchmarks.orders import PAGE, PATH


def extract(job: Job, windows: int = 1, workers: int = 2) -> None:
    """Read the source.

    :param windows: partitions that the window is cut into; the concurrent source reads them at once.
    :param workers: its threads.
    """
    import orjson
    from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer, Type
    from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

    logging.getLogger("airbyte").setLevel(logging.ERROR)
    catalog = ConfiguredAirbyteCatalogSerializer.load(
        {
            "streams": [
                {
                    "stream": {"name": "orders", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
                    "sync_mode": "full_refresh",
                    "destination_sync_mode": "append",
                }
            ]
        }
    )
    manifest = _manifest(job, windows, workers)
    source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=[], source_config=manifest)
    with (job.folder / "rows.jsonl").open("wb") as file:
        for message in source.read(logging.getLogger("airbyte"), {}, catalog, []):
            if message.type == Type.RECORD:
                file.write(orjson.dumps(message.record.data))
                file.write(b"\n")


def _manifest(job: Job, windows: int, workers: int) -> dict[str, Any]:
    filters = [window_query(since, until)["filter"] for since, until in job.cut(windows)]
    return {
        "version": "7.39.1",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["orders"]},
        "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": workers, "max_concurrency": workers},
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
        "streams": [
            {
                "type": "DeclarativeStream",
                "name": "orders",
                "primary_key": "id",
                "schema_loader": {
                    "type": "InlineSchemaLoader",
                    "schema": {"type": "object", "additionalProperties": True, "properties": {}},
                },
                "retriever": {
                    "type": "SimpleRetriever",
                    "requester": {
                        "type": "HttpRequester",
                        "url_base": job.url,
                        "path": PATH,
                        "http_method": "GET",
                        "authenticator": {"type": "BearerAuthenticator", "api_token": "benchmark"},
                        "request_parameters": {
                            "filter": "{{ stream_partition.filter }}",
                            "sort": "versionDate",
                            "limit": str(PAGE),
                        },
                    },
                    "record_selector": {
                        "type": "RecordSelector",
                        "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
                    },
                    "partition_router": {"type": "ListPartitionRouter", "cursor_field": "filter", "values": filters},
                    "paginator": {
                        "type": "DefaultPaginator",
                        "page_token_option": {
                            "type": "RequestOption",
                            "inject_into": "request_parameter",
                            "field_name": "page",
                        },
                        "pagination_strategy": {
                            "type": "PageIncrement",
                            "page_size": PAGE,
                            "start_from_page": 1,
                            "inject_on_first_request": True,
                        },
                    },
                },
            }
        ],
    }
