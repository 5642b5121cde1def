"""What can be checked of a transfer's arguments when its DAG is parsed, and is checked again when its task runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.markers import DeletedFilter, Division, UndatedRows
from airflow_provider_dotypos.api.window import LONGEST_SETTLE, Window, instant, time_zone

#: How the first read of orders, items and payments is done: each list by itself, or by one walk over orders.
HistoryWay: TypeAlias = Literal["streams", "nested"]

#: What `history` can be, the default first.
HISTORY_WAYS: tuple[HistoryWay, ...] = ("streams", "nested")

#: The lists that one walk over orders reads: orders, and what they nest.
HISTORY_LISTS = ("orders", "order-items", "money-logs")


def check_switches(**switches: object) -> None:
    """Raise unless arguments are true or false. A text would count as true, ``"False"`` among them.

    :raises DotyposInputError: if one isn't.
    """
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise DotyposInputError(
                f"{name} must be True or False, not {type(switch).__name__} {switch!r} (no template)"
            )


def check_reading(*, undated_rows: UndatedRows, deleted_filter: DeletedFilter) -> None:
    """Raise unless it is clear which rows are read, and how.

    :raises DotyposInputError: if it isn't.
    """
    Division(deleted_filter, undated_rows)


def check_history(history: object, settle: float, entities: Collection[str] | None) -> None:
    """Raise if a history can't be read as it is asked for.

    :param entities: the names of the lists, if they are known.
    :raises DotyposInputError: if it can't.
    """
    if history not in HISTORY_WAYS:
        raise DotyposInputError(f"history must be one of {', '.join(HISTORY_WAYS)}, not {history!r} (no template)")
    if history == "streams":
        return
    if settle > LONGEST_SETTLE / 2:
        raise DotyposInputError(f"settle must be at most {LONGEST_SETTLE / 2:g} with history='nested', not {settle!r}")
    orders, *nested = HISTORY_LISTS
    if entities is not None and (orders not in entities or not set(nested) & set(entities)):
        raise DotyposInputError(
            f"history='nested' reads {orders} together with {' and '.join(nested)}: entities must name {orders} and "
            "one of the others"
        )


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


def check_lookback(lookback: object) -> None:
    """Raise unless a period can be looked back for.

    :raises DotyposInputError: if it can't.
    """
    if not isinstance(lookback, timedelta) or lookback < timedelta(0):
        raise DotyposInputError(f"lookback must be a timedelta, 0 or more, not {lookback!r}")


def check_part_bytes(max_part_bytes: object) -> None:
    """Raise unless a part can end at a size.

    :raises DotyposInputError: if it can't.
    """
    if type(max_part_bytes) is not int or max_part_bytes < 1:
        raise DotyposInputError(f"max_part_bytes must be a whole number of bytes, 1 or more, not {max_part_bytes!r}")


def check_times(arguments: Mapping[str, Any]) -> None:
    """Raise if a window or its start can't be, as far as their times are among `arguments`.

    :raises DotyposInputError: if one can't.
    """
    since, until, start, zone = (arguments.get(name) for name in ("since", "until", "start", "timezone"))
    if zone is not None:
        time_zone(zone)
    if until is not None:
        Window.of(since, until, timezone=zone)
    elif since is not None:
        instant(since, "since", zone)
    if start is not None:
        instant(start, "start", zone)
