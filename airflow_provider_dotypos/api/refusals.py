"""What a refusal says: whose word it is, and how long to wait.

https://docs.api.dotypos.com/api-reference/general/common-error-responses
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import msgspec

from airflow_provider_dotypos.api.characters import decode_json

#: Reasons of a 403 that mean "get a new access token": an expired one is a 403, not a 401 [D2, C3].
STALE_TOKEN_CODES = frozenset({"ACCESS_TOKEN_EXPIRED", "INVALID_ACCESS_TOKEN"})

#: What is wrong when an answer isn't Dotypos's own, and the cure.
IN_BETWEEN = (
    "something between this machine and Dotypos answered in its place (a proxy, a gateway, a firewall). If it "
    "continues, make it let calls to the API through, and check API base URL in the Airflow connection."
)

#: Statuses that mean the same from any server: a proxy wants credentials, time-outs and throttling, too long a request.
_ANYBODYS = frozenset({407, 408, 413, 414, 425, 429, 431})

#: Larger numbers than this in a Retry-After are times, not seconds.
_EPOCH_SECONDS = 1e9
#: The longest wait that is believed, in seconds: a day.
_LONGEST_BELIEVED = 86_400.0

#: More violations than this aren't read: a hundred rows with ten faults each.
_MOST_VIOLATIONS = 1000


def is_foreign(status: int, body: bytes) -> bool:
    """Return whether a refusal isn't Dotypos's own: it has a body, and that isn't Dotypos's error object [C2].

    A status without a body counts as Dotypos's own: an empty list is a 404 like this [D]. So does a 5xx, which passes
    whatever answered; but for 501 and 505, which don't.
    """
    final = (400 <= status < 500 and status not in _ANYBODYS) or status in (501, 505)
    return final and bool(body.strip()) and not _is_error_object(facts_of(body))


def _is_error_object(facts: Mapping[str, object]) -> bool:
    """Return whether a body has the shape of Dotypos's errors.

    They hold ``violations``, or ``timestamp``, ``status``, ``error``, ``reason`` and ``message`` [C2]. One of the
    latter alone isn't enough, unless it is the reason: gateways answer ``{"message": "Forbidden"}``, too.
    """
    if isinstance(facts.get("violations"), list) or isinstance(facts.get("reason"), str):
        return True
    known = [facts.get(name) for name in ("timestamp", "status", "error", "message")]
    return sum(isinstance(value, (str, int)) for value in known) >= 2


def facts_of(body: bytes) -> dict[str, object]:
    """Return the fields of a refusal's body; none if it isn't a JSON object."""
    try:
        decoded = decode_json(body)
    except msgspec.DecodeError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def violations_of(facts: Mapping[str, object]) -> list[tuple[str | None, str]]:
    """Read violations as ``{fieldName, message}``; one client sees ``path`` (a list) instead of ``fieldName``."""
    violations = facts.get("violations")
    pairs = []
    for violation in violations[:_MOST_VIOLATIONS] if isinstance(violations, list) else []:
        if isinstance(violation, dict):
            name = violation.get("fieldName")
            if name is None and isinstance(violation.get("path"), list):
                name = ".".join(map(str, violation["path"]))
            pairs.append((str(name) if name is not None else None, str(violation.get("message") or "invalid")))
    return pairs


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, at most a day; ``None`` if it can't be read.

    :param value: seconds, or an HTTP date; a number too large to be seconds is taken for a time (epoch s or ms).
    """
    now = now or datetime.now(timezone.utc)
    if value is None or not value.strip():
        return None
    if re.fullmatch(r"\s*\d{1,20}(\.\d+)?\s*", value):
        seconds = float(value)
        if seconds > _EPOCH_SECONDS:
            seconds = (seconds / 1000 if seconds > 1000 * _EPOCH_SECONDS else seconds) - now.timestamp()
    else:
        try:
            moment = parsedate_to_datetime(value)
            zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
            seconds = (zoned - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), _LONGEST_BELIEVED)
