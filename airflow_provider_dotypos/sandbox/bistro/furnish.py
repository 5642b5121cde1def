"""The furniture of the sandbox's clouds: opening a cloud, and giving it a menu, people and things."""

from __future__ import annotations

from typing import Any

from airflow_provider_dotypos.sandbox.bistro.bistro import DAY, HOUR, MINUTE
from airflow_provider_dotypos.sandbox.bistro.menu import House
from airflow_provider_dotypos.sandbox.shop.rows import Rows
from airflow_provider_dotypos.sandbox.shop.table import Row


def open_cloud(shop: Rows, cloud_id: int, house: House, name: str | None = None) -> None:
    """Make a cloud with its branch, warehouse and taxes."""
    old = shop.now() - 400 * DAY
    shop.insert(0, "clouds", {"id": cloud_id, "name": name or house.name, "country": house.country})
    dated = {"created": old, "versionDate": old}
    branch = cloud_id + 100_000_000
    shop.insert(cloud_id, "branches", {"id": branch, "name": house.words["register"], **dated})
    warehouse = shop.insert(cloud_id, "warehouses", {"name": house.words["warehouse"], "versionDate": old})
    pair = {"_branchId": branch, "_warehouseId": warehouse["id"]}
    shop.insert(cloud_id, "warehouse-branches", {**pair, "version": old, "versionDate": old})
    for rate in house.taxes:
        shop.insert(cloud_id, "taxes", {"name": f"{rate} %", "value": float(rate), **dated})


def furnish(shop: Rows, cloud_id: int, house: House, days: int) -> None:
    """Give a cloud its menu, people and things, as they are after so many days of history."""
    furnisher = _Furnisher(shop, cloud_id, house, days)
    furnisher.put_catalogue()
    furnisher.put_stock()
    furnisher.put_people()
    furnisher.put_tables_and_reservations()
    furnisher.put_daily_menus()


