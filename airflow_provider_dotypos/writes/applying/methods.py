"""Which way a plan is written: row by row, or by lists.

Row by row each row is written by itself, and an edit of one row concerns no other. By lists a hundred rows cost two
requests, but an edit of one makes the API refuse them all, and they are sent again in halves. So lists are for plans
that would take more of the request budget than is left for anybody else.

https://docs.api.dotypos.com/api-reference/general/methods
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

from airflow_provider_dotypos.api.budget import KNOWN_LIMIT, Budget
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposInputError

#: How rows are written: one by one, or by list PUT.
Way: TypeAlias = Literal["patch", "put"]

#: What an operator's `method` may be.
METHODS = ("auto", *get_args(Way))

#: Of a budget, the plan's part without lists. The rest is for reads, and for other tasks of the same cloud.
_PART = 0.5


class Choice(NamedTuple):
    """How a plan is written.

    :param why: the reason, as a sentence's part for the log.
    """

    way: Way
    why: str


def choose(method: str, entity: Entity, requests: Mapping[str, int], budget: Budget | None) -> Choice:
    """Return how a plan is written.

    :param method: ``patch``: row by row; ``put``: by lists; ``auto``: row by row, if that takes at most half of the
        budget.
    :param requests: what it costs, by way: ``patch`` and ``put``.
    :param budget: the connection's request budget. Defaults to the known limit of the API.
    :raises DotyposInputError: if there is no such method, or the entity has no list PUT.
    """
    by_lists = "PUT" in entity.writes.list_methods
    if method not in METHODS:
        raise DotyposInputError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if method == "put" and not by_lists:
        raise DotyposInputError(f"the API takes no lists of {entity.name}; use method='patch' or 'auto'")
    if method != "auto":
        return Choice("patch" if method == "patch" else "put", f"method is {method!r}")
    if not by_lists:
        return Choice("patch", f"the API takes no lists of {entity.name}")
    limit = f"the request budget, {budget}" if budget else f"the limit that the API is known to have, {KNOWN_LIMIT}"
    patch, put = requests["patch"], requests["put"]
    if patch <= (budget or KNOWN_LIMIT).requests * _PART:
        return Choice("patch", f"that takes at most half of {limit}")
    if patch <= put:
        return Choice("patch", "lists would take as many requests")
    return Choice("put", f"row by row takes more than half of {limit}")
