"""What a filter may hold, and how long an address may be."""

from __future__ import annotations

from airflow_provider_dotypos.api.errors import DotyposConnectionError
from airflow_provider_dotypos.commands.probes.asking import NOBODY, Cloud, grouped, outcome

#: Ways to write a separator of the filter's grammar inside a value.
_VALUES = ("zz|zz", "zz;zz", r"zz\|zz", r"zz\;zz", "zz%7Czz", "zz%3Bzz", '"zz|zz"')

_LENGTHS = (2_000, 4_000, 8_000, 16_000)


def escaping(cloud: Cloud) -> str:
    """Tell which separators a value may hold; each value is URL-encoded once more on its way."""
    asked = {value: cloud.ask_list("products", {"limit": 1, "filter": f"name|like|{value}"}) for value in _VALUES}
    return grouped({value: outcome(answer) for value, answer in asked.items()})


def longest_address(cloud: Cloud) -> str:
    """Tell how long an address may be."""
    taken = 0
    for length in _LENGTHS:
        refusal = _refusal_at(cloud, length)
        if refusal:
            return f"{taken} characters are taken, {length} are not ({refusal})"
        taken = length
    return f"{taken} characters are taken, and perhaps more"


def _refusal_at(cloud: Cloud, length: int) -> str:
    """Return how a query of about this length is refused, or nothing."""
    count = length // (len(str(NOBODY)) + 1)
    ids = ",".join(str(NOBODY + number) for number in range(count))
    try:
        answer = cloud.ask_list("taxes", {"limit": 1, "filter": f"id|in|{ids}"})
    except DotyposConnectionError:
        return "no answer"
    return "" if outcome(answer).startswith(("200", "404 without")) else str(answer.status)
