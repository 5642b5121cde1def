"""Rules for a row that is to be written: what the API would refuse, ignore or take for something else.

`checked_row` looks at a source's row alone. `check_whole` looks at it beside the row that it changes. Both say every
problem, and never a row's value.

https://docs.api.dotypos.com/api-reference/general/data-types, /entity/product, /entity/tag, /entity/tax-vat-rates
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from airflow_provider_dotypos.api.entities import Entity, Field
from airflow_provider_dotypos.api.names import nearest
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.values import read_value

#: What a null of the source means: the field is left alone, or it is cleared.
Nulls: TypeAlias = Literal["keep", "clear"]

#: The longest name of a column that a message shows whole, in characters.
_LONGEST_NAME = 60

#: Characters that tags can't have [D2].
_FORBIDDEN_IN_TAGS = frozenset(",^?*()[]$")

#: The bit of a product's flags that goes with `requiresPriceEntry` [D2].
_REQUIRES_PRICE_ENTRY = 1 << 2

#: The bit of a tax's flags that says that it is exempted: its rate is 0.
_EXEMPTED_RATE = 1 << 1

#: How far both prices of a product may be apart, by rounding: in the currency, and as a share of the price.
_ROUNDED_BY, _ROUNDED_SHARE = Decimal("0.02"), Decimal("0.001")


def checked_row(
    entity: Entity,
    raw: Mapping[str, Any],
    number: int,
    *,
    match: Sequence[str],
    cloud_id: int,
    fields: Collection[str] | None = None,
    nulls: Nulls = "keep",
) -> tuple[dict[str, Any], list[Problem]]:
    """Return what a row of a source gives for the fields by which it is matched and those to be written.

    :param raw: the row.
    :param number: its number in the source, from 1 on.
    :param match: the fields by which rows are matched.
    :param cloud_id: the cloud that is written to: the row's ``_cloudId`` must be it, if it has one.
    :param fields: the fields to be written. Defaults to all that the row has; then each must be writable.
    :param nulls: what a null means.
    :return: the values in the API's form, and what is wrong.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    if not _names_a_field(entity, raw):  # CSV without its first line: what would be shown as names are values
        return values, [Problem(number, None, f"has no field of {entity.name}: columns must have the names of fields")]
    absent = {name.lower() for name in (*match, *(fields or ())) if name not in raw}
    for name, value in raw.items():
        if name == "_cloudId" and name in entity.fields:
            problems += [Problem(number, name, what) for what in _cloud_problem(value, cloud_id)]
            continue
        if fields is not None and name not in fields and name not in match and str(name).lower() not in absent:
            continue
        try:
            field = _field(entity, name, matched=name in match)
            read = read_value(field, value)
            if name == "deleted" and name not in match:
                _check_not_deleted(read)
            elif read is not None or (nulls == "clear" and name not in match):
                _check_value(entity, field, read)
                values[name] = read
        except ValueError as error:
            problems.append(Problem(number, _shown(name), str(error)))
    missing = set(match) - values.keys() - {problem.field for problem in problems}
    problems += [Problem(number, name, "is missing or null, and rows are matched by it") for name in sorted(missing)]
    return values, problems


def check_whole(entity: Entity, number: int, values: Mapping[str, Any], now: Mapping[str, Any] | None) -> list[Problem]:
    """Return what is wrong with a row as it would be after its write.

    :param number: the row's number in the source.
    :param values: its values from `checked_row`.
    :param now: the row that they change; ``None`` if it is to be created.
    """
    problems = (
        []
        if now is not None
        else [
            Problem(number, field.name, "is missing, and a new row needs it")
            for field in entity.fields.values()
            if field.required and values.get(field.name) is None
        ]
    )
    check = _WHOLE.get(entity.name)
    if check is not None:
        problems += [Problem(number, name, what) for name, what in check(values, {**(now or {}), **values})]
    return problems


def _names_a_field(entity: Entity, raw: Mapping[str, Any]) -> bool:
    """Return whether a column has the name of a field, be it in another case."""
    if not entity.fields.keys().isdisjoint(raw):
        return True
    return not {name.lower() for name in entity.fields}.isdisjoint(str(name).lower() for name in raw)


def _shown(name: object) -> str:
    """Return the name of a column as a message shows it."""
    text = str(name)
    return text if text.isprintable() and len(text) <= _LONGEST_NAME else ascii(text)[:_LONGEST_NAME] + "…"


def _field(entity: Entity, name: object, *, matched: bool) -> Field:
    """Return a field that the source may name.

    :raises ValueError: if there is none, or if no write sets it.
    """
    field = entity.fields.get(name) if isinstance(name, str) else None
    if field is None:
        text = str(name)
        folded = next((known for known in entity.fields if known.lower() == text.lower()), None)
        hint = nearest(text, entity.fields)
        if folded:
            hint = f" (did you mean {folded!r}? Databases fold the case of an alias that isn't in quotes)"
        raise ValueError(f"{entity.name} has no such field{hint}; rename it, or name the fields to write with fields=")
    if field.read_only and not matched:
        raise ValueError("can't be written: the API sets it or ignores it; name the fields to write with fields=")
    return field


