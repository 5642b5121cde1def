"""What is booked of each product: the items of a stock-up, a sale, a transfer or a stock-taking, from any source.

https://docs.api.dotypos.com/entity/warehouse
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

import msgspec

from airflow_provider_dotypos.api.entities import BATCH_LIMIT, Field
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest
from airflow_provider_dotypos.api.overrides import is_absent
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.source import Row, Source
from airflow_provider_dotypos.writes.stock.arguments import ITEM_FIELDS, PRODUCT_FIELDS, Operation
from airflow_provider_dotypos.writes.values import read_value


def _field(name: str, type: str) -> Field:
    return Field(name, type, True, (), False, False, None, False, False, None)


#: Characters that a filter has no escape for [U], so that no product can be looked up by them.
_UNFILTERABLE = frozenset(",;|")

#: The fields of items.
_FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        field.name: field
        for field in (
            _field("_productId", "long"),
            _field("externalId", "string"),
            _field("quantity", "double"),
            _field("purchasePrice", "double"),
            _field("sellPrice", "double"),
            _field("note", "string"),
        )
    }
)


class Item(msgspec.Struct, frozen=True):
    """One product that is booked.

    :param row: the number of the source's row, from 1 on.
    :param by: the field that names the product, see `PRODUCT_FIELDS`.
    :param product: its value.
    :param values: the item's other fields, in the API's form.
    """

    row: int
    by: str
    product: str
    values: Mapping[str, str]

    @property
    def quantity(self) -> Decimal:
        """How much is booked."""
        return Decimal(self.values["quantity"])

    @property
    def purchase_price(self) -> Decimal | None:
        """What it costs, if the source says so."""
        price = self.values.get("purchasePrice")
        return None if price is None else Decimal(price)


def read_items(operation: Operation, source: Source, columns: Mapping[str, str] | None = None) -> list[Item]:
    """Return the items that a source's rows name.

    :param columns: the item's field by the source's column. Other columns are passed over then. By default columns are
        called as fields are, and no other is allowed.
    :raises DotyposPlanError: if a row can't be booked, with all problems of all rows.
    :raises DotyposInputError: if there is no row, or none has a column that `columns` names.
    """
    problems = Problems()
    items: list[Item] = []
    existing: dict[str, None] = {}
    for number, row in source.numbered(problems):
        existing |= dict.fromkeys(row)
        if item := _read_item(operation, number, row, columns, problems):
            items.append(item)
    if operation == "take_stock":
        refuse_doubles(items, problems)
    problems.raise_any(source.name)
    if items and (missing := next((column for column in columns or {} if column not in existing), None)):
        raise DotyposInputError(f"columns: {source.name} has no column {missing!r}{nearest(missing, existing)}")
    if len(items) > BATCH_LIMIT and len({item.by for item in items}) > 1:
        # The same product could come in two parts, and the levels would tell nothing of either.
        raise DotyposInputError(
            f"{source.name} has more than {BATCH_LIMIT} rows: all must name their product by the same field, "
            f"{' or '.join(PRODUCT_FIELDS)}"
        )
    if not items:
        raise DotyposInputError(f"{source.name} has no rows, so there is nothing to book")
    return items


def split(items: Sequence[Item]) -> list[tuple[Item, ...]]:
    """Return the items in as few parts as may be sent. Items of a product stay together.

    The parts are the same in whatever order the items come: a query may give them in another one each time.
    """
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in sorted(items, key=lambda item: (item.by, item.product, sorted(item.values.items()))):
        groups.setdefault((item.by, item.product), []).append(item)
    parts: list[list[Item]] = [[]]
    for group in groups.values():
        for piece in _pieces(group):
            if len(parts[-1]) + len(piece) > BATCH_LIMIT:
                parts.append([])
            parts[-1] += piece
    return [tuple(part) for part in parts]


def _pieces(group: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(group), BATCH_LIMIT):
        yield group[start : start + BATCH_LIMIT]


def _read_item(
    operation: Operation,
    number: int,
    row: Row,
    columns: Mapping[str, str] | None,
    problems: Problems,
) -> Item | None:
    known = (*PRODUCT_FIELDS, *ITEM_FIELDS[operation])
    if columns is not None:
        row = {field: row.get(column) for column, field in columns.items()}
    values: dict[str, str] = {}
    sound = True

    def refuse(field: str, what: str) -> None:
        nonlocal sound
        sound = False
        problems.add(Problem(number, field, what))

    for name, value in row.items():
        if name not in known:
            refuse(str(name), f"is no field of an item{nearest(str(name), known)}; it may have {', '.join(known)}")
        elif not is_absent(value):
            try:
                values[name] = str(read_value(_FIELDS[name], value))
            except ValueError as error:
                refuse(name, str(error))
    named = [name for name in PRODUCT_FIELDS if not is_absent(row.get(name))]
    if len(named) != 1:
        refuse(PRODUCT_FIELDS[0], "must name the product, or externalId must: one of both")
    elif named == ["externalId"] and _UNFILTERABLE & set(values.get("externalId", "")):
        refuse("externalId", "can't be looked up if it holds a comma, ; or |: name the product by _productId")
    if is_absent(row.get("quantity")):
        refuse("quantity", "is missing")
    elif "quantity" in values and (why := _wrong_quantity(operation, Decimal(values["quantity"]))):
        refuse("quantity", why)
    if not sound:
        return None
    return Item(number, named[0], values.pop(named[0]), values)


def _wrong_quantity(operation: Operation, quantity: Decimal) -> str | None:
    """Return why a quantity can't be booked, if it can't."""
    if operation == "take_stock":
        return "must be what was counted, 0 or more" if quantity < 0 else None
    if quantity == 0:
        return "must not be 0, which moves nothing: take the row out"
    if operation == "transfer" and quantity < 0:
        return "must be more than 0: to move goods back, exchange the warehouses"
    return None


def _name(item: Item) -> Hashable:
    return item.by, item.product


def refuse_doubles(items: Iterable[Item], problems: Problems, product: Callable[[Item], Hashable] = _name) -> None:
    """Note products that are counted twice: only one of both quantities could hold.

    :param product: what tells an item's product apart. By default it is what the item calls it.
    """
    first: dict[Hashable, int] = {}
    for item in items:
        if (row := first.setdefault(product(item), item.row)) != item.row:
            problems.add(Problem(item.row, item.by, f"is the same product as in row {row}: add both quantities up"))
