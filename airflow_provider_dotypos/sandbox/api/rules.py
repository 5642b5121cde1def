"""The documented rules of single entities: what the API checks beyond the types of fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_dotypos.api.entities import CLOUDS, Entity
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.errors import RefusedError, Violation
from airflow_provider_dotypos.sandbox.shop.rows import Rows
from airflow_provider_dotypos.sandbox.shop.table import Row

#: Values that fields of an open list take. The real API may know more, or take any text [A].
_UNITS = (
    *("Piece", "Milligram", "Gram", "Decagram", "Kilogram", "Pound", "Ounce", "Quintal", "Tonne"),
    *("Millimeter", "Centimeter", "Meter", "Kilometer", "Inch", "Mile", "SquareMeter", "SquareFoot"),
    *("Milliliter", "Centiliter", "Deciliter", "Liter", "Hectoliter", "UsGallon", "UkGallon", "CubicMeter"),
    *("CubicFoot", "Second", "Minute", "Hour", "Day", "Points"),
)
_VALUES: Mapping[tuple[str, str], tuple[str, ...]] = {
    **{(entity, "unit"): _UNITS for entity in ("products", "product-ingredients", "stock-packagings")},
    ("products", "stockOverdraft"): ("ALLOW", "WARN", "DISABLE"),
    ("products", "unitMeasurement"): _UNITS,
    ("product-customizations", "priceLevel"): ("B", "C", "D", "E"),
    ("reservations", "status"): ("NEW", "CONFIRMED", "CANCELLED"),
    ("customer-accounts", "type"): ("default",),
    ("customer-account-logs", "type"): ("top-up", "payment", "refund"),
    ("webhooks", "method"): ("POST", "GET"),
    ("webhooks", "payloadEntity"): ("STOCKLOG", "POINTSLOG", "PRODUCT", "ORDERBEAN", "RESERVATION", "CUSTOMER"),
    ("webhooks", "payloadVersion"): ("V1",),
}
#: Fields by which no two rows may be alike [D2].
_UNIQUE: Mapping[str, tuple[str, ...]] = {
    "tags": ("name",),
    "taxes": ("value",),
    "warehouse-branches": ("_branchId", "_warehouseId"),
}
_FORBIDDEN_IN_TAGS = re.compile(r"[,^?*()\[\]$]")  # [D2]
_REQUIRES_PRICE_ENTRY = 1 << 2  # flag bit of products [D2]
_EXEMPTED_RATE = 1 << 1  # flag bit of taxes


@dataclass(frozen=True)
class Change:
    """A row as it would be stored.

    :param id: the row's id. None for a new one.
    :param row: the whole row.
    :param given: the fields that the request sets.
    """

    shop: Rows
    behaviour: Behaviour
    cloud_id: int
    entity: Entity
    id: int | None
    row: Row
    given: Row

    def find(self, entity: str | None, id: int) -> Row | None:
        """Return the row of another entity with this id."""
        return self.shop.get(self.cloud_id, entity, id) if entity else None

    def rows(self, entity: str | None = None) -> list[Row]:
        """Return the rows of an entity, by default of the changed row's."""
        return self.shop.rows(self.cloud_id, entity or self.entity.name)

    def live(self, entity: str | None = None) -> list[Row]:
        """Return those of the `rows` that aren't deleted."""
        return [row for row in self.rows(entity) if not row.get("deleted")]

    def number(self, name: str) -> float:
        """Return the number in a field of the row; 0 if it is null."""
        return float(self.row.get(name) or 0)

    def text(self, name: str) -> str:
        """Return the text in a field of the row, without spaces around it."""
        return str(self.row.get(name) or "").strip()


def complete(entity: str, given: Row, present: Row, behaviour: Behaviour) -> None:
    """Complete the given fields of a product as the API does.

    Whether the other price is computed is a switch [U]. The external id gets its other form; without BC2 only the old
    one can be written [D]. The image can only be cleared [D2]. The purchase price is ignored [D2].

    :param present: the stored row that is changed or replaced. Empty for a new one.
    """
    if entity != "products":
        return
    _couple_prices(given, present, behaviour.price_coupling)
    if given.get("imageUrl") is not None:
        given["imageUrl"] = present.get("imageUrl")
    if behaviour.read_only_fields == "taken":
        return
    given.pop("purchasePriceWithoutVat", None)
    given.pop("externalIds", None)
    if "externalId" in given:
        given["externalIds"] = [given["externalId"]] if given["externalId"] is not None else []


