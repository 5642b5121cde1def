"""Limits of a plan: what is stopped before anything is written, as a source may be wrong although each value is right.

Each limit is an entry of ``limits=``, and on by default. A plan that exceeds one isn't kept.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest
from airflow_provider_dotypos.api.overrides import describe
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.plan import ACTIONS, PlannedRow

#: How many rows may change whatever their share is.
ALWAYS = 50

Kind: TypeAlias = Literal["share", "factor", "number", "truth"]


#: The limits that there are, and what their values are. `Limits` says what they mean, and their defaults.
LIMITS: Mapping[str, Kind] = {
    "changes": "share",
    "deletes": "number",
    "price_move": "share",
    "price_factor": "factor",
    "zero_prices": "truth",
    "any_vat": "truth",
    "empty_source": "truth",
}

#: What a limit's values are, for an error.
_KINDS: Mapping[Kind, str] = {
    "share": "a share such as 0.3 (30 %)",
    "factor": "a factor above 1, such as 10",
    "number": "a whole number of rows",
    "truth": "True or False",
}

#: The fields that are prices, by entity. Prices in points are no money.
PRICES: Mapping[str, tuple[str, ...]] = {
    "products": (
        "priceWithVat",
        "priceWithVatB",
        "priceWithVatC",
        "priceWithVatD",
        "priceWithVatE",
        "priceWithoutVat",
        "packagingPriceWithVat",
    ),
    "portions": ("price",),
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one plan. ``None`` is no limit.

    :param changes: the largest share of the rows that aren't deleted which may be updated, created or deleted. `ALWAYS`
        of them may.
    :param deletes: most rows that may be deleted.
    :param price_move: how far a price may move, as a share of the price before.
    :param price_factor: by which factor a price may move at most, however large `price_move` is: a lost decimal point.
    :param zero_prices: whether a price may become zero, negative or null.
    :param any_vat: whether a VAT rate may be one that the cloud doesn't have.
    :param empty_source: whether a source without rows is no error.
    """

    changes: float | None = 0.2
    deletes: int | None = 0
    price_move: float | None = 0.3
    price_factor: float | None = 10
    zero_prices: bool = False
    any_vat: bool = False
    empty_source: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Limits:
        """Return the limits that a DAG gives; those that it doesn't name have their defaults.

        :raises DotyposInputError: if one is unknown, or a value can't be one's.
        """
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise DotyposInputError(f"limits must be a mapping such as {{'changes': 0.5}}, not {describe(given)}")
        for name in given:
            if name not in LIMITS:
                raise DotyposInputError(
                    f"limits: there is no limit {name!r}{nearest(str(name), LIMITS)}. Limits: {', '.join(LIMITS)}"
                )
        limits = {name: _read_text(value) if isinstance(value, str) else value for name, value in given.items()}
        for name, value in limits.items():
            _check_value(name, value)
        return cls(**limits)

    def check_row(self, entity: Entity, planned: PlannedRow) -> Iterator[Problem]:
        """Yield what the limits say about a planned row: at most one problem, about its first price that is too odd."""
        for name in PRICES.get(entity.name, ()):
            if name in planned.after and (what := self._price_problem(planned.before.get(name), planned.after[name])):
                yield Problem(planned.row, name, what)
                return

    def check_vat(self, number: int, vat: Any, rates: Collection[Decimal]) -> Iterator[Problem]:
        """Yield the problem of a VAT rate that the cloud doesn't have.

        :param number: the number of the source's row.
        :param vat: the rate as a multiplier.
        :param rates: the cloud's rates in percent, from its taxes. Without VAT, 1, always goes.
        """
        if vat is not None and (percent := (Decimal(vat) - 1) * 100) and percent not in rates:
            known = ", ".join(f"{1 + rate / 100:f}" for rate in sorted(rates)) or "none"
            yield Problem(
                number,
                "vat",
                f"isn't one of the cloud's rates, which are as multipliers: {known}. Add the rate in Dotypos, correct "
                "the row, or set limits={'any_vat': True}",
            )

    def needs_total(self, counts: Mapping[str, int]) -> bool:
        """Return whether the share of changed rows matters, so that the rows of the cloud must be counted.

        :param counts: how many rows there are of each op.
        """
        return self.changes is not None and _changed(counts) > ALWAYS

    def check_counts(self, counts: Mapping[str, int], total: int | None) -> Iterator[Problem]:
        """Yield what the limits say about the plan as a whole.

        :param counts: how many rows there are of each op.
        :param total: how many rows of the cloud aren't deleted; ``None`` if the API doesn't count them.
        """
        deletes = counts.get("delete", 0) + counts.get("anonymize", 0)
        if self.deletes is not None and deletes > self.deletes:
            yield _of_all(
                f"{deletes:,} rows would be deleted, and limits={{'deletes': {self.deletes}}} allows "
                f"{self.deletes:,}. If the source is right, allow as many"
            )
        changed = _changed(counts)
        if self.changes is None or changed <= max(Decimal(ALWAYS), Decimal(str(self.changes)) * (total or 0)):
            return
        of = "; how many rows there are, the API doesn't say" if total is None else f" of {total:,}"
        share = f" ({changed / total:.0%})" if total else ""
        enough = -(-100 * changed // total) / 100 if total else None  # of none no share is enough
        yield _of_all(
            f"{changed:,} rows would change{of}{share}, and limits={{'changes': {self.changes}}} allows "
            f"{self.changes:.0%} or {ALWAYS} rows. If the source is right, set limits={{'changes': {enough}}} for this "
            "run"
        )

    def check_source(self, rows: int) -> Iterator[Problem]:
        """Yield the problem of a source without rows."""
        if not rows and not self.empty_source:
            yield _of_all("the source has no rows. If that may be, set limits={'empty_source': True}")

    def _price_problem(self, before: Any, after: Any) -> str | None:
        new = None if after is None else Decimal(after)
        if new is None or new <= 0:
            return (
                None
                if self.zero_prices
                else "a price would be zero, negative or null. If that is meant, set limits={'zero_prices': True}"
            )
        old = None if before is None else Decimal(str(before))
        if old is None or old <= 0:
            return None  # there was no price that could move
        if self.price_factor is not None and not 1 <= max(new / old, old / new) <= Decimal(str(self.price_factor)):
            return (
                f"a price would move by more than a factor of {self.price_factor:g}, as if a decimal point were lost. "
                "If it is right, raise limits={'price_factor': …}"
            )
        if self.price_move is not None and abs(new - old) > Decimal(str(self.price_move)) * old:
            return (
                f"a price would move by more than {self.price_move:.0%}. If it is right, raise "
                "limits={'price_move': …}"
            )
        return None


def _read_text(text: str) -> Any:
    """Return the value that a template has made a text of, such as ``0.5`` or ``None``; other texts as they are."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _check_value(name: str, value: object) -> None:
    kind = LIMITS[name]
    if kind == "truth":
        fits = isinstance(value, bool)
    elif value is None:
        fits = True
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        fits = False
    else:
        fits = value >= 0 and (kind != "number" or isinstance(value, int)) and (kind != "factor" or value > 1)
    if not fits:
        none = "" if kind == "truth" else ", or None for no limit"
        raise DotyposInputError(f"limits: {name} must be {_KINDS[kind]}{none}, not {describe(value)}")


def _changed(counts: Mapping[str, int]) -> int:
    return sum(counts.get(op, 0) for op in ACTIONS)


def _of_all(what: str) -> Problem:
    return Problem(None, None, what)