def _cloud_problem(value: Any, cloud_id: int) -> Iterator[str]:
    if value is not None and str(value).strip() != str(cloud_id):
        yield f"the row is of another cloud than {cloud_id}, which is written to"


def _check_not_deleted(deleted: bool | None) -> None:
    """Raise unless a row is live. A row that is deleted already is never written to, so false says nothing."""
    if deleted:
        raise ValueError("can't be set by a write: name the rows to delete with actions=('delete',)")


def _check_value(entity: Entity, field: Field, value: Any) -> None:
    """Raise ValueError if the API would refuse or ignore a value that has the field's type."""
    if value is None:
        if not field.nullable:
            empty = " or an empty text" if field.type == "string" else ""
            raise ValueError(f"can't be null; give it a value{empty}, or leave nulls alone with nulls='keep'")
    elif field.name == "imageUrl":
        raise ValueError("can only be cleared, with null: the API ignores other values")
    elif field.name == "tags":
        for tag in value:
            _check_tag(tag)
    elif (entity.name, field.name) == ("tags", "name"):
        _check_tag(value)
        if not value.strip() or value.startswith("."):
            raise ValueError("must not be empty, or begin with a point, which is kept for tags of the system")
    elif field.name == "vat":
        _check_multiplier(Decimal(value))
    elif (entity.name, field.name) == ("taxes", "value"):
        _check_percentage(Decimal(value))
    elif (entity.name, field.name) in _AT_MOST:
        _check_at_most(Decimal(value), *_AT_MOST[entity.name, field.name])


def _check_tag(tag: str) -> None:
    if _FORBIDDEN_IN_TAGS & set(tag):
        raise ValueError("holds a tag with one of the characters , ^ ? * ( ) [ ] $ that tags can't have")


def _check_multiplier(vat: Decimal) -> None:
    if 1 <= vat <= 2:
        return
    meant = vat if 0 < vat < 1 else vat / 100 if 2 < vat <= 100 else None
    hint = "" if meant is None else f" (did you mean {1 + meant.normalize():f}?)"
    raise ValueError(f"is a multiplier from 1 to 2, such as 1.21 for 21 %{hint}")


def _check_percentage(value: Decimal) -> None:
    if not 0 <= value <= 100:
        raise ValueError("is a percentage from 0 to 100")


#: The least and the most that fields may hold [D2].
_AT_MOST: Mapping[tuple[str, str], tuple[int | None, int | None]] = {
    ("customers", "points"): (0, None),
    ("discount-groups", "discountPercent"): (None, 100),
}


def _check_at_most(value: Decimal, least: int | None, most: int | None) -> None:
    if least is not None and value < least:
        raise ValueError(f"must be at least {least}")
    if most is not None and value > most:
        raise ValueError(f"must be at most {most}")


Findings: TypeAlias = Iterator[tuple[str | None, str]]


def _check_product(values: Mapping[str, Any], whole: Mapping[str, Any]) -> Findings:
    prices = ("priceWithVat", "priceWithoutVat")
    if all(values.get(name) is not None for name in prices) and whole.get("vat") is not None:
        gross, net = (Decimal(values[name]) for name in prices)
        expected = net * Decimal(str(whole["vat"]))
        if abs(gross - expected) > max(_ROUNDED_BY, abs(expected) * _ROUNDED_SHARE):
            yield "priceWithVat", "doesn't agree with priceWithoutVat and vat; give one price, or correct one of them"
    if {"flags", "requiresPriceEntry"} & values.keys():
        flagged = bool(int(whole.get("flags") or 0) & _REQUIRES_PRICE_ENTRY)
        if flagged != bool(whole.get("requiresPriceEntry")):
            yield "requiresPriceEntry", "must agree with bit 2 (value 4) of flags; give both fields"


def _check_customer(values: Mapping[str, Any], whole: Mapping[str, Any]) -> Findings:
    names = ("firstName", "lastName", "companyName")
    if set(names) & values.keys() and not any(str(whole.get(name) or "").strip() for name in names):
        yield None, f"one of {', '.join(names)} must not be blank"


def _check_employee(values: Mapping[str, Any], whole: Mapping[str, Any]) -> Findings:
    if "name" in values and not str(whole.get("name") or "").strip():
        yield "name", "must not be blank"


def _check_tax(values: Mapping[str, Any], whole: Mapping[str, Any]) -> Findings:
    if "value" in values and (Decimal(values["value"]) == 0) != bool(int(whole.get("flags") or 0) & _EXEMPTED_RATE):
        yield "value", "is 0 of an exempted rate (bit 1 of flags, value 2), and only of it"


def _check_warehouse_branch(values: Mapping[str, Any], whole: Mapping[str, Any]) -> Findings:
    if {"visible", "subscribed"} & values.keys() and whole.get("visible") and not whole.get("subscribed"):
        yield "visible", "can be true only if subscribed is"


_WHOLE: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Findings]] = {
    "customers": _check_customer,
    "employees": _check_employee,
    "products": _check_product,
    "taxes": _check_tax,
    "warehouse-branches": _check_warehouse_branch,
}
