"""Switches for what is unknown of the real API. A client should work in every position of each.

Marks: [D] documented, [D2] documented second-hand, [Cn] seen in n clients, [A] assumed, [U] unknown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

#: The positions of each switch that has a fixed set, the default first.
CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "timestamp_precision": ("ms", "s"),
        "timestamp_zone": ("Z", "+0000", "+01:00"),
        "ties": ("stable", "shuffled"),
        "deleted_null": ("live", "excluded"),
        "allow_version": ("honoured", "ignored"),
        "next_page": ("filled", "null"),
        "nulls": ("null", "omitted"),
        "numbers": ("text", "number"),
        "over_limit": ("refused", "cut"),
        "order_version_moves_with_items": (False, True),
    }
)

#: The same of the switches that show in deliveries of webhooks only, which no request finds out.
DELIVERY_CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType({"delivered_ids": ("number", "text", "exponent")})


@dataclass(frozen=True)
class Behaviour:
    """One way the API may behave. The defaults are the best known one.

    :param timestamp_precision: the precision of times in answers, ``ms`` or ``s``. Rows and filters stay exact [U].
    :param timestamp_zone: the form of the zone in answers: ``Z``, ``+0000`` or ``+01:00`` [U].
    :param ties: the order of rows that are equal under the sort: ``stable``, or ``shuffled`` at every request [U].
        Without a sort all rows are equal. No entity can be sorted by ``id`` [D2].
    :param deleted_null: whether ``deleted|in|0,1`` returns rows whose ``deleted`` is null (``live``) or omits them
        (``excluded``). A null counts as not deleted [D]; its effect here is unknown [U].
    :param commit_lag: seconds between a row's version date and the moment from which it can be read. Until then its
        earlier state is read. Some seconds have been seen [C2]; how many is unknown [U].
    :param allow_version: whether lists respect ``Allow-Version: BC1``, by which an empty list is 200, not 404 [D,
        contradicted].
    :param next_page: ``nextPage`` on lists without totals (orders, order items): filled after a full page [C3, A], or
        always null [U].
    :param nulls: whether fields without a value are ``null`` or omitted [U].
    :param numbers: whether numbers come as JSON ``text`` [D, C7] or as real numbers [U].
    :param over_limit: whether a ``limit`` above 100 is refused or cut to 100 [C1, A]. Refusing is the strict choice.
    :param order_version_moves_with_items: whether an order's version date moves when one of its items or payments
        changes [U].
    :param nested_lists: the most rows that a list nested by ``include`` shows. Shows all by default; whether it does is
        unknown [U].
    :param unsortable: fields by which lists can't be sorted (400) although the documents say so, such as
        ``tables.locationName``. Whether the documents are right about each field is unknown [U].
    :param delivered_ids: how deliveries of webhooks write ids: as a ``number`` [D, C2], as ``text`` [C1], or large ones
        as an ``exponent`` such as 4.10e+15, which has lost digits [D].
    :param delivery_tries: how often a delivery is tried that isn't answered by 2xx. Whether it is repeated is unknown
        [U].
    """

    timestamp_precision: str = "ms"
    timestamp_zone: str = "Z"
    ties: str = "stable"
    deleted_null: str = "live"
    commit_lag: float = 0.0
    allow_version: str = "honoured"
    next_page: str = "filled"
    nulls: str = "null"
    numbers: str = "text"
    over_limit: str = "refused"
    order_version_moves_with_items: bool = False
    nested_lists: int | None = None
    unsortable: tuple[str, ...] = ()
    delivered_ids: str = "number"
    delivery_tries: int = 1

    def __post_init__(self) -> None:
        for name, positions in {**CHOICES, **DELIVERY_CHOICES}.items():
            if getattr(self, name) not in positions:
                raise ValueError(f"{name} must be one of {positions}, not {getattr(self, name)!r}")
        if not 0 <= self.commit_lag < math.inf:
            raise ValueError("commit_lag must be a number of seconds, 0 or more")
        if self.nested_lists is not None and self.nested_lists < 0:
            raise ValueError("nested_lists must be a number of rows, 0 or more")
        if self.delivery_tries < 1:
            raise ValueError("delivery_tries must be 1 or more")

    @classmethod
    def combinations(cls, **fixed: Any) -> Iterator[Behaviour]:
        """Yield every combination of the switches, with those in `fixed` as given."""
        free = {name: positions for name, positions in CHOICES.items() if name not in fixed}
        for values in itertools.product(*free.values()):
            yield cls(**dict(zip(free, values, strict=True)), **fixed)


#: The best known behaviour.
BEST_KNOWN = Behaviour()
