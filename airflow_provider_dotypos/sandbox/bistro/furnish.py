"""How the clouds of the sandbox come to be: founding them, furnishing them, and giving them a past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.sandbox.bistro import menu
from airflow_provider_dotypos.sandbox.bistro.bistro import DAY, HOUR, MINUTE, Bistro
from airflow_provider_dotypos.sandbox.bistro.life import history
from airflow_provider_dotypos.sandbox.shop.query import Row

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.shop.shop import Shop


def found(shop: Shop, cloud_id: int, house: menu.House, name: str | None = None) -> None:
    """Make a cloud with its branch, warehouse and taxes."""
    old = shop.now() - 400 * DAY
    shop.insert(0, "clouds", {"id": cloud_id, "name": name or house.name, "country": house.country})
    dated = {"created": old, "versionDate": old}
    branch = cloud_id + 100_000_000
    shop.insert(cloud_id, "branches", {"id": branch, "name": house.words["register"], **dated})
    warehouse = shop.insert(cloud_id, "warehouses", {"name": house.words["warehouse"], "versionDate": old})
    shop.insert(
        cloud_id,
        "warehouse-branches",
        {"_branchId": branch, "_warehouseId": warehouse["id"], "version": old, "versionDate": old},
    )
    for rate in house.taxes:
        shop.insert(cloud_id, "taxes", {"name": f"{rate} %", "value": float(rate), **dated})


def furnish(shop: Shop, cloud_id: int, house: menu.House, days: int, orders_per_day: int) -> None:
    """Give a founded cloud its menu, people and things, and then a history of so many days."""
    start = shop.now() - days * DAY
    _Furnisher(shop, cloud_id, house, start).all()
    history(Bistro(shop, cloud_id), start, shop.now(), orders_per_day)


class _Furnisher:
    """Puts things into one cloud; their version dates lie somewhere in its past."""

    def __init__(self, shop: Shop, cloud_id: int, house: menu.House, start: int) -> None:
        self.shop, self.cloud_id, self.house, self.rng = shop, cloud_id, house, shop.random
        self.start, self.end = start, shop.now()
        self.branch_id: int = shop.rows(cloud_id, "branches")[0]["id"]
        self.warehouse_id: int = shop.rows(cloud_id, "warehouses")[0]["id"]

    def all(self) -> None:
        self._catalogue()
        self._stock()
        self._people()
        self._tables_and_reservations()
        self._daily_menu()

    def _sometime(self) -> int:
        # Before the history, except for a few that changed during it.
        if self.rng.random() < 0.7:
            return self.start - self.rng.randrange(DAY, 200 * DAY)
        return self.rng.randrange(self.start, max(self.end - MINUTE, self.start + 1))

    def _put(self, entity: str, **row: Any) -> Row:
        when = self._sometime()
        dated = {name: when for name in ("versionDate", "modified", "created") if name not in row}
        shop = self.shop
        fields = shop.table(self.cloud_id, entity).entity.fields
        return shop.insert(self.cloud_id, entity, {k: v for k, v in dated.items() if k in fields} | row)

    def _catalogue(self) -> None:
        house, rng = self.house, self.rng
        course = [self._put("courses", name=f"{house.words['course']} {n}", sortOrder=n) for n in (1, 2, 3)][1]
        tags = [self._put("tags", name=name)["name"] for name in house.tags]
        suppliers = [
            self._put(
                "suppliers",
                name=name,
                city=house.city,
                country=house.country,
                zip=f"{n}1000",
                addressLine1=f"{house.streets[n]} {n + 1}",
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
                self._put(
                    "products",
                    name=title,
                    translatedName={"en": translation},
                    _categoryId=category["id"],
                    priceWithVat=float(price),
                    priceWithoutVat=price / vat,
                    vat=vat,
                    unit=unit,
                    hexColor=colour,
                    currency=house.currency,
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
        self._put(
            "products",
            name="Retired dish",
            _categoryId=category["id"],
            priceWithVat=99.0,
            priceWithoutVat=99 / vat,
            vat=vat,
            deleted=True,
            display=False,
            tags=[],
            ean=[],
            plu=[],
        )
        # deleted and display may be null on products [C1].
        self._put(
            "products",
            name="Half-finished entry",
            _categoryId=category["id"],
            priceWithVat=1.0,
            priceWithoutVat=1 / vat,
            vat=vat,
            deleted=None,
            display=None,
        )

    def _stock(self) -> None:
        house, rng, shop = self.house, self.rng, self.shop
        vat = 1 + house.taxes[-1] / 100
        dishes = [p for p in shop.rows(self.cloud_id, "products") if p["display"] and not p["deleted"]]
        category = self._put("categories", name=house.words["warehouse"], vat=vat, display=False, tags=[])
        for number, (name, cost, unit) in enumerate(house.stock):
            thing = self._put(
                "products",
                name=name,
                _categoryId=category["id"],
                priceWithVat=cost * vat,
                priceWithoutVat=cost,
                vat=vat,
                unit=unit,
                display=False,
                currency=house.currency,
                ean=[],
                plu=[],
                tags=[],
            )
            self._put(
                "stock-packagings",
                _productId=thing["id"],
                name=f"{name} 10 {unit}",
                quantity=10.0,
                unit=unit,
                ean=[f"859100000{number:04d}"],
                plu=[],
            )
            for dish in rng.sample(dishes, 3):
                self._put(
                    "product-ingredients",
                    _parentProductId=dish["id"],
                    _productId=thing["id"],
                    quantity=round(rng.uniform(0.005, 0.25), 3),
                    unit=unit,
                )
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
        fields = shop.table(self.cloud_id, "warehouse-products").entity.fields
        for product in shop.rows(self.cloud_id, "products"):
            if product["deleted"]:
                continue
            part = {name: value for name, value in product.items() if name in fields}
            shop.insert(
                self.cloud_id,
                "warehouse-products",
                part
                | {
                    "_warehouseId": self.warehouse_id,
                    "stockQuantityStatus": float(rng.randrange(5, 200)),
                    "stockStatusVersiondate": self._sometime(),
                    "purchasePriceWithoutVat": round(product["priceWithoutVat"] * 0.28, 4),
                },
            )
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

    def _people(self) -> None:
        house, rng = self.house, self.rng
        self._put("employees", id=0, name="Administrator", accessLevel=-1, tags=[])  # id 0 is documented [D2]
        for number, name in enumerate(house.staff):
            self._put(
                "employees",
                name=name,
                accessLevel=255,
                email=f"staff{number}@example.invalid",
                tags=[],
                enabled=True,
            )
        if house.country == "CZ":
            self._put("eet-subjects", name=house.name, vatId="CZ00000000", vatPayer=True)
        groups = [
            self._put("discount-groups", name=house.words[name], discountPercent=float(rate))
            for name, rate in (("staff", 30), ("regulars", 10))
        ]
        for number in range(60):
            first, last = rng.choice(house.first_names), rng.choice(house.last_names)
            customer = self._put(
                "customers",
                firstName=first,
                lastName=last,
                email=f"guest{number}@example.invalid",
                zip="",
                phone=f"+000 000 {number:06d}",
                barcode=f"{number:012d}",
                city=house.city,
                country=house.country,
                addressLine1=f"{rng.choice(house.streets)} {number + 1}",
                points=float(rng.randrange(0, 500)),
                _discountGroupId=rng.choice(groups)["id"] if rng.random() < 0.3 else None,
                display=True,
                deleted=number % 20 == 19,
                modifiedBy="sandbox",
            )
            if number < 10:
                self._account(customer)

    def _account(self, customer: Row) -> None:
        when = self._sometime()
        account = self._put(
            "customer-accounts",
            _customerId=customer["id"],
            balance=500,
            created=when,
            modified=when,
            currency=self.house.currency,
            type="default",
        )
        log = self._put(
            "customer-account-logs",
            _customerAccountId=account["id"],
            amount=500,
            balance=500,
            currency=self.house.currency,
            type="top-up",
            source="pos",
            created=when,
        )
        self.shop.update(
            self.cloud_id,
            "customer-accounts",
            account["id"],
            {"_lastCustomerAccountLogId": log["id"], "modified": when},
        )

    def _tables_and_reservations(self) -> None:
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
            made = min(begin - 2 * DAY, self.end - HOUR)
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
                created=made,
                versionDate=made + 5 * MINUTE,
            )

    def _daily_menu(self) -> None:
        lunches = {dish[0] for dishes in self.house.menu.values() for dish in dishes if dish[3] == "l"}
        products = [p["id"] for p in self.shop.rows(self.cloud_id, "products") if p["name"] in lunches]
        for day in range(5):
            begin = self.end - self.end % DAY - day * DAY
            made = begin - 6 * HOUR
            valid = {"validFrom": begin, "validUntil": begin + DAY - 1000, "versionDate": made}
            menu_row = self._put("daily-menus", header=self.house.words["menu"], **valid)
            for prefix, section in enumerate(("SOUP", "MAIN", "MAIN"), 1):
                self._put(
                    "daily-menu-products",
                    _dailyMenuId=menu_row["id"],
                    _productId=self.rng.choice(products),
                    dailyMenuSection=section,
                    prefix=str(prefix),
                    **valid,
                )
