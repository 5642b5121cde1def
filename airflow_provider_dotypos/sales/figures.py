"""Which figures are compared: of an entity's rows, and of the API's sales report.

What the report counts isn't documented. What is assumed here can be changed by the arguments of `RowChoice`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any, TypeAlias

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.api.names import nearest

#: Figures of some sales, in the order of `Figures.names`.
Amounts: TypeAlias = tuple[Decimal, ...]

#: Documents that are no sale of their own [A]: movements of cash, payments of invoices that were issued elsewhere, and
#: invoices that repeat receipts.
NO_SALES = ("CASH_IN", "CASH_OUT", "EXTERNAL_INVOICE_PAYMENT", "INVOICE_FROM_RECEIPTS")

#: Flag bits of orders [D2].
_CANCELED_FULL, _CANCELLATION = 1 << 1, 1 << 2

#: Digits of sums: as many as any table's.
_SUMS = Context(prec=100)


class _Receipts(msgspec.Struct):
    """One line of what the report says of documents."""

    type: str
    value: Decimal
    count: Decimal


class _Revenue(msgspec.Struct):
    """What the report says of revenue."""

    totalWithVat: Decimal  # noqa: N815 (the API's name)
    totalWithoutVat: Decimal  # noqa: N815


class _ReceiptReport(msgspec.Struct):
    receiptInfo: list[_Receipts]  # noqa: N815


class _RevenueReport(msgspec.Struct):
    revenue: _Revenue


def _receipts(report: bytes) -> Amounts:
    lines = msgspec.json.decode(report, type=_ReceiptReport).receiptInfo
    totals = [(line.value, line.count) for line in lines if line.type == "total"]
    if lines and not totals:
        raise msgspec.ValidationError
    return total(totals, 2)  # without sales there may be no line at all


def _revenue(report: bytes) -> Amounts:
    revenue = msgspec.json.decode(report, type=_RevenueReport).revenue
    return revenue.totalWithVat, revenue.totalWithoutVat


@dataclass(frozen=True)
class Figures:
    """What is compared of an entity's rows.

    :param entity: its name.
    :param names: what the figures are called.
    :param fields: which fields are summed.
    :param counted: whether the number of rows is the last figure.
    :param rounded: whether the report rounds sums of what isn't rounded.
    :param of_report: finds the figures in a report.
    """

    entity: str
    names: tuple[str, ...]
    fields: tuple[str, ...]
    counted: bool
    rounded: bool
    of_report: Callable[[bytes], Amounts]

    def read(self, report: bytes) -> Amounts:
        """Return the figures of a report.

        :raises DotyposResponseError: if it has none.
        """
        with suppress(msgspec.MsgspecError):
            return self.of_report(report)
        # Raised here, without the decoder's error: a report names employees and customers.
        raise DotyposResponseError(f"answered with a sales report without figures of {self.entity.replace('-', ' ')}")

    def as_report(self, amounts: Amounts, report: Amounts) -> Amounts:
        """Return figures as a report would show them."""
        if not self.rounded:
            return amounts
        return tuple(_rounded(amount, shown) for amount, shown in zip(amounts, report, strict=True))


#: By the entity whose rows are compared.
FIGURES = {
    figures.entity: figures
    for figures in (
        Figures("orders", ("total", "orders"), ("totalValueRounded",), True, False, _receipts),
        Figures(
            "order-items",
            ("with VAT", "without VAT"),
            ("totalPriceWithVat", "totalPriceWithoutVat"),
            False,
            True,
            _revenue,
        ),
    )
}


def find_figures(entity: str) -> Figures:
    """Return what is compared of an entity's rows.

    :raises DotyposInputError: if the report says nothing of them.
    """
    if entity not in FIGURES:
        raise DotyposInputError(
            f"the sales report can be compared with {' or '.join(FIGURES)}, not with {entity!r}"
            f"{nearest(str(entity), FIGURES)}"
        )
    return FIGURES[entity]


@dataclass(frozen=True)
class RowChoice:
    """Which completed rows of an entity count.

    :param fields: fields that decide.
    :param document_types: types of documents that count; ``None``: all but `NO_SALES`.
    :param canceled: whether cancelled orders and the documents that cancel them count.
    :param unpaid: whether orders count that are completed and not paid.
    """

    fields: tuple[str, ...] = ()
    document_types: frozenset[str] | None = None
    canceled: bool = True
    unpaid: bool = True

    @classmethod
    def of(
        cls, figures: Figures, document_types: Iterable[str] | None, *, count_canceled: bool, count_unpaid: bool
    ) -> RowChoice:
        """Return which rows count.

        :raises DotyposInputError: if the entity's rows don't show that.
        """
        if isinstance(document_types, str):
            document_types = [name.strip() for name in document_types.split(",")]
        types = None if document_types is None else frozenset(document_types)
        if figures.entity == "orders":
            return cls(("documentType", "flags", "paid"), types, count_canceled, count_unpaid)
        if types is not None or not count_canceled or not count_unpaid:
            raise DotyposInputError(
                f"{figures.entity} don't show which document they belong to: document_types, count_canceled and "
                "count_unpaid are for orders"
            )
        return cls()

    def counts(self, *values: Any) -> bool:
        """Return whether a row counts.

        :param values: of `fields`; a null counts as an ordinary one.
        """
        if not values:
            return True
        document_type, flags, paid = values
        return (
            (document_type not in NO_SALES if self.document_types is None else document_type in self.document_types)
            and (self.canceled or not _bits(flags) & (_CANCELED_FULL | _CANCELLATION))
            and (self.unpaid or bool(paid))
        )


def _bits(flags: Any) -> int:
    """Return flags as a number; what isn't one has none set."""
    try:
        return int(flags)
    except (ValueError, TypeError):
        return 0


def total(amounts: Iterable[Amounts], width: int) -> Amounts:
    """Return the sum of figures, exactly.

    :param width: how many figures there are.
    """
    with localcontext(_SUMS):
        return tuple(map(sum, zip((Decimal(0),) * width, *amounts, strict=True)))  # type: ignore[arg-type]


def difference(amounts: Amounts, others: Amounts) -> Amounts:
    """Return how much larger figures are than others, exactly."""
    with localcontext(_SUMS):
        return tuple(amount - other for amount, other in zip(amounts, others, strict=True))


def shown(amount: Decimal) -> str:
    """Return an amount as text, exactly, without needless zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _rounded(amount: Decimal, shown: Decimal) -> Decimal:
    """Return an amount rounded to the places that a report shows: two, unless it shows more."""
    exponent = shown.as_tuple().exponent
    places = min(-2, exponent) if isinstance(exponent, int) else -2
    return amount.quantize(Decimal(1).scaleb(places), ROUND_HALF_UP, _SUMS)
