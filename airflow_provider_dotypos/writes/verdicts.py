"""What became of a planned row: its verdict, with its reason and its cost."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

#: ``applied``: the row is as planned by a write of this plan. ``already``: it was so before. ``conflict``: somebody
#: changed it meanwhile. ``rejected``: the API refuses it. ``not taken``: the API accepted the write, and the row isn't
#: as planned. ``starved``: it was edited again and again in between. ``uncertain``: nobody knows. ``not tried``: the
#: plan hasn't got there.
Status: TypeAlias = Literal[
    "applied", "already", "conflict", "rejected", "not taken", "starved", "uncertain", "not tried"
]

#: Statuses of rows that are as planned.
DONE: frozenset[Status] = frozenset({"applied", "already"})

#: Statuses that a row keeps, whatever is tried again with the same plan.
FINAL: frozenset[Status] = frozenset({"applied", "already", "conflict", "rejected", "not taken"})


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one row.

    :param status: see `Status`.
    :param why: the reason, without any row's values.
    :param fields: the fields that it is about, if any.
    :param tries: how many writes were sent for it.
    :param requests: how many requests it took.
    """

    status: Status
    why: str | None = None
    fields: tuple[str, ...] = ()
    tries: int = 0
    requests: int = 0
