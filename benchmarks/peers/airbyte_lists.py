"""A declarative (low-code) Airbyte source over many lists, incremental on each list's cursor; records as JSON lines.

Run by the environment that has airbyte-cdk. Records go straight to files, without the cost of a destination, and the
last state of each stream is kept for the next run.
"""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.orders import PAGE
from benchmarks.peers.lists import ListJob, params, run, table

_TIMES = "%Y-%m-%dT%H:%M:%S.%_ms%z"


def read(job: ListJob) -> None:
    """Read what is new in each list."""
    import orjson
    from airbyte_cdk.models import (
        AirbyteStateMessageSerializer,
        ConfiguredAirbyteCatalogSerializer,
        Type,
    )
    from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

    logging.getLogger("airbyte").setLevel(logging.ERROR)
    kept = Path(job.folder) / "state.json"
    states: dict[str, Any] = json.loads(kept.read_bytes()) if kept.exists() else {}
    catalog = ConfiguredAirbyteCatalogSerializer.load({"streams": [_configured(one) for one in job.lists]})
    state = [AirbyteStateMessageSerializer.load(each) for each in states.values()]
    source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=state, source_config=_manifest(job))
    with ExitStack() as files:
        rows = {}
        for one in job.lists:
            folder = job.rows / table(one["name"])
            folder.mkdir(parents=True, exist_ok=True)
            rows[one["name"]] = files.enter_context((folder / f"{job.until}.jsonl").open("wb"))
        for message in source.read(logging.getLogger("airbyte"), {}, catalog, state):
            if message.type == Type.RECORD:
                rows[message.record.stream].write(orjson.dumps(message.record.data) + b"\n")
            elif message.type == Type.STATE:
                name = message.state.stream.stream_descriptor.name
                states[name] = AirbyteStateMessageSerializer.dump(message.state)
    kept.write_text(json.dumps(states))


def _configured(one: dict[str, Any]) -> dict[str, Any]:
    mode = "incremental" if one["cursor"] else "full_refresh"
    modes = ["full_refresh", "incremental"] if one["cursor"] else ["full_refresh"]
    return {
        "stream": {"name": one["name"], "json_schema": {}, "supported_sync_modes": modes},
        "sync_mode": mode,
        "destination_sync_mode": "append",
    }


def _manifest(job: ListJob) -> dict[str, Any]:
    return {
        "version": "7.39.1",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [job.lists[0]["name"]]},
        "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": 2, "max_concurrency": 2},
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
        "streams": [_stream(job, one) for one in job.lists],
    }


def _stream(job: ListJob, one: dict[str, Any]) -> dict[str, Any]:
    retriever: dict[str, Any] = {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester",
            "url_base": job.url,
            "path": one["path"].replace("{warehouse_id}", "{{ stream_partition.warehouse }}"),
            "http_method": "GET",
            "authenticator": {"type": "BearerAuthenticator", "api_token": job.token},
            "request_headers": {"Allow-Version": "BC1"},
            "request_parameters": params(one, "{{ stream_interval.start_time }}", "{{ stream_interval.end_time }}"),
            "error_handler": {
                "type": "DefaultErrorHandler",  # an empty list may be a 404
                "response_filters": [{"type": "HttpResponseFilter", "http_codes": [404], "action": "IGNORE"}],
            },
        },
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["data"] if one["paged"] else []},
        },
    }
    if one["paged"]:
        retriever["paginator"] = _paginator()
    if one["parent"]:
        retriever["partition_router"] = {
            "type": "SubstreamPartitionRouter",
            "parent_stream_configs": [
                {
                    "type": "ParentStreamConfig",
                    "parent_key": "id",
                    "partition_field": "warehouse",
                    "stream": _stream(job, next(each for each in job.lists if each["name"] == one["parent"])),
                }
            ],
        }
    stream: dict[str, Any] = {
        "type": "DeclarativeStream",
        "name": one["name"],
        "primary_key": "id",
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": {"type": "object", "additionalProperties": True, "properties": {}},
        },
        "retriever": retriever,
    }
    if one["cursor"]:
        stream["incremental_sync"] = {
            "type": "DatetimeBasedCursor",
            "cursor_field": one["cursor"],
            "cursor_datetime_formats": [_TIMES],
            "datetime_format": "%ms",
            "start_datetime": {"type": "MinMaxDatetime", "datetime": "0", "datetime_format": "%ms"},
            "end_datetime": {"type": "MinMaxDatetime", "datetime": str(job.until), "datetime_format": "%ms"},
        }
    return stream


def _paginator() -> dict[str, Any]:
    """Follow the answer's number of the next page: unlike counting pages, this needs no empty page to see the end."""
    return {
        "type": "DefaultPaginator",
        "page_token_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "page"},
        "pagination_strategy": {
            "type": "CursorPagination",
            "page_size": PAGE,
            "cursor_value": "{{ response['nextPage'] }}",
            "stop_condition": "{{ not response['nextPage'] }}",
        },
    }


if __name__ == "__main__":
    run(read)
