"""What can be checked of an operator's arguments when its DAG is parsed, before templates are rendered."""

from __future__ import annotations

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposInputError


def check_switches(**switches: object) -> None:
    """Raise unless arguments are true or false. A text would count as true, ``"False"`` among them.

    :raises ValueError: if one isn't.
    """
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise ValueError(f"{name} must be True or False, not {type(switch).__name__} {switch!r} (no template)")


def check_choice(
    *,
    since: object = None,
    include: object,
    columns: object,
    exclude: object,
    start: object = None,
    lookback: object = None,
    flatten: bool = False,
    snapshot: bool = False,
) -> None:
    """Raise if arguments contradict each other. Looks only at which are given, so templates needn't be rendered.

    :raises DotyposInputError: if they do.
    """
    if flatten and include is None:
        raise DotyposInputError("flatten needs child lists: name them in include")
    if columns is not None and exclude is not None:
        raise DotyposInputError("give columns or exclude, not both")
    if snapshot and (start is not None or lookback):
        raise DotyposInputError("start and lookback are for tasks without since, until and snapshot: omit them")
    if snapshot and any(argument is not None for argument in (since, include, columns, exclude)):
        raise DotyposInputError("snapshot writes the ids of all rows: omit since, include, columns and exclude")


def check_since(entity: Entity, since: object) -> None:
    """Raise if a window has a beginning that an entity can't have.

    :raises DotyposInputError: if it has.
    """
    if not entity.cursors and since is not None:
        raise DotyposInputError(f"{entity.name} has no field that shows changes. It is always read whole: omit since")