class _Furnisher:
    """Puts things into one cloud. Their version dates lie somewhere in its past."""

    def __init__(self, shop: Rows, cloud_id: int, house: House, days: int) -> None:
        self.shop, self.cloud_id, self.house, self.rng = shop, cloud_id, house, shop.random
        self.start, self.end = shop.now() - days * DAY, shop.now()
        self.branch_id: int = shop.rows(cloud_id, "branches")[0]["id"]
        self.warehouse_id: int = shop.rows(cloud_id, "warehouses")[0]["id"]

    def put_catalogue(self) -> None:
        house, rng = self.house, self.rng
        course = [self._put("courses", name=f"{house.words['course']} {n}", sortOrder=n) for n in (1, 2, 3)][1]
        tags = [self._put("tags", name=name)["name"] for name in house.tags]
        suppliers = [
            self._put(
                "suppliers",
                name=name,
                **self._address(house.streets[n], n),
                zip=f"{n}1000",
                email=f"orders{n}@supplier.example.invalid",
            )
            for n, name in enumerate(house.suppliers)
        ]
        number = 0
        for order, ((name, english, vat, colour), dishes) in enumerate(house.menu.items()):
            category = self._put(
                "categories",
                name=name,
                translatedName={"en": english},
                vat=vat,
                hexColor=colour,
                sortOrder=order,
                _defaultCourseId=course["id"],
                tags=[],
            )
            for title, translation, price, _, unit in dishes:
                number += 1
                self._product(
                    category,
                    title,
                    float(price),
                    translatedName={"en": translation},
                    unit=unit,
                    hexColor=colour,
                    ean=[f"859000000{number:04d}"],
                    plu=[str(100 + number)],
                    externalId=f"SKU-{number}",
                    externalIds=[f"SKU-{number}"],
                    sortOrder=number * 10,
                    supplierProductCode=f"{number:05d}",
                    _supplierId=rng.choice(suppliers)["id"],
                    display=True,
                    subtitle="",
                    tags=[rng.choice(tags)] if rng.random() < 0.25 else [],
                    allergens=sorted(rng.sample(range(1, 15), 2)),
                    modifiedBy="sandbox",
                )
        self._product(category, "Retired dish", 99.0, deleted=True, display=False, tags=[], ean=[], plu=[])
        # deleted and display may be null on products [C1].
        self._product(category, "Half-finished entry", 1.0, deleted=None, display=None)

    def put_stock(self) -> None:
        house, rng = self.house, self.rng
        vat = 1 + house.taxes[-1] / 100
        dishes = [p for p in self.shop.rows(self.cloud_id, "products") if p["display"] and not p["deleted"]]
        category = self._put("categories", name=house.words["warehouse"], vat=vat, display=False, tags=[])
        for number, (name, cost, unit) in enumerate(house.stock):
            bare = {"priceWithoutVat": cost, "unit": unit, "display": False, "ean": [], "plu": [], "tags": []}
            thing = self._product(category, name, cost * vat, **bare)["id"]
            packaging = {"name": f"{name} 10 {unit}", "quantity": 10.0, "unit": unit, "plu": []}
            self._put("stock-packagings", _productId=thing, ean=[f"859100000{number:04d}"], **packaging)
            for dish in rng.sample(dishes, 3):
                quantity = round(rng.uniform(0.005, 0.25), 3)
                ids = {"_parentProductId": dish["id"], "_productId": thing}
                self._put("product-ingredients", **ids, quantity=quantity, unit=unit)
        self._put(
            "product-customizations",
            _productId=dishes[2]["id"],
            _categoryId=category["id"],
            _defaultProductIds=[str(category["id"] + 1)],
            name=house.words["milk"],
            maxSelected=1,
            maxItemQuantity=1,
        )
        for portion, price in ((50, 60), (150, 140)):
            self._put("portions", portion=portion, price=price)
        for product in self.shop.rows(self.cloud_id, "products"):
            if not product["deleted"]:
                self._put_in_warehouse(product)
        for number in range(8):
            when = self._sometime()
            self._put(
                "delivery-notes",
                _branchId=self.branch_id,
                documentNumber=f"DN-{number + 1}",
                type="DELIVERY_NOTE",
                documentId=f"00000000-0000-4000-8000-{self.cloud_id:09d}{number:03d}",
                currency=house.currency,
                supplierName=rng.choice(house.suppliers),
                created=when,
                expeditionDate=when,
                versionDate=when + 5000,
                url=f"https://example.invalid/delivery-notes/{number + 1}.xml",
            )

    def put_people(self) -> None:
        house, rng = self.house, self.rng
        self._put("employees", id=0, name="Administrator", accessLevel=-1, tags=[])  # id 0 is documented [D2]
        for number, name in enumerate(house.staff):
            email = f"staff{number}@example.invalid"
            self._put("employees", name=name, accessLevel=255, email=email, tags=[], enabled=True)
        if house.country == "CZ":
            self._put("eet-subjects", name=house.name, vatId="CZ00000000", vatPayer=True)
        groups = [
            self._put("discount-groups", name=house.words[name], discountPercent=float(rate))
            for name, rate in (("staff", 30), ("regulars", 10))
        ]
        for number in range(60):
            customer = self._put(
                "customers",
                firstName=rng.choice(house.first_names),
                lastName=rng.choice(house.last_names),
                email=f"guest{number}@example.invalid",
                zip="",
                phone=f"+000 000 {number:06d}",
                barcode=f"{number:012d}",
                **self._address(rng.choice(house.streets), number),
                points=float(rng.randrange(0, 500)),
                _discountGroupId=rng.choice(groups)["id"] if rng.random() < 0.3 else None,
                display=True,
                deleted=number % 20 == 19,
                modifiedBy="sandbox",
            )
            if number < 10:
                self._put_account(customer["id"])

    def put_tables_and_reservations(self) -> None:
        shop, rng = self.shop, self.rng
        tables = [
            self._put(
                "tables",
                _branchId=self.branch_id,
                name=f"{room[0]}{n}",
                locationName=room,
                seats=rng.choice((2, 4, 6)),
                positionX=n * 40,
                positionY=y * 80,
                rotation=0,
                type=rng.choice(("SQUARE", "ROUND")),
                tags=[],
            )
            for y, room in enumerate(self.house.rooms)
            for n in range(1, 8)
        ]
        customers = [c["id"] for c in shop.rows(self.cloud_id, "customers") if not c["deleted"]]
        for number in range(20):
            table = rng.choice(tables)
            begin = self.end + (number - 12) * DAY - self.end % DAY + 17 * HOUR
            booked = min(begin - 2 * DAY, self.end - HOUR)
            self._put(
                "reservations",
                _branchId=self.branch_id,
                _tableId=table["id"],
                _customerId=rng.choice(customers),
                _employeeId=0,
                startDate=begin,
                endDate=begin + 2 * HOUR,
                seats=min(2, table["seats"]),
                status=rng.choice(("NEW", "CONFIRMED", "CONFIRMED", "CANCELLED")),
                created=booked,
                versionDate=booked + 5 * MINUTE,
            )

    def put_daily_menus(self) -> None:
        lunches = {dish[0] for dishes in self.house.menu.values() for dish in dishes if dish[3] == "l"}
        products = [p["id"] for p in self.shop.rows(self.cloud_id, "products") if p["name"] in lunches]
        for day in range(5):
            begin = self.end - self.end % DAY - day * DAY
            valid = {"validFrom": begin, "validUntil": begin + DAY - 1000, "versionDate": begin - 6 * HOUR}
            menu = self._put("daily-menus", header=self.house.words["menu"], **valid)["id"]
            for prefix, section in enumerate(("SOUP", "MAIN", "MAIN"), 1):
                dish = {"_productId": self.rng.choice(products), "dailyMenuSection": section, "prefix": str(prefix)}
                self._put("daily-menu-products", _dailyMenuId=menu, **dish, **valid)

    def _sometime(self) -> int:
        # Before the history, except for a few that changed during it.
        if self.rng.random() < 0.7:
            return self.start - self.rng.randrange(DAY, 200 * DAY)
        return self.rng.randrange(self.start, max(self.end - MINUTE, self.start + 1))

    def _put(self, entity: str, **row: Any) -> Row:
        when = self._sometime()
        fields = self.shop.table(self.cloud_id, entity).entity.fields
        dated = {name: when for name in ("versionDate", "modified", "created") if name in fields}
        return self.shop.insert(self.cloud_id, entity, dated | row)

    def _product(self, category: Row, name: str, price: float, **fields: Any) -> Row:
        vat = category["vat"]
        prices = {"priceWithVat": price, "priceWithoutVat": price / vat, "vat": vat}
        return self._put("products", name=name, _categoryId=category["id"], **prices | fields)

    def _address(self, street: str, number: int) -> Row:
        house = self.house
        return {"addressLine1": f"{street} {number + 1}", "city": house.city, "country": house.country}

    def _put_in_warehouse(self, product: Row) -> None:
        fields = self.shop.table(self.cloud_id, "warehouse-products").entity.fields
        stock = {
            "_warehouseId": self.warehouse_id,
            "stockQuantityStatus": float(self.rng.randrange(5, 200)),
            "stockStatusVersiondate": self._sometime(),
            "purchasePriceWithoutVat": round(product["priceWithoutVat"] * 0.28, 4),
        }
        part = {name: value for name, value in product.items() if name in fields}
        self.shop.insert(self.cloud_id, "warehouse-products", part | stock)

    def _put_account(self, customer_id: int) -> None:
        when = self._sometime()
        common = {"balance": 500, "currency": self.house.currency, "created": when}
        ids = {"_customerId": customer_id}
        account = self._put("customer-accounts", **ids, **common, modified=when, type="default")["id"]
        top_up = {"_customerAccountId": account, "amount": 500, "type": "top-up", "source": "pos"}
        log = self._put("customer-account-logs", **top_up, **common)["id"]
        changes = {"_lastCustomerAccountLogId": log, "modified": when}
        self.shop.update(self.cloud_id, "customer-accounts", account, changes)
