"""The characters that a filter's value may hold, and the longest address."""

from __future__ import annotations

import re

from airflow_provider_dotypos.api.errors import DotyposConnectionError
from airflow_provider_dotypos.commands.probes.asking import NOBODY, ProbedCloud, UnclearError, each, outcome

#: Ways to write a value after ``name|like|``, where ``ab`` stands for two letters of a name. In those with a separator
#: and ``zz``, rows mean that the rest was cut off, and no rows that it was part of the value. In those with the letters
#: alone, escaped or quoted, rows mean that this way of writing is understood.
_VALUES = {
    "ab|zz": "{0}{1}|zz",
    "ab;zz": "{0}{1};zz",
    r"ab\|zz": r"{0}{1}\|zz",
    r"ab\;zz": r"{0}{1}\;zz",
    "ab%7Czz": "{0}{1}%7Czz",
    "ab%3Bzz": "{0}{1}%3Bzz",
    '"ab|zz"': '"{0}{1}|zz"',
    r"\a\b": r"\{0}\{1}",
    "%61%62": "%{2:02X}%{3:02X}",
    '"ab"': '"{0}{1}"',
}

_LENGTHS = (2_000, 4_000, 8_000, 16_000)


def escaping(cloud: ProbedCloud) -> str:
    """Return which separators a value may hold; each value is URL-encoded once more on its way.

    The two letters are of a product's name. They are asked for, and not shown.
    """
    names = [str(row.get("name") or "") for row in cloud.samples(("products",))["products"]]
    letters = next((match[0] for name in names if (match := re.search("[A-Za-z]{2}", name))), None)
    if letters is None or _like(cloud, letters) != "200 with rows":
        raise UnclearError("no product found by two letters of its name")
    a, b = letters[0], letters[1]
    return each(_VALUES, lambda way: _like(cloud, _VALUES[way].format(a, b, ord(a), ord(b))))


def _like(cloud: ProbedCloud, value: str) -> str:
    return outcome(cloud.ask_list("products", {"limit": 1, "filter": f"name|like|{value}"}))


def longest_address(cloud: ProbedCloud) -> str:
    """Return how long an address may be, and how many ids that holds."""
    taken = ""
    for length in _LENGTHS:
        count = length // (len(str(NOBODY)) + 1)
        refusal = _refusal_of(cloud, count)
        size = f"{cloud.address_length} characters ({count} ids)"
        if refusal and not taken:
            raise UnclearError(f"{size} are not taken ({refusal}), and fewer weren't asked for")
        if refusal:
            return f"{taken} are taken, {size} are not ({refusal})"
        taken = size
    return f"{taken} are taken, and perhaps more"


def _refusal_of(cloud: ProbedCloud, count: int) -> str:
    """Return how a query for this many ids is refused, or nothing."""
    ids = ",".join(str(NOBODY + number) for number in range(count))
    try:
        answer = cloud.ask_list("taxes", {"limit": 1, "filter": f"id|in|{ids}"})
    except DotyposConnectionError:
        return "no answer"
    except UnclearError as error:  # a proxy in front may fail at an address that is too long
        return str(error)
    return "" if outcome(answer).startswith(("200", "404 without")) else str(answer.status)
