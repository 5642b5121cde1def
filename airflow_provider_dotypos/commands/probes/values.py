"""The forms of values in answers: times, numbers, missing ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from airflow_provider_dotypos.api.characters import decode_json
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.commands.probes.asking import NOBODY, ProbedCloud, UnclearError, envelope_of

#: Lists whose first page shows enough, and no more about people than necessary.
_SAMPLED = ("orders", "order-items", "money-logs", "products", "categories", "taxes")
_NUMBERS = ("short", "int", "long", "double", "decimal")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:([.,])(\d+))?(Z|[+-]\d\d:?\d\d|)")
_OF_LIMITS = re.compile(r"rate.?limit|retry-after|quota|throttl", re.IGNORECASE)


def timestamps(cloud: ProbedCloud) -> str:
    """Return the forms of times: whether they have milliseconds, and how the zone is written."""
    times = [value for name, row in _rows(cloud) for value in _of_types(name, row, ("timestamp",))]
    if not times:
        raise UnclearError("no times in the rows seen")
    forms = Counter(map(time_form, times))
    text = "; ".join(f"{form} ({count} times)" for form, count in forms.most_common())
    fractions = [match[3] for value in times if (match := _TIME.fullmatch(str(value))) and match[3]]
    return f"{text}; every fraction is 0" if fractions and not any(map(int, fractions)) else text


def time_form(value: object) -> str:
    """Return a time's form without its digits, such as ``YYYY-MM-DDThh:mm:ss.SSSZ``."""
    text = str(value)
    if re.fullmatch(r"-?\d+", text):
        return f"{len(text)} digits as {_kind(value)}"
    match = _TIME.fullmatch(text)
    if match is None:
        return "another form"
    separator, point, fraction, zone = match.groups()
    return f"YYYY-MM-DD{separator}hh:mm:ss{point or ''}{'S' * len(fraction or '')}{zone or ' without a zone'}"


def numbers(cloud: ProbedCloud) -> str:
    """Return whether numbers are JSON text or JSON numbers, in rows and in the paging fields."""
    rows = Counter(_kind(value) for name, row in _rows(cloud) for value in _of_types(name, row, _NUMBERS))
    name = next(iter(cloud.samples(_SAMPLED)))
    paging = Counter(_kind(value) for value in envelope_of(cloud.ask_list(name, {"limit": 1})).values())
    return f"rows: {_counted(rows, 'text', 'number')}; paging fields: {_counted(paging, 'text', 'number')}"


def nulls(cloud: ProbedCloud) -> str:
    """Return whether a field without a value is null or missing."""
    null, left_out = set(), set()
    for name, rows in cloud.samples(_SAMPLED).items():
        known = set().union(*rows)
        null |= {(name, field) for row in rows for field, value in row.items() if value is None}
        left_out |= {(name, field) for row in rows for field in known - set(row)}
    if not null and not left_out:
        raise UnclearError("every field seen has a value in every row")
    if null and left_out:
        return f"both: {len(null)} fields are null, {len(left_out)} are there in some rows only"
    return f"null ({len(null)} fields)" if null else f"left out ({len(left_out)} fields)"


def vat(cloud: ProbedCloud) -> str:
    """Return whether ``vat`` of order items is a multiplier or a percentage."""
    return _rate_kind(row.get("vat") for row in cloud.samples(("order-items",))["order-items"])


def report_rate(cloud: ProbedCloud) -> str:
    """Return whether ``rate`` in the sales report is a multiplier or a percentage."""
    return _rate_kind(value for key, value in _leaves(_sales_report(cloud)) if key == "rate")


def report_numbers(cloud: ProbedCloud) -> str:
    """Return whether numbers of the sales report are JSON text or JSON numbers."""
    amounts = ("rate", "value", "base", "count", "totalWithVat", "saleValue", "saleCount")
    kinds = Counter(_kind(value) for key, value in _leaves(_sales_report(cloud)) if key in amounts)
    return _counted(kinds, "text", "number")


