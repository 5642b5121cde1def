"""The orders of the benchmarks' server: rows encoded once and found by ``versionDate``, and a record of those sent.

Usual rows differ only in id, number and times. They lie evenly in time, or as on a day with a lunch and an evening.
"""

from __future__ import annotations

import hashlib
import json
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timezone

CLOUD_ID = 123456789
FIRST_ID = 5_000_000_000_000_001
START = 1_768_456_800_000
"""``versionDate`` of the first of the even rows, in epoch milliseconds (2026-01-15T06:00:00Z)."""
STEP = 37
"""Milliseconds between one even row's ``versionDate`` and the next one's: strictly increasing, no ties."""
DAY = (1_768_435_200_000, 1_768_521_600_000)
"""The uneven day, in epoch milliseconds."""

PAGE = 100
PATH = f"/v2/clouds/{CLOUD_ID}/orders"


def moment(index: int) -> int:
    """Return the ``versionDate`` of an even row in epoch milliseconds. The row after the last has the window's end."""
    return START + STEP * index


def even(rows: int) -> list[int]:
    """Return the ``versionDate`` of each of that many rows, at equal distances."""
    return [moment(index) for index in range(rows)]


def uneven(rows: int) -> list[int]:
    """Return the ``versionDate`` of rows of a day: most come at lunch and in the evening, and 130 at one instant."""
    chance = random.Random(rows)
    start, end = DAY
    moments = [start + int(chance.gauss(chance.choice([12, 19.5]), 1) * 3_600_000) % (end - start) for _ in range(rows)]
    moments[:130] = [moments[0]] * min(130, rows)
    return sorted(moments)


def iso(milliseconds: int) -> str:
    date = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    return f"{date:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def encoded_row(index: int, changed: int) -> bytes:
    """Return an order as the API sends it: some forty fields, about 1 KiB, numbers as text."""
    return json.dumps(
        {
            "id": str(FIRST_ID + index),
            "_branchId": "111222333",
            "_cloudId": str(CLOUD_ID),
            "_courseId": None,
            "_customerId": "4000000000000001",
            "_eetSubjectId": None,
            "_employeeId": "3000000000000001",
            "_relatedInvoiceId": None,
            "_relatedOrderId": None,
            "_sellerId": None,
            "_sourceOrderId": None,
            "_tableId": "6000000000000007",
            "documentNumber": f"20260115{index:06d}",
            "documentType": "RECEIPT",
            "externalId": None,
            "status": "closed",
            "paid": True,
            "parked": False,
            "flags": "256",
            "currency": "CZK",
            "itemCount": "3",
            "guestCount": "2",
            "points": "0",
            "tipAmount": "20",
            "totalValueRounded": "485",
            "note": "stůl u okna, účet zvlášť",
            "tags": ["terrace", "regular"],
            "bkp": "35F1D2A7-9C04B6E8-11AA73C5-0D42FE96-8B6C1E07",
            "pkp": None,
            "fik": "b3a09b52-7c87-4014-a496-4c7a53cf9120-03",
            "printData": "",
            "merchantPrintData": None,
            "locationDate": None,
            "locationLatitude": None,
            "locationLongitude": None,
            "locationAccuracy": None,
            "created": iso(changed - 123_000),
            "updated": iso(changed - 3_000),
            "completed": iso(changed - 3_000),
            "canceledDate": None,
            "versionDate": iso(changed),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def encoded_other_row(index: int, changed: int) -> bytes:
    """Return an order of another make: about 2 kB, texts that no two rows share, and fields that we don't know."""
    row = json.loads(encoded_row(index, changed))
    digest = hashlib.sha256(str(index).encode()).hexdigest()
    row.update(
        documentNumber=f"{digest[:12]}-{index}",
        externalId=digest,
        bkp="-".join((digest[:8], digest[8:16], digest[16:24], digest[24:32], digest[32:40])).upper(),
        fik=f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}-03",
        pkp=digest * 5,
        note=f"stůl {digest[40:44]}, účet zvlášť, {digest[44:]}",
        printData=digest * 5,
        _customerId=str(4_000_000_000_000_000 + int(digest[:8], 16)),
        totalValueRounded=f"{int(digest[:4], 16)}.{int(digest[4:6], 16)}",
        fiscalNumber=digest[:24],
        channel={"name": digest[:8], "order": digest[8:40]},
    )
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


#: The kinds of rows.
MAKES = {"usual": encoded_row, "other": encoded_other_row}


class Orders:
    """The rows, and a record of those that were sent.

    :param moments: their ``versionDate``, in order.
    :param make: one of ``MAKES``.
    :ivar sent: the numbers of the rows of each list answer so far.
    """

    def __init__(self, moments: Sequence[int], make: str = "usual") -> None:
        self._moments = moments
        self._rows = [MAKES[make](index, changed) for index, changed in enumerate(moments)]
        self.sent: list[Sequence[int]] = []

    def page(self, query: dict[str, list[str]]) -> bytes:
        """Return the body of a list answer: the page ``page`` of ``limit`` rows that meet the filter."""
        found = self._found(query.get("filter", [""])[0])
        limit, page = int(query["limit"][0]), int(query["page"][0])
        shown = found[limit * (page - 1) : limit * page]
        self.sent.append(shown)
        following = f'"{page + 1}"' if limit * page < len(found) else "null"
        before = f'"{page - 1}"' if page > 1 else "null"
        head = (
            f'{{"currentPage":"{page}","perPage":"{limit}","totalItemsOnPage":"{len(shown)}","totalItemsCount":null,'
            f'"firstPage":"1","lastPage":null,"nextPage":{following},"prevPage":{before},"data":['
        )
        rows = self._rows[shown.start : shown.stop] if isinstance(shown, range) else [self._rows[i] for i in shown]
        return b"".join((head.encode(), b",".join(rows), b"]}"))

    def _found(self, filter: str) -> Sequence[int]:
        """Return the numbers of the rows that meet all conditions."""
        first, end = 0, len(self._moments)
        excluded: set[int] = set()
        for condition in filter.split(";") if filter else ():
            field, operator, value = condition.split("|")
            if (field, operator) == ("versionDate", "gteq"):
                first = max(first, bisect_left(self._moments, int(value)))
            elif (field, operator) == ("versionDate", "lt"):
                end = min(end, bisect_left(self._moments, int(value)))
            elif (field, operator) == ("versionDate", "lteq"):
                end = min(end, bisect_right(self._moments, int(value)))
            elif (field, operator) == ("id", "notin"):
                excluded |= {int(id) - FIRST_ID for id in value.split(",")}
            else:
                raise ValueError(f"this server has no {field} {operator}")
        found = range(first, max(first, end))
        return [index for index in found if index not in excluded] if excluded else found
