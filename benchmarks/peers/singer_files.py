"""A Singer tap, its messages as JSON lines; run by the environment that has singer-sdk.

The tap's messages go straight to the file, without the cost of a target. A tap reads one page after another.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import Any, ClassVar

import msgspec
import requests
from singer_sdk import RESTStream, Stream, Tap
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.helpers._typing import TypeConformanceLevel
from singer_sdk.pagination import PageNumberPaginator

from benchmarks.child import Job
from benchmarks.orders import PATH, encoded_row


def _schema() -> dict[str, Any]:
    """Return a schema of the row that the server sends, every field nullable."""
    kinds = {bool: {"type": ["boolean", "null"]}, list: {"type": ["array", "null"], "items": {"type": "string"}}}
    row = json.loads(encoded_row(0, 0))
    fields = {name: kinds.get(type(value), {"type": ["string", "null"]}) for name, value in row.items()}
    return {"type": "object", "properties": fields}


class Orders(RESTStream[int]):
    """Orders of one window. It ends at the first empty page: looking for a next page would decode each answer twice."""

    name = "orders"
    path = PATH
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"

    @property
    def url_base(self) -> str:
        return str(self.config["url"])

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        return BearerTokenAuthenticator(token="benchmark")

    def get_new_paginator(self) -> PageNumberPaginator:
        return PageNumberPaginator(start_value=1)

    def get_url_params(self, context: Any, next_page_token: int | None) -> dict[str, Any]:
        return {**self.config["query"], "page": next_page_token}


class FastOrders(Orders):
    """The same, tuned: values aren't converted to fit the schema, and msgspec decodes."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        rows: list[dict[str, Any]] = msgspec.json.decode(response.content)["data"]
        return rows


class OrdersTap(Tap):
    """A tap of one stream."""

    name = "tap-orders"
    config_jsonschema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"url": {"type": "string"}, "query": {"type": "object"}},
    }
    stream: type[Orders] = Orders

    def discover_streams(self) -> list[Stream]:
        return [self.stream(self, schema=_schema())]


class FastTap(OrdersTap):
    """The same, with msgspec for its messages."""

    message_writer_class = MsgSpecWriter
    stream = FastOrders


def extract(job: Job, fast: bool = False) -> None:
    """Run the tap, with its standard output in the file."""
    logging.disable(logging.WARNING)
    tap = (FastTap if fast else OrdersTap)(config={"url": job.url, "query": job.query()})
    with (job.folder / "rows.jsonl").open("wb") as file, redirect_stdout(io.TextIOWrapper(file)):
        tap.sync_all()
