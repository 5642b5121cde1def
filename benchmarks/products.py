"""A loopback server with more products than a sandbox holds: each is made of its number when it is asked for.

It answers what a plan asks: products by their external ids, and nothing else. The product of number 7 has the external
id ``SKU-7``, which is how ``source`` names it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.sandbox.api import wire
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN
from airflow_provider_dotypos.sandbox.shop.table import blank
from benchmarks.orders import CLOUD_ID
from benchmarks.server import running, serve, signed_in, whole_answer

_FIRST_ID = 4_100_000_000_000_000
_MOMENT = 1_772_366_400_000  # epoch milliseconds: when each was last changed
_ROW = blank(find_entity("products"), CLOUD_ID, "CZK", _MOMENT) | {"_categoryId": _FIRST_ID, "vat": 1.21}
_DIFFERENT = {"id", "externalId", "name", "priceWithVat", "priceWithoutVat"}
#: What all products have in common, as the rest of their JSON.
_ALIKE = json.dumps(wire.write_row({k: v for k, v in _ROW.items() if k not in _DIFFERENT}, BEST_KNOWN))[1:]
_ASKED = re.compile(r"externalId\|in\|([^;]*)")


def price(number: int) -> int:
    """Return the price of a product, VAT included."""
    return 20 + number % 400


class Products:
    """The server's answers.

    :param rows: how many products there are.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def answer(self, method: str, target: str) -> bytes:
        """Return the whole answer, head and body."""
        url = urlsplit(target)
        if method == "POST":
            return signed_in()
        if url.path == f"/v2/clouds/{CLOUD_ID}":
            return whole_answer(200, json.dumps({"id": str(CLOUD_ID), "name": "Benchmark"}).encode())
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        asked = _ASKED.search(query.get("filter", ""))
        if asked is None:  # as when only the number of rows is wanted
            return _page([_row(number) for number in range(int(query.get("limit", "20")))], self._rows)
        numbers = [int(id.removeprefix("SKU-")) for id in asked[1].split(",")]
        rows = [_row(number) for number in numbers if number < self._rows]
        return _page(rows, len(rows))


def _row(number: int) -> str:
    """Return a product as JSON."""
    with_vat = price(number)
    return (
        f'{{"id":"{_FIRST_ID + number}","externalId":"SKU-{number}","name":"Product {number}",'
        f'"priceWithVat":"{with_vat}","priceWithoutVat":"{with_vat / 1.21!r}",{_ALIKE}'
    )


def _page(rows: list[str], total: int) -> bytes:
    if not rows:
        return whole_answer(404, b"")
    envelope = {"currentPage": "1", "perPage": "100", "totalItemsOnPage": str(len(rows)), "firstPage": "1"}
    envelope |= {"totalItemsCount": str(total), "lastPage": str(-(-total // 100))}
    return whole_answer(200, f'{json.dumps(envelope)[:-1]},"data":[{",".join(rows)}]}}'.encode())


def write_source(path: Path, rows: int, every: int) -> int:
    """Write a CSV file with a price for each product, another one for some; return how many those are.

    :param every: each product whose number is a multiple of this has another price.
    """

    def lines() -> Iterator[str]:
        yield "externalId,priceWithVat\n"
        for number in range(rows):
            yield f"SKU-{number},{price(number) + (number % every == 0)}\n"

    with path.open("w") as file:
        file.writelines(lines())
    return -(-rows // every)


def serving(rows: int) -> AbstractContextManager[str]:
    """Serve in a process of its own; give the base URL."""
    return running("benchmarks.products", ["--rows", str(rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    asyncio.run(serve(Products(asked.rows), 0.0, asked.port))


if __name__ == "__main__":
    main()
