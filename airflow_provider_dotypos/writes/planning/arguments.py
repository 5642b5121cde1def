"""What a plan is asked for, checked: a DAG's parsing can check each argument that holds no template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from airflow_provider_dotypos.api.entities import Entity, find_list
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest, split_names
from airflow_provider_dotypos.api.overrides import describe
from airflow_provider_dotypos.writes.keys import check_match
from airflow_provider_dotypos.writes.plan import ACTIONS, Action
from airflow_provider_dotypos.writes.planning.limits import Limits
from airflow_provider_dotypos.writes.sources.rules import Nulls

#: Actions that are carried out on every row of the source, so that no other one goes with them.
_ALONE: tuple[Action, ...] = ("delete", "anonymize")

NULLS: tuple[Nulls, ...] = ("keep", "clear")


class PlanArguments(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is asked for.

    :param entity: the entity whose rows are written.
    :param match: the fields that rows are matched by.
    :param actions: what may be done.
    :param fields: the fields to be written; ``None`` for all that the source has.
    :param nulls: what a null of the source means.
    :param limits: what stops the plan.
    :param currency: the currency of the source's prices, if it is named.
    """

    entity: Entity
    match: tuple[str, ...]
    actions: tuple[Action, ...] = ("update",)
    fields: tuple[str, ...] | None = None
    nulls: Nulls = "keep"
    limits: Limits = Limits()
    currency: str | None = None

    @classmethod
    def of(
        cls,
        entity: str,
        match: str | Sequence[str],
        *,
        actions: str | Sequence[str] = ("update",),
        fields: str | Sequence[str] | None = None,
        nulls: str = "keep",
        limits: Mapping[str, Any] | None = None,
        currency: str | None = None,
    ) -> PlanArguments:
        """Return the arguments of a plan.

        :raises DotyposInputError: if one is wrong, or if they don't fit each other.
        """
        of_entity = check_entity(entity)
        matched, allowed = check_match(of_entity, match), check_actions(of_entity, actions)
        if "create" in allowed and "id" in matched:
            raise DotyposInputError(
                "actions: a row that is matched by id can't be created, as an id that isn't there is a mistake; match "
                "by a field that you fill, such as externalId"
            )
        if check_currency(currency) is not None and "currency" not in of_entity.fields:
            raise DotyposInputError(f"currency: {entity} have no currency to compare it with; leave it out")
        return cls(
            entity=of_entity,
            match=matched,
            actions=allowed,
            fields=() if allowed[0] in _ALONE else check_fields(of_entity, fields),
            nulls=check_nulls(nulls),
            limits=Limits.of(limits),
            currency=currency,
        )


def check_entity(name: str) -> Entity:
    """Return the entity whose rows are to be written.

    :raises DotyposInputError: if there is none, or none that can be written.
    """
    entity = find_list(name)
    if not entity.writes or entity.parent is not None or not entity.paged:
        raise DotyposInputError(f"entity: {name} can't be planned: the API documents no write that fits its rows")
    return entity


def check_actions(entity: Entity, actions: str | Sequence[str]) -> tuple[Action, ...]:
    """Return what may be done.

    :raises DotyposInputError: if an action is unknown, or if the API has no call for it.
    """
    names = tuple(dict.fromkeys(split_names(actions, "actions")))
    if not names:
        raise DotyposInputError(f"actions must name at least one of {', '.join(ACTIONS)}")
    for name in names:
        if name not in ACTIONS:
            raise DotyposInputError(
                f"actions: there is no action {name!r}{nearest(name, ACTIONS)}. Actions: {', '.join(ACTIONS)}"
            )
    for name in _ALONE:
        if name in names and len(names) > 1:
            raise DotyposInputError(
                f"actions: {name} goes alone, as it is done to every row of the source: plan it from another source"
            )
    calls = {
        "update": "PATCH" in entity.writes.row_methods,
        "create": "POST" in entity.writes.list_methods or "PUT" in entity.writes.row_methods,
        "delete": "DELETE" in entity.writes.row_methods,
        "anonymize": entity.name == "customers",
    }
    for name in names:
        if not calls[name]:
            raise DotyposInputError(f"actions: the API has no call to {name} a row of {entity.name}")
    return cast("tuple[Action, ...]", names)


def check_fields(entity: Entity, fields: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the fields to be written.

    :raises DotyposInputError: if one is unknown, or no write can set it.
    """
    if fields is None:
        return None
    names = tuple(split_names(fields, "fields"))
    if not names:
        raise DotyposInputError("fields names no field; without fields= all that the source has are written")
    for name in names:
        if entity.field(name).read_only:
            raise DotyposInputError(f"fields: {entity.name}.{name} can't be written: the API sets it or ignores it")
    return names


def check_nulls(nulls: object) -> Nulls:
    """Return what a null of the source means.

    :raises DotyposInputError: if it is neither of both.
    """
    if nulls not in NULLS:
        raise DotyposInputError(f"nulls must be {' or '.join(NULLS)}, not {describe(nulls)}")
    return nulls


def check_currency(currency: object) -> str | None:
    """Return the currency of the source's prices.

    :raises DotyposInputError: if it isn't the code of one.
    """
    if currency is None:
        return None
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise DotyposInputError(f"currency must be a code such as CZK, not {describe(currency)}")
    return currency
