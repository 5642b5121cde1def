"""What can be checked of a stock operation's arguments when a DAG is parsed, and again when its task runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Literal, TypeAlias, cast, get_args

from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest
from airflow_provider_dotypos.api.overrides import describe, is_absent
from airflow_provider_dotypos.api.window import instant, iso

#: An operation in a warehouse, as the hook's method is called.
Operation: TypeAlias = Literal["stock_up", "sell", "transfer", "take_stock"]


#: How an item may name its product.
PRODUCT_FIELDS = ("_productId", "externalId")

#: The fields that items of each operation have besides their product.
ITEM_FIELDS: Mapping[Operation, tuple[str, ...]] = MappingProxyType(
    {
        "stock_up": ("quantity", "purchasePrice", "sellPrice"),
        "sell": ("quantity", "note"),
        "transfer": ("quantity", "purchasePrice"),
        "take_stock": ("quantity",),
    }
)


def check_operation(operation: object) -> Operation:
    """Return an operation.

    :raises DotyposInputError: if there is no such operation.
    """
    if operation not in get_args(Operation):
        names = get_args(Operation)
        raise DotyposInputError(
            f"operation must be one of {', '.join(names)}, not {describe(operation)}{nearest(str(operation), names)}"
        )
    return cast("Operation", operation)


def check_document(document: object) -> str:
    """Return a document's number.

    :raises DotyposInputError: if it isn't one: with an empty one all documents would be the same.
    """
    if isinstance(document, bool) or not isinstance(document, (str, int)) or is_absent(str(document)):
        raise DotyposInputError(
            f"document must be the number under which it is booked once, such as the delivery note's, not "
            f"{describe(document)}"
        )
    return _plain_text(str(document).strip(), "document")


def check_note(note: object) -> str | None:
    """Return a note as text; ``None`` if there is none.

    :raises DotyposInputError: if it isn't text, nor a number that a template has made of text.
    """
    if note is None:
        return None
    if isinstance(note, bool) or not isinstance(note, (str, int)):
        raise DotyposInputError(f"note must be text, not {describe(note)}")
    return _plain_text(str(note), "note")


def _plain_text(text: str, argument: str) -> str:
    """Return a text that a request can hold.

    :raises DotyposInputError: if it has a character that none can.
    """
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise DotyposInputError(f"{argument} has a NUL or half of a character, which no request can hold")
    return text


def check_currency(currency: object) -> str | None:
    """Return a currency's code; ``None`` for the cloud's.

    :raises DotyposInputError: if it isn't one.
    """
    if currency is None:
        return None
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise DotyposInputError(
            f"currency must be a code of three capital letters, such as EUR, not {describe(currency)}"
        )
    return currency


def check_origin(from_warehouse_id: object, warehouse_id: object) -> str:
    """Return the id of the warehouse that goods come from.

    :raises DotyposInputError: if it is the one that they go to.
    """
    origin, target = (
        str(int(id_text(id, name)))  # 05 is 5
        for id, name in ((from_warehouse_id, "from_warehouse_id"), (warehouse_id, "warehouse_id"))
    )
    if origin == target:
        raise DotyposInputError("from_warehouse_id is the warehouse that the goods go to, warehouse_id")
    return origin


def check_notes(ids: object) -> list[str]:
    """Return the ids of delivery notes to be closed.

    :raises DotyposInputError: if one isn't an id.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence):
        raise DotyposInputError(f"close_delivery_notes must be a list of ids, not {describe(ids)}")
    return [id_text(id, "an id in close_delivery_notes") for id in ids]


def counting_time(counted_at: str | date) -> str:
    """Return the time of a count: the one form of all texts that mean it, as it is its key.

    :raises DotyposInputError: if it isn't a time, or has no zone.
    """
    return iso(instant(counted_at, "counted_at"))


def check_columns(operation: Operation, columns: object) -> None:
    """Raise unless `columns` names fields that items of an operation have.

    :raises DotyposInputError: if it doesn't.
    """
    if columns is None:
        return
    known = (*PRODUCT_FIELDS, *ITEM_FIELDS[operation])
    if not isinstance(columns, Mapping):
        raise DotyposInputError(f"columns must map columns to fields, not be a {type(columns).__name__}")
    for field in columns.values():
        if field not in known:
            raise DotyposInputError(
                f"columns: items of {operation} have no field {field!r}{nearest(str(field), known)}; they have "
                f"{', '.join(known)}"
            )
    if doubled := sorted({field for field in columns.values() if [*columns.values()].count(field) > 1}):
        raise DotyposInputError(f"columns names {doubled[0]} more than once, and only one column can give it")
    if not set(PRODUCT_FIELDS) & set(columns.values()) or "quantity" not in columns.values():
        raise DotyposInputError("columns must name quantity, and _productId or externalId")