def error_bodies(cloud: ProbedCloud) -> str:
    """Return the shapes of two refusals' bodies: names and kinds, no content."""
    wrong_filter = cloud.ask_list("taxes", {"limit": 1, "filter": "noSuchField|eq|1"})
    no_such_row = cloud.ask(f"taxes/{NOBODY}")
    bodies = {"unknown filter field": wrong_filter, "unknown row": no_such_row}
    return "; ".join(f"{name}: {answer.status} {shape(answer.body)}" for name, answer in bodies.items())


def rate_limit(cloud: ProbedCloud) -> str:
    """Return whether requests were throttled, and which headers speak of a rate limit."""
    headers = limit_headers(cloud.headers)
    return f"{cloud.throttled}; headers: {headers}" if cloud.throttled else headers


def limit_headers(names: set[str]) -> str:
    """Return those of some header names that speak of a rate limit."""
    speaking = sorted(name for name in names if _OF_LIMITS.search(name))
    return f"there are some: {', '.join(speaking)}" if speaking else f"none among {len(names)} different headers"


def shape(body: bytes) -> str:
    """Return the shape of a JSON body, such as ``{status: number, violations: [{message: text}]}``."""
    if not body.strip():
        return "without a body"
    try:
        return _shape(decode_json(body))
    except msgspec.DecodeError:
        return "with a body that isn't JSON"
    except RecursionError:
        return "with a body that is nested too deeply"


def _shape(value: object) -> str:
    if isinstance(value, dict):
        # Keys are the API's words; a key that doesn't look like one isn't shown.
        names = {str(key) if re.fullmatch(r"[A-Za-z_]{1,40}", str(key)) else "…": _shape(v) for key, v in value.items()}
        return "{" + ", ".join(f"{name}: {kind}" for name, kind in sorted(names.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(dict.fromkeys(map(_shape, value))) + "]"
    return _kind(value)


def _kind(value: object) -> str:
    """Return JSON's name for a value's kind."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = {str: "text", int: "number", float: "number", list: "list", dict: "object"}
    return kinds[type(value)]


def _counted(kinds: Counter[str], *wanted: str) -> str:
    counts = {kind: kinds[kind] for kind in wanted if kinds[kind]}
    if not counts:
        raise UnclearError("no numbers seen")
    return " and ".join(f"{kind} ({count} times)" for kind, count in counts.items())


def _rows(cloud: ProbedCloud) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, rows in cloud.samples(_SAMPLED).items():
        for row in rows:
            yield name, row


def _of_types(name: str, row: dict[str, Any], types: tuple[str, ...]) -> Iterator[object]:
    """Yield a row's values of the given documented types."""
    fields = find_entity(name).fields
    for field, value in row.items():
        if field in fields and fields[field].type in types and value is not None:
            yield value


def _rate_kind(values: Iterator[object]) -> str:
    rates = [float(str(value)) for value in values if _kind(value) in ("text", "number") and _is_number(value)]
    if not any(rates):
        raise UnclearError("no rate above 0 seen")
    if any(rate >= 2 for rate in rates):
        return f"a percentage: some of {len(rates)} are 2 or more"
    if any(0 < rate < 1 for rate in rates):
        return f"a fraction: some of {len(rates)} are between 0 and 1"
    return f"a multiplier: all {len(rates)} are from 1 to 2, or 0"


def _is_number(value: object) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", str(value)) is not None


def _sales_report(cloud: ProbedCloud) -> object:
    """Return the report on the branch and the day of the newest order."""
    orders = cloud.list_rows("orders", {"sort": "-created", "limit": 1})
    if not orders or not orders[0].get("created") or not orders[0].get("_branchId"):
        raise UnclearError("no order that shows a day with sales")
    moment = datetime.fromtimestamp(timestamp(orders[0]["created"]) / 1000, timezone.utc)
    edges = {"dateFrom": moment - timedelta(hours=12), "dateTo": moment + timedelta(hours=12)}
    answer = cloud.ask(f"branches/{orders[0]['_branchId']}/sales-report", edges)
    if answer.status != 200:
        raise UnclearError(f"the report answered {answer.status}")
    return answer.json()


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Yield all plain values of a JSON document with their keys."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    else:
        yield key, value