def _couple_prices(given: Row, present: Row, coupling: str) -> None:
    vat = given.get("vat", present.get("vat"))
    if not vat or coupling == "none":
        return
    with_vat, without = given.get("priceWithVat"), given.get("priceWithoutVat")
    if without is not None and with_vat is None:
        given["priceWithVat"] = round(without * vat, 4)
    elif with_vat is not None and "priceWithoutVat" not in given:
        given["priceWithoutVat"] = with_vat / vat
    elif "vat" in given and with_vat is None and coupling == "vat" and present.get("priceWithoutVat") is not None:
        given["priceWithVat"] = round(present["priceWithoutVat"] * vat, 4)


def check(change: Change) -> None:
    """Check a row as it would be stored.

    :raises RefusedError: if there are violations (400 with them all) or a conflict (409).
    """
    violations: list[Violation] = []
    if change.given.get("deleted"):
        violations.append(("deleted", "must not be true: use DELETE"))  # [D2]
    for tag in change.given.get("tags") or []:
        if _FORBIDDEN_IN_TAGS.search(tag):
            violations.append(("tags", "must not contain , ^ ? * ( ) [ ] $"))
    violations += _check_references(change)
    for name, value in change.given.items():
        known = _VALUES.get((change.entity.name, name))
        if known and value is not None and value not in known:
            violations.append((name, f"must be one of {', '.join(known)}"))
    external = change.given.get("externalId") if change.behaviour.external_ids == "unique" else None
    if external and any(row["externalId"] == external and row["id"] != change.id for row in change.live()):
        raise RefusedError(409, "DUPLICATE", "A row with this externalId exists")
    if change.entity.name in _RULES:
        violations += _RULES[change.entity.name](change)
    if violations:
        raise RefusedError(400, violations=violations)


def _check_references(change: Change) -> list[Violation]:
    """Return which references lead to no row [A]. Ids of the system, 0 and below, lead to none [D2, C2]."""
    violations: list[Violation] = []
    for name, value in change.given.items():
        field = change.entity.fields.get(name)
        if field is None or field.references in (None, CLOUDS) or value is None:
            continue
        ids = [int(id) for id in (value if isinstance(value, list) else [value]) if str(id).isdecimal()]
        if any(id > 0 and change.find(field.references, id) is None for id in ids):
            violations.append((name, "does not exist"))
    return violations


def check_together(entity: str, rows: list[Row], behaviour: Behaviour) -> None:
    """Refuse rows of one call of which only one could be stored: 409. Each was already checked by itself."""
    externals = [row["externalId"] for row in rows if row.get("externalId")]
    if behaviour.external_ids == "unique" and len(set(externals)) < len(externals):
        raise RefusedError(409, "DUPLICATE", "Two rows of this call have the same externalId")
    names = _UNIQUE.get(entity, ())
    keys = [tuple(row[name] for name in names) for row in rows if not _exempted(entity, row)]
    if names and len(set(keys)) < len(keys):
        raise RefusedError(409, "DUPLICATE", f"Two rows of this call have the same {', '.join(names)}")


def _exempted(entity: str, row: Row) -> bool:
    """Return whether a row is a rate that taxes may have more than once."""
    return entity == "taxes" and bool((row.get("flags") or 0) & _EXEMPTED_RATE)


def _check_vat(change: Change) -> list[Violation]:
    vat = change.given.get("vat")
    if vat is None:
        return []
    if not 1.0 <= vat <= 2.0:
        return [("vat", "must be a multiplier from 1.0 to 2.0")]  # not a percentage [D2]
    if vat != 1.0 and not any(abs((vat - 1) * 100 - tax["value"]) < 1e-6 for tax in change.live("taxes")):
        return [(None, "vat does not match any configured tax rate")]  # since BC1 [D]
    return []


def _check_product(change: Change) -> list[Violation]:
    violations = _check_vat(change)
    flagged = bool((change.row.get("flags") or 0) & _REQUIRES_PRICE_ENTRY)
    touched = {"flags", "requiresPriceEntry"} & set(change.given)
    if touched and flagged != bool(change.row.get("requiresPriceEntry")):
        violations.append(("requiresPriceEntry", "must agree with bit 2 of flags"))
    return violations


def _check_customer(change: Change) -> list[Violation]:
    violations: list[Violation] = []
    if not any(change.text(name) for name in ("firstName", "lastName", "companyName")):
        violations.append((None, "one of firstName, lastName, companyName must not be blank"))
    if change.number("points") < 0:
        violations.append(("points", "must not be negative"))
    return violations


def _check_employee(change: Change) -> list[Violation]:
    administrator = change.find("employees", 0) if change.id == 0 else None
    if administrator is None:
        return [] if change.text("name") else [("name", "must not be empty")]
    kept = ("enabled", "deleted", "accessLevel", "stockAccessLevel")  # since BC1 [D]
    changed = [name for name in kept if name in change.given and change.given[name] != administrator[name]]
    return [(name, "can't change") for name in changed]


