"""What can be checked of the comparison's arguments when its DAG is parsed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposInputError


def check_source(**sources: object) -> None:
    """Raise unless one of some arguments says where the rows are.

    :raises DotyposInputError: if none does, or several do.
    """
    given = [name for name, source in sources.items() if source is not None]
    if len(given) != 1:
        raise DotyposInputError(f"give one of {', '.join(sources)}, not {' and '.join(given) or 'none of them'}")


def check_whole_number(name: str, number: object, least: int) -> None:
    """Raise unless an argument is a whole number.

    :raises DotyposInputError: if it isn't, or is too small.
    """
    if type(number) is not int or number < least:
        raise DotyposInputError(f"{name} must be a whole number, {least} or more, not {number!r} (no template)")


def read_branches(branches: int | str | Sequence[int | str] | None) -> set[int]:
    """Return the ids of branches; none if all are meant.

    :raises DotyposInputError: if one isn't an id.
    """
    ids: object = branches.split(",") if isinstance(branches, str) else branches
    if isinstance(ids, int):
        ids = [ids]
    if ids is not None and not isinstance(ids, Collection):
        raise DotyposInputError(f"branches must be ids, comma-separated or a list, not {type(branches).__name__}")
    return {int(id_text(branch, "an id in branches")) for branch in ids or () if branch != ""}
