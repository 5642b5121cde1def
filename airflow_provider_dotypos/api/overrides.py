"""What a task or a call gives in place of a connection's fields, checked."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from airflow_provider_dotypos.api.errors import DotyposInputError

#: Cloud ids are 32-bit integers [D].
LARGEST_CLOUD_ID = 2**31 - 1

#: Seconds that no wait is longer than: a century. More isn't meant, and no clock or database can hold infinity.
_LONGEST = 100 * 366 * 86_400

#: The most requests of one client that can be under way at once.
MOST_AT_ONCE = 64


def read_given_cloud_id(value: object) -> int:
    """Return the cloud id that is given in place of the connection's.

    :raises DotyposInputError: if it isn't one.
    """
    number = cloud_number(value)
    if number is None:
        # A template that rendered to nothing must not mean the connection's cloud.
        hint = "its template rendered to nothing" if is_absent(value) else "it is not the client id"
        raise DotyposInputError(
            f"cloud_id must be the cloud's number (Cloud ID), 1 to {LARGEST_CLOUD_ID}, not {describe(value)} ({hint})"
        )
    return number


def read_concurrency(value: object, argument: str) -> int:
    """Return how many requests are to be under way at once.

    :param argument: what the caller's argument is called.
    :raises DotyposInputError: if there can't be as many.
    """
    if type(value) is not int or not 1 <= value <= MOST_AT_ONCE:
        raise DotyposInputError(f"{argument} must be a whole number from 1 to {MOST_AT_ONCE}, not {describe(value)}")
    return value


def read_seconds(value: object, argument: str, *, least: float = 0.0, most: float = math.inf) -> float:
    """Return a time that is given as a number of seconds or as a ``timedelta``.

    :param argument: what the caller's argument is called.
    :param least: the shortest that it may be, in seconds.
    :param most: the longest.
    :raises DotyposInputError: if it is anything else.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    longest = min(most, _LONGEST)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not least <= seconds <= longest:
        bounds = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise DotyposInputError(f"{argument} must be seconds, {bounds}, or a timedelta, not {describe(value)}")
    return float(seconds)


def is_absent(value: object) -> bool:
    """Return whether a value means that there is none: null, or empty text."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "null", "None"))


def cloud_number(value: object) -> int | None:
    """Return a cloud's number, given as any kind of value; ``None`` if it isn't one."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, str) and re.fullmatch(r"[0-9]{1,10}(\.0)?", number.strip()):
        number = int(number.strip().removesuffix(".0"))
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= LARGEST_CLOUD_ID:
        return None
    return number


def describe(value: object) -> str:
    """Return a value for a message: its kind and, if short, the value. A long one may be a misplaced secret."""
    kind = type(value).__name__
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a very large {kind}"
    if not isinstance(value, (int, float, str)):
        return f"a value of type {kind}"
    text = str(value)
    return f"{kind} {text!r}" if len(text) <= 20 else f"{kind} of {len(text)} characters"
