"""Names that people write: split, and the nearest known one of an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence

from airflow_provider_dotypos.api.errors import DotyposInputError


def split_names(value: str | Sequence[str] | None, argument: str) -> list[str]:
    """Return names given as one comma-separated text or as a sequence.

    :param argument: what they are, for an error.
    :raises DotyposInputError: if they are anything else.
    """
    if value is None or value == "":
        return []
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise DotyposInputError(
            f"{argument} must be names, as one comma-separated text or a list of texts, not {type(value).__name__} "
            f"{value!r}"
        )
    return [name.strip() for name in names]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known name nearest to `name`, or nothing when none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
