"""What the API checks beyond the types of fields: the documented rules of single entities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.sandbox.shop.query import Row

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.shop.shop import Shop

Violations = list[tuple[str | None, str]]

#: Which entity a reference names. That a missing one is refused is [A].
_REFERENCES: Mapping[str, str] = {
    "_categoryId": "categories",
    "_customerId": "customers",
    "_discountGroupId": "discount-groups",
    "_parentProductId": "products",
    "_productId": "products",
    "_supplierId": "suppliers",
    "_tableId": "tables",
    "_warehouseId": "warehouses",
}
_FORBIDDEN_IN_TAGS = re.compile(r"[,^?*()\[\]$]")  # [D2]
_REQUIRES_PRICE_ENTRY = 1 << 2  # flag bit of products [D2]
_EXEMPTED_RATE = 1 << 1  # flag bit of taxes
_WEBHOOK_ENTITIES = ("STOCKLOG", "POINTSLOG", "PRODUCT", "ORDERBEAN", "RESERVATION", "CUSTOMER")


def complete(entity: str, given: Row, present: Row) -> None:
    """Add to a product what follows from what was given, and drop what the API ignores.

    That is the other price [A], the other form of the external id, of which only the old one can be written without
    BC2 [D], and the image, which can only be cleared [D2].

    :param present: the stored row that is changed or replaced. Empty for a new one.
    """
    if entity != "products":
        return
    vat = given.get("vat", present.get("vat"))
    if vat and given.get("priceWithoutVat") is not None and given.get("priceWithVat") is None:
        given["priceWithVat"] = round(given["priceWithoutVat"] * vat, 4)
    elif vat and given.get("priceWithVat") is not None and "priceWithoutVat" not in given:
        given["priceWithoutVat"] = given["priceWithVat"] / vat
    given.pop("purchasePriceWithoutVat", None)  # ignored here [D2]
    if given.get("imageUrl") is not None:
        given["imageUrl"] = present.get("imageUrl")
    given.pop("externalIds", None)
    if "externalId" in given:
        given["externalIds"] = [given["externalId"]] if given["externalId"] is not None else []


def check(shop: Shop, cloud_id: int, entity: str, id: int | None, row: Row, given: Row) -> None:
    """Check a row as it would be stored.

    :param given: the fields that the request sets.
    :raises RefusedError: 400 with all violations, or 409.
    """
    faults: Violations = []
    if given.get("deleted"):
        faults.append(("deleted", "must not be true: use DELETE"))  # [D2]
    for tag in given.get("tags") or []:
        if _FORBIDDEN_IN_TAGS.search(tag):
            faults.append(("tags", "must not contain , ^ ? * ( ) [ ] $"))
    for name, other in _REFERENCES.items():
        if given.get(name) is not None and shop.get(cloud_id, other, given[name]) is None:
            faults.append((name, "does not exist"))
    rule = _RULES.get(entity)
    if rule is not None:
        faults += rule(shop, cloud_id, id, row, given)
    if faults:
        raise RefusedError(400, violations=faults)


#: Fields by which no two rows may be alike [D2].
_UNIQUE: Mapping[str, tuple[str, ...]] = {
    "tags": ("name",),
    "taxes": ("value",),
    "warehouse-branches": ("_branchId", "_warehouseId"),
}


def check_together(entity: str, rows: list[Row]) -> None:
    """Refuse rows of one call of which only one could be stored: 409. Each was checked alone already."""
    names = _UNIQUE.get(entity, ())
    keys = [tuple(row[name] for name in names) for row in rows if not _exempted(entity, row)]
    if names and len(set(keys)) < len(keys):
        raise RefusedError(409, "DUPLICATE", f"Two rows of this call have the same {', '.join(names)}")


def _exempted(entity: str, row: Row) -> bool:
    """Tell whether a row is a rate that taxes may have more than once."""
    return entity == "taxes" and bool((row.get("flags") or 0) & _EXEMPTED_RATE)


def _vat(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    vat = given.get("vat")
    if vat is None:
        return []
    if not 1.0 <= vat <= 2.0:
        return [("vat", "must be a multiplier from 1.0 to 2.0")]  # not a percentage [D2]
    rates = [tax["value"] for tax in shop.rows(cloud_id, "taxes") if not tax["deleted"]]
    if vat != 1.0 and not any(abs((vat - 1) * 100 - rate) < 1e-6 for rate in rates):
        return [(None, "vat does not match any configured tax rate")]  # since BC1 [D]
    return []


def _product(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    faults = _vat(shop, cloud_id, id, row, given)
    flagged = bool((row.get("flags") or 0) & _REQUIRES_PRICE_ENTRY)
    if {"flags", "requiresPriceEntry"} & set(given) and flagged != bool(row.get("requiresPriceEntry")):
        faults.append(("requiresPriceEntry", "must agree with bit 2 of flags"))
    return faults


def _customer(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    faults: Violations = []
    if not any((row.get(name) or "").strip() for name in ("firstName", "lastName", "companyName")):
        faults.append((None, "one of firstName, lastName, companyName must not be blank"))
    if (row.get("points") or 0) < 0:
        faults.append(("points", "must not be negative"))
    return faults


def _employee(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    present = shop.get(cloud_id, "employees", id) if id == 0 else None
    if present is None:
        return [] if (row.get("name") or "").strip() else [("name", "must not be empty")]
    kept = ("enabled", "deleted", "accessLevel", "stockAccessLevel")  # of the administrator, since BC1 [D]
    return [(name, "can't change") for name in kept if name in given and given[name] != present[name]]


def _tax(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    value = row.get("value") or 0
    if _exempted("taxes", row):
        return [] if value == 0 else [("value", "must be 0 with EXEMPTED_RATE")]
    if not 0 < value <= 100:
        return [("value", "must be a percentage above 0, up to 100")]
    rest = [t for t in shop.rows(cloud_id, "taxes") if t["id"] != id and not t["deleted"]]
    return [("value", "exists already")] if any(t["value"] == value for t in rest) else []


def _discount_group(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    return [("discountPercent", "must be at most 100")] if (row.get("discountPercent") or 0) > 100 else []


def _tag(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    name = row.get("name") or ""
    if not name or _FORBIDDEN_IN_TAGS.search(name) or name.startswith("."):
        return [("name", "must not be empty, begin with a dot or contain , ^ ? * ( ) [ ] $")]
    if any(tag["name"] == name and tag["id"] != id for tag in shop.rows(cloud_id, "tags")):
        raise RefusedError(409, "DUPLICATE", "A tag of this name exists")
    return []


def _portion(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    faults: Violations = [(name, "must be positive") for name in ("portion", "price") if not (row.get(name) or 0) > 0]
    same = (p for p in shop.rows(cloud_id, "portions") if not p["deleted"])
    if any((p["portion"], p["price"]) == (row.get("portion"), row.get("price")) for p in same):
        raise RefusedError(409, "PORTION_ALREADY_EXISTS")  # 409 or 400 [D2]
    return faults


def _reservation(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    table = shop.get(cloud_id, "tables", row["_tableId"]) if row.get("_tableId") is not None else None
    if table is not None and table["seats"] and not 1 <= (row.get("seats") or 0) <= table["seats"]:
        return [("seats", f"must be from 1 to {table['seats']}")]
    return []


def _warehouse_branch(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    pair = (row.get("_branchId"), row.get("_warehouseId"))
    others = (r for r in shop.rows(cloud_id, "warehouse-branches") if r["id"] != id)
    if any((r["_branchId"], r["_warehouseId"]) == pair for r in others):
        raise RefusedError(409, "DUPLICATE", "This branch and warehouse are connected already")
    if row.get("visible") and not row.get("subscribed"):
        return [("visible", "can be true only if subscribed is")]
    return []


def _webhook(shop: Shop, cloud_id: int, id: int | None, row: Row, given: Row) -> Violations:
    known: Mapping[str, tuple[str, ...]] = {
        "method": ("POST", "GET"),
        "payloadEntity": _WEBHOOK_ENTITIES,
        "payloadVersion": ("V1",),
    }
    faults: Violations = [
        (name, f"must be one of {', '.join(values)}") for name, values in known.items() if row.get(name) not in values
    ]
    if not re.match(r"https?://[^/\s]+", row.get("url") or ""):
        faults.append(("url", "must be a web address"))
    return faults


_RULES: Mapping[str, Any] = {
    "categories": _vat,
    "customers": _customer,
    "discount-groups": _discount_group,
    "employees": _employee,
    "portions": _portion,
    "products": _product,
    "reservations": _reservation,
    "tags": _tag,
    "taxes": _tax,
    "warehouse-branches": _warehouse_branch,
    "webhooks": _webhook,
}

#: What must not be deleted while live rows refer to it: entity -> (referring entity, its field) [D2].
_HELD_BY: Mapping[str, tuple[str, str]] = {
    "categories": ("products", "_categoryId"),
    "discount-groups": ("customers", "_discountGroupId"),
}
#: What to do with the ingredients that name a deleted product: option -> their field that names it [D2].
_INGREDIENTS: Mapping[str, str] = {"productIsIngredient": "_productId", "productHasIngredients": "_parentProductId"}


def may_delete(shop: Shop, cloud_id: int, entity: str, row: Row, options: Row) -> None:
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


def _settle_ingredients(shop: Shop, cloud_id: int, product: int, options: Row) -> None:
    live = [r for r in shop.rows(cloud_id, "product-ingredients") if not r["deleted"]]
    doomed: list[Row] = []
    for option, field in _INGREDIENTS.items():
        wish = options.get(option, "ERROR")
        if wish not in ("ERROR", "PRESERVE", "DELETE"):
            raise RefusedError(400, violations=[(option, "must be ERROR, PRESERVE or DELETE")])
        related = [r for r in live if r[field] == product]
        if related and wish == "ERROR":
            raise RefusedError(409, "REFERENCED", f"product-ingredients still refer to it ({field})")
        doomed += related if wish == "DELETE" else []
    for ingredient in doomed:
        shop.delete(cloud_id, "product-ingredients", ingredient["id"])
