"""A plan: what is to be written to a cloud, row by row, and what each row was when the plan was made.

A plan is also its own journal. To resume is to apply the same plan again: each row says by what it holds now whether
its write is done. So a plan is never changed, and its digest names it.

https://docs.api.dotypos.com/api-reference/general/methods, …/etags
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

#: What a planned row asks for. A conflict asks for nothing: it is reported.
Op: TypeAlias = Literal["update", "create", "delete", "anonymize", "conflict"]

#: What an operator may be allowed to do.
Action: TypeAlias = Literal["update", "create", "delete", "anonymize"]

#: All that may be done, in the order in which it is.
ACTIONS: tuple[Action, ...] = ("update", "create", "delete", "anonymize")

#: The version of the plan's format.
FORMAT = 1


class PlannedRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of a plan.

    Values are in the API's form: numbers as text with all their digits, times as text, flags and truths as they are.

    :param op: what is to be done.
    :param key: the row's values of the fields that it is matched by, in their order, as text.
    :param row: the number of the source's row that asked for it, from 1 on.
    :param id: the row's id; of a create the id that it gets, or ``None`` where the API gives it one.
    :param before: what the row held when the plan was made: the fields to be changed, and those that must not change
        until then, such as the key; of a delete the key and ``versionDate``.
    :param after: what the fields are to hold. Empty for a delete.
    :param version: the row's ``versionDate`` when the plan was made. If a write may have been carried out, it says
        whether the row has changed since.
    :param why: why it is a conflict.
    """

    op: Op
    key: tuple[str, ...]
    row: int
    id: str | None = None
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}
    version: str | None = None
    why: str | None = None


class PlanHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a plan.

    :param format: the format's version.
    :param provider: the version of this package.
    :param cloud_id: the cloud that it is for.
    :param base_url: the API that it is for.
    :param entity: the entity whose rows it writes.
    :param match: the fields by which rows were matched.
    :param made_at: when it was made: ISO 8601 in UTC, with milliseconds.
    :param source_digest: SHA-256 of the source's rows, in hex.
    :param counts: how many rows the source had (``rows``), and what became of them: ``update``, ``create``,
        ``delete``, ``conflict``, ``unchanged``.
    :param limits: the limits that it was checked against.
    :param requests: what applying it costs: ``patch`` row by row, ``put`` by lists behind a canary.
    :param salt: a random text, with which marks of personal data are made. Only readers of the file know it.
    :param digest: SHA-256 of the whole plan, in hex: of the header without its digest, and all rows.
    """

    format: int
    provider: str
    cloud_id: int
    base_url: str
    entity: str
    match: tuple[str, ...]
    made_at: str
    source_digest: str
    counts: Mapping[str, int]
    limits: Mapping[str, Any]
    requests: Mapping[str, int]
    salt: str
    digest: str = ""