def _check_tax(change: Change) -> list[Violation]:
    value = change.number("value")
    if _exempted("taxes", change.row):
        return [] if value == 0 else [("value", "must be 0 with EXEMPTED_RATE")]
    if not 0 < value <= 100:
        return [("value", "must be a percentage above 0, up to 100")]
    same = any(tax["value"] == value for tax in change.live() if tax["id"] != change.id)
    return [("value", "exists already")] if same else []


def _check_discount_group(change: Change) -> list[Violation]:
    return [("discountPercent", "must be at most 100")] if change.number("discountPercent") > 100 else []


def _check_tag(change: Change) -> list[Violation]:
    name = change.row.get("name") or ""
    if not name or _FORBIDDEN_IN_TAGS.search(name) or name.startswith("."):
        return [("name", "must not be empty, begin with a dot or contain , ^ ? * ( ) [ ] $")]
    if any(tag["name"] == name and tag["id"] != change.id for tag in change.rows()):
        raise RefusedError(409, "DUPLICATE", "A tag of this name exists")
    return []


def _check_portion(change: Change) -> list[Violation]:
    names = ("portion", "price")
    if any(all(portion[name] == change.row.get(name) for name in names) for portion in change.live()):
        raise RefusedError(409, "PORTION_ALREADY_EXISTS")  # 409 or 400 [D2]
    return [(name, "must be positive") for name in names if not change.number(name) > 0]


def _check_reservation(change: Change) -> list[Violation]:
    id = change.row.get("_tableId")
    table = change.find("tables", id) if id is not None else None
    if table is not None and table["seats"] and not 1 <= change.number("seats") <= table["seats"]:
        return [("seats", f"must be from 1 to {table['seats']}")]
    return []


def _check_warehouse_branch(change: Change) -> list[Violation]:
    names = _UNIQUE["warehouse-branches"]
    others = (row for row in change.rows() if row["id"] != change.id)
    if any(all(row[name] == change.row.get(name) for name in names) for row in others):
        raise RefusedError(409, "DUPLICATE", "This branch and warehouse are connected already")
    if change.row.get("visible") and not change.row.get("subscribed"):
        return [("visible", "can be true only if subscribed is")]
    return []


def _check_webhook(change: Change) -> list[Violation]:
    if not re.match(r"https?://[^/\s]+", change.row.get("url") or ""):
        return [("url", "must be a web address")]
    return []


_RULES: Mapping[str, Callable[[Change], list[Violation]]] = {
    "categories": _check_vat,
    "customers": _check_customer,
    "discount-groups": _check_discount_group,
    "employees": _check_employee,
    "portions": _check_portion,
    "products": _check_product,
    "reservations": _check_reservation,
    "tags": _check_tag,
    "taxes": _check_tax,
    "warehouse-branches": _check_warehouse_branch,
    "webhooks": _check_webhook,
}

#: Rows that can't be deleted while live rows refer to them: entity -> (referring entity, its field) [D2].
_HELD_BY: Mapping[str, tuple[str, str]] = {
    "categories": ("products", "_categoryId"),
    "discount-groups": ("customers", "_discountGroupId"),
}
#: Options for the ingredients that name a deleted product: option -> their field that names it [D2].
_INGREDIENTS: Mapping[str, str] = {"productIsIngredient": "_productId", "productHasIngredients": "_parentProductId"}


def check_delete(shop: Rows, cloud_id: int, entity: str, row: Row, options: Row) -> None:
    """Refuse to delete what is in use (409), and the administrator (403) [D2].

    :param options: for a product: ``ERROR`` (default), ``PRESERVE`` or ``DELETE`` for either kind of ingredient.
    """
    if entity == "employees" and row["id"] == 0:
        raise RefusedError(403, "ACCESS_DENIED", "The administrator can't be deleted")
    if entity in _HELD_BY:
        other, field = _HELD_BY[entity]
        if any(r[field] == row["id"] and not r["deleted"] for r in shop.rows(cloud_id, other)):
            raise RefusedError(409, "REFERENCED", f"{other} still refer to it")
    if entity == "products":
        _settle_ingredients(shop, cloud_id, row["id"], options)


def _settle_ingredients(shop: Rows, cloud_id: int, product: int, options: Row) -> None:
    live = [row for row in shop.rows(cloud_id, "product-ingredients") if not row["deleted"]]
    doomed: list[Row] = []
    for option, field in _INGREDIENTS.items():
        wish = options.get(option, "ERROR")
        if wish not in ("ERROR", "PRESERVE", "DELETE"):
            raise RefusedError(400, violations=[(option, "must be ERROR, PRESERVE or DELETE")])
        related = [row for row in live if row[field] == product]
        if related and wish == "ERROR":
            raise RefusedError(409, "REFERENCED", f"product-ingredients still refer to it ({field})")
        doomed += related if wish == "DELETE" else []
    for ingredient in doomed:
        shop.delete(cloud_id, "product-ingredients", ingredient["id"])
