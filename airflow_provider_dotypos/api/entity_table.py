"""The rows of the entity table, as data. ``entities`` explains the notation and reads them.

Adding an entity is adding one row here. Attributes that a row doesn't name have the defaults of ``entities._entity``:
rows in a list and one by one, below the cloud, in pages with totals, ordered by ``versionDate``, without writes.
"""

from __future__ import annotations

from typing import Any


def _without(name: str, fields: str) -> str:
    """Return fields but for the one of that name."""
    return "\n".join(line for line in fields.splitlines() if not line.strip().startswith(f"{name}:"))


_PRODUCT_FIELDS = """
    id:long/EM server
    _categoryId:long/EM -> categories
    _cloudId:int server -> clouds
    _defaultCourseId:long?/EM -> courses
    _eetSubjectId:long?/EM -> eet-subjects
    _supplierId:long?/EM -> suppliers
    allergens:int[] default
    alternativeName:string?
    created:timestamp? server
    currency:string(3)?
    deleted:boolean/EM^ default
    deliveryNoteIds:string?
    description:string(1000)?
    discountPercent:double
    discountPermitted:boolean/EM
    display:boolean/EM^
    ean:string[]?/EM^
    externalId:string?/EM
    externalIds:string[]?/EM server  # taken with Allow-Version: BC2 only
    features:string[] default
    flags:int/B
    hexColor:string(7)
    imageUrl:string?  # only null is taken
    margin:string(50)?
    marginMin:double?
    minCustomerAge:int?
    modifiedBy:string(32)?! server
    name:string(400)/S^
    notes:string[](1000)?
    onSale:boolean/EM
    packageItem:double?
    packaging:double
    packagingMeasurement:double?
    packagingPriceWithVat:double?
    plu:string[]?/EM^
    points:double
    preparationDuration:int?
    priceInPoints:double
    priceWithVat:double?/EM^
    priceWithVatB:double?
    priceWithVatC:double?
    priceWithVatD:double?
    priceWithVatE:double?
    priceWithoutVat:double^
    purchasePriceWithoutVat:double? server  # ignored; warehouse-products have it
    recipe:string(8192)?
    requiresPriceEntry:boolean/EM
    sortOrder:long?
    stockDeduct:boolean/EM
    stockOverdraft:enum
    subtitle:string(500)?
    supplierProductCode:string?
    tags:string[]?/EM
    translatedDescription:object?
    translatedName:object?
    unit:enum/E
    unitMeasurement:enum?
    vat:double/E^
    versionDate:timestamp?/ENM^ server
"""

ROWS: tuple[dict[str, Any], ...] = (
    dict(
        name="clouds",
        path="/v2/clouds",
        cursors=(),
        mark="D2",
        docs="/entity/cloud",
        fields="""
        id:int/EM
        1ClickId:int?/EM
        _companyId:long?/EM
        country:string(3)?
        deleted:boolean/EM^
        expired:boolean/EM
        name:string(255)/ES^
        restricted:boolean/EM
        segment:string(100)?
        """,
    ),
    dict(
        name="manifest",
        kind="object",
        cursors=(),
        mark="D2",
        docs="/entity/cloud-manifest",
        fields="""
        cloud:object
        multicloud:object
        branches:object[]
        """,
    ),
    dict(
        name="attendances",
        mark="D",
        docs="/entity/attendance",
        fields="""
        id:int/EM
        _branchId:int/EM -> branches
        _cloudId:int -> clouds
        _employeeId:long/EM -> employees
        created:timestamp?/ENM^
        event:enum/EM
        versionDate:timestamp?/ENM^
        """,
    ),
    dict(
        name="branches",
        mark="D2",
        docs="/entity/branch",
        fields="""
        id:int/EM
        _cloudId:int -> clouds
        created:timestamp?/ENM^
        deleted:boolean/EM^
        display:boolean/EM^
        features:long/B
        flags:short/B
        name:string(100)
        versionDate:timestamp?/ENM^
        """,
    ),
    dict(
        name="categories",
        writes="POST[100] PUT[100] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/category",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        _defaultCourseId:long?/EM -> courses
        _eetSubjectId:long?/EM -> eet-subjects
        deleted:boolean/EM^ default
        display:boolean/EM^
        externalId:string?/EM
        flags:long/B
        hexColor:string(7)
        margin:string(180)?
        maxDiscount:double?
        modifiedBy:string(32)?! server
        name:string(180)/ES^
        sortOrder:long?^
        tags:string[]?/EM
        translatedName:object?
        vat:double?
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="courses",
        mark="D2",
        docs="/entity/course",
        fields="""
        id:long/EM
        _cloudId:int -> clouds
        deleted:boolean/EM
        enabled:boolean
        name:string/ES^
        sortOrder:long
        tags:string[]
        versionDate:timestamp?/ENM
        """,
    ),
    dict(
        name="customers",
        writes="POST[] PUT[] PUT PATCH DELETE",
        mark="D",
        docs="/entity/customer",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        _discountGroupId:long?/EM -> discount-groups
        _sellerId:long?/EM
        firstName:string(180)/S^!
        lastName:string(180)/S^!
        companyName:string(180)/S^!
        addressLine1:string(180)/S!
        addressLine2:string(180)?/S!
        city:string(255)?/ES!
        country:string(10)?/S
        zip:string(20)/S!
        barcode:string(50)/EM!
        companyId:string(255)/S!
        vatId:string(255)/S!
        companyId2:string(255)?/S!
        email:string(100)/S!
        phone:string(20)/S!
        birthday:timestamp?!
        expireDate:timestamp?/ENM^
        created:timestamp?/ENM^ server
        versionDate:timestamp?/ENM^ server
        points:double/N
        flags:long/B
        tags:string[](255)/EM! default
        display:boolean/EM^
        deleted:boolean/EM^ default
        hexColor:string(7)
        internalNote:string(1000)!
        note:string(500)?!
        headerPrint:string(256)!
        modifiedBy:string(32)?! server
        externalId:string(256)?/EM!
        """,
    ),
    dict(
        name="customer-accounts",
        cursors=("modified",),
        writes="POST",
        mark="D",
        docs="/entity/customer-account",
        fields="""
        id:long/EM server
        _cloudId:int/EM server -> clouds
        _customerId:long/EM -> customers
        _lastCustomerAccountLogId:long?/EM -> customer-account-logs
        allowedMinimalBalance:decimal/N
        balance:decimal/N default
        currency:string(3)/S^
        type:enum/S^
        created:timestamp/ENM server
        modified:timestamp/ENM server
        """,
    ),
    dict(
        name="customer-account-logs",
        cursors=("created",),
        writes="POST",
        mark="D",
        docs="/entity/customer-account-log",
        fields="""
        id:long/EM server
        _cloudId:int/EM server -> clouds
        _customerAccountId:long?/EM -> customer-accounts
        _employeeId:long?/EM -> employees
        _moneyLogId:long?/EM -> money-logs
        _orderId:long?/EM -> orders
        _previousCustomerAccountLogId:long?/EM -> customer-account-logs
        amount:decimal/N
        balance:decimal/N default
        currency:string(3)/S^
        type:enum/S^
        note:string!
        source:string
        created:timestamp/ENM server
        """,
    ),
    dict(
        name="daily-menus",
        unstable=True,
        mark="D2",
        docs="/entity/daily-menu",
        fields="""
        id:long/EM
        _cloudId:long -> clouds
        footer:string?
        header:string?
        deleted:boolean/EM
        validFrom:timestamp/ENM^
        validUntil:timestamp/ENM
        versionDate:timestamp?/ENM
        """,
    ),
    dict(
        name="daily-menu-products",
        unstable=True,
        mark="D2",
        docs="/entity/daily-menu-product",
        fields="""
        id:long/EM
        _cloudId:long -> clouds
        _dailyMenuId:long/EM -> daily-menus
        _productId:long/EM -> products
        dailyMenuSection:string?/EM
        note:string?!
        prefix:string(10)
        deleted:boolean/EM
        validFrom:timestamp/ENM^
        validUntil:timestamp/ENM
        versionDate:timestamp?/ENM
        """,
    ),
    dict(
        name="delivery-notes",
        mark="D2",
        docs="/entity/delivery-note",
        fields="""
        id:long/EM
        _branchId:int/EM -> branches
        _cloudId:int -> clouds
        currency:string(3)
        created:timestamp?/ENM^
        deleted:boolean/EM^
        documentId:string(180)/ESM
        documentNumber:string(18)
        expeditionDate:timestamp?/ENM^
        status:int/EM
        supplierName:string(180)!
        text:string!
        type:enum
        url:string(256)!
        versionDate:timestamp?/ENM^
        """,
    ),
    dict(
        name="discount-groups",
        writes="POST[100] PUT[100] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/discount-group",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        deleted:boolean/EM^ default
        discountPercent:double
        display:boolean/EM^
        externalId:string/EM
        name:string(100)/EM
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="eet-subjects",
        writes="POST[100] PUT[100] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/eet-subject",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        deleted:boolean/EM^ default
        enabled:boolean/EM
        name:string(500)/S^!
        vatId:string(50)/E!
        vatPayer:boolean/EM
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="employees",
        writes="POST[100] PUT[100] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/employee",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        _sellerId:long?/EM
        accessLevel:long/B
        barcode:string(180)?/S!
        deleted:boolean/EM^ default
        email:string(100)?/S^!
        enabled:boolean/EM
        hexColor:string(7)
        maxDiscount:double?
        modifiedBy:string(32)?! server
        name:string(256)/S^!
        phone:string(40)?/S!
        requirePinAlways:boolean/EM
        stockAccessLevel:long/B
        tags:string[]?/EM!
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="money-logs",
        mark="D",
        docs="/entity/money-log",
        fields="""
        id:long/EM
        _branchId:int/EM -> branches
        _cloudId:int -> clouds
        _employeeId:long?/EM -> employees
        _orderId:long/EM -> orders
        _relatedMoneyLogId:long?/EM -> money-logs
        _sellerId:long?/EM
        amount:double
        amountDefaultCurrency:double?
        created:timestamp/ENM^
        currency:string(3)?
        flags:long/B
        note:string(1000)?!
        paymentTypeId:long/EM
        tags:string[]?/EM
        tipAmount:double?
        transactionType:enum/EM
        versionDate:timestamp?/ENM^
        """,
    ),
    dict(
        name="orders",
        totals=False,
        includes={"orderItems": "order-items._orderId", "moneyLogs": "money-logs._orderId"},
        mark="D",
        docs="/entity/order",
        fields="""
        id:long/EM
        _branchId:int/EM -> branches
        _cloudId:int/EM -> clouds
        _courseId:long?/EM -> courses
        _customerId:long?/EM -> customers
        _eetSubjectId:long?/EM -> eet-subjects
        _employeeId:long?/EM -> employees
        _relatedInvoiceId:long?/EM -> orders
        _relatedOrderId:long?/EM -> orders
        _sellerId:long?/EM
        _sourceOrderId:long?/EM -> orders
        _tableId:long?/EM -> tables
        bkp:string?/EM
        canceledDate:timestamp?/ENM^
        completed:timestamp?/ENM^
        created:timestamp/ENM^
        currency:string(3)
        documentNumber:string/ESM
        documentType:enum/EM
        externalId:string?/EM
        fik:string?
        flags:int/B
        guestCount:int
        itemCount:int
        locationAccuracy:double?
        locationDate:timestamp?/ENM^
        locationLatitude:double?!
        locationLongitude:double?!
        merchantPrintData:string?!
        note:string(1000)?/S!
        paid:boolean/EM
        parked:boolean/EM
        pkp:string?
        points:double/EN
        printData:string!
        status:enum/EM
        tags:string[]?/EM
        tipAmount:double?
        totalValueRounded:double
        updated:timestamp/ENM^
        versionDate:timestamp/ENM^
        """,
    ),
    dict(
        name="order-items",
        totals=False,
        mark="D",
        docs="/entity/order-item",
        fields="""
        id:long/EM
        _branchId:int/EM -> branches
        _categoryId:long/EM -> categories
        _cloudId:int/EM -> clouds
        _courseId:long?/EM -> courses
        _customerId:long?/EM -> customers
        _eetSubjectId:long?/EM -> eet-subjects
        _employeeId:long/EM -> employees
        _orderId:long/EM -> orders
        _productId:long/EM -> products
        _relatedOrderItemId:long?/EM -> order-items
        _sellerId:long?/EM
        alternativeName:string?
        billedUnitPriceWithVat:double
        billedUnitPriceWithoutVat:double
        canceledDate:timestamp?/ENM^
        completed:timestamp?/ENM^
        created:timestamp/ENM^
        currency:string(3)
        discountPercent:double
        discountPermitted:boolean/EM
        ean:string[]/EM
        flags:int/B
        name:string/S^
        note:string/S!
        onSale:boolean/EM
        orderItemCustomizations:object[]
        packaging:double
        parked:boolean/EM
        points:double
        preparationDuration:int?
        quantity:double
        stockDeduct:boolean/EM
        subtitle:string/S
        tags:string[]/EM
        totalPriceWithVat:double
        totalPriceWithoutVat:double
        unit:enum
        unitPriceWithVat:double
        unitPriceWithoutVat:double
        unitPurchasePrice:double
        updated:timestamp/ENM^
        vat:double
        versionDate:timestamp/ENM^
        """,
    ),
    dict(
        name="portions",
        cursors=(),
        writes="POST DELETE",
        mark="D2",
        docs="/entity/portion",
        fields="""
        id:int server
        portion:decimal
        price:decimal
        display:boolean?
        deleted:boolean default
        versionDate:timestamp? server
        """,
    ),
    dict(
        name="products",
        includes={
            "customizations": "product-customizations._productId",
            "ingredients": "product-ingredients._parentProductId",
        },
        writes="POST[100] PUT[100] PUT PATCH DELETE",
        mark="D",
        docs="/entity/product",
        null_markers=True,
        fields=_PRODUCT_FIELDS,
    ),
    dict(
        name="product-customizations",
        writes="POST[] PUT[] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/product-customization",
        fields="""
        id:long/EM server
        _categoryId:long/EM -> categories
        _cloudId:long server -> clouds
        _productId:long/EM -> products
        _defaultProductIds:string[] default -> products
        deleted:boolean/EM^ default
        flags:int/B
        maxItemQuantity:int?
        maxSelected:int
        minSelected:int
        name:string(400)?/S^
        priceLevel:enum?
        sortOrder:long^
        translatedName:object?
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="product-ingredients",
        writes="POST[] PUT[] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/product-ingredient",
        fields="""
        id:long/EM server
        _cloudId:long server -> clouds
        _parentProductId:long/EM -> products
        _productId:long/EM -> products
        deleted:boolean/EM^ default
        quantity:double
        unit:enum/E
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="reservations",
        writes="POST[100] PUT[100] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/reservation",
        fields="""
        id:long/EM server
        _branchId:int/EM -> branches
        _cloudId:int server -> clouds
        _customerId:long/EM -> customers
        _employeeId:long/EM -> employees
        _tableId:long/EM -> tables
        created:timestamp?/ENM^ server
        endDate:timestamp/ENM^
        flags:int/B
        note:string?!
        seats:short
        startDate:timestamp/ENM^
        status:enum
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="stock-packagings",
        writes="POST[100] PUT[100] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/stock-packaging",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        _productId:long/EM -> products
        deleted:boolean/EM^ default
        ean:string[]?/EM
        externalId:string?/EM
        name:string(400)/S^
        plu:string[]?/EM
        quantity:double
        unit:enum
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="suppliers",
        writes="POST[] PUT[] PUT PATCH DELETE",
        mark="D2",
        docs="/entity/suppliers",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        addressLine1:string(180)/ES!
        addressLine2:string(180)?/ES!
        city:string(100)/ES!
        companyId:string(255)/EM!
        country:string(10)?/EM
        deleted:boolean/EM^ default
        deliveryNoteIds:string?
        display:boolean/EM^
        email:string(100)!
        externalId:string(256)?/EM
        name:string(180)/ES^!
        phone:string(20)!
        vatId:string(255)/EM!
        versionDate:timestamp?/ENM^ server
        zip:string(20)/EM!
        websiteUrl:string?!
        """,
    ),
    dict(
        name="tables",
        mark="D2",
        docs="/entity/table",
        fields="""
        id:long/EM
        _branchId:int?/EM -> branches
        _cloudId:int -> clouds
        _tableGroupId:long?/EM
        _sellerId:long?/EM
        display:boolean/EM^
        enabled:boolean/EM
        locationName:string/EM^
        name:string(180)/S^
        positionX:int?
        positionY:int?
        rotation:int?
        seats:int?/EN^
        tags:string[]/EM
        type:enum/EM
        versionDate:timestamp?/ENM^
        """,
    ),
    dict(
        name="tags",
        writes="POST[100]",
        mark="D2",
        docs="/entity/tag",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        deleted:boolean/EM^ default
        display:boolean/EM^
        externalId:string?/EM
        name:string(650)/S^
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="taxes",
        writes="POST[] PUT[] PUT PATCH DELETE",
        mark="D",
        docs="/entity/tax-vat-rates",
        fields="""
        id:long/EM server
        _cloudId:long server -> clouds
        created:timestamp?/ENM^ server
        deleted:boolean/EM default
        flags:short/B
        name:string/S^
        value:double^
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="warehouses",
        writes="POST[] PUT[] PUT PATCH DELETE",
        mark="D",
        docs="/entity/warehouse",
        fields="""
        id:long/EM server
        _cloudId:int server -> clouds
        barcode:string(180)?/EM
        deleted:boolean/EM^ default
        enabled:boolean/EM
        hexColor:string(7)?
        name:string(180)/ES^
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="warehouse-products",
        path="warehouses/{warehouse_id}/products",
        cursors=("stockStatusVersiondate", "versionDate"),
        primary_key=("_warehouseId", "id"),
        mark="D",
        docs="/entity/warehouse",
        null_markers=True,
        fields=_without("created", _PRODUCT_FIELDS)
        + """
        _warehouseId:long/EM -> warehouses
        stockQuantityStatus:double/N
        stockStatusVersiondate:timestamp?/ENM^
        """,
    ),
    dict(
        name="warehouse-branches",
        writes="POST[] PUT[] PUT PATCH",
        mark="D2",
        docs="/entity/warehouse-branches",
        fields="""
        id:long/EM server
        _branchId:int/EM -> branches
        _cloudId:int server -> clouds
        _warehouseId:long/EM -> warehouses
        flags:int/B
        visible:boolean/EM
        subscribed:boolean/EM
        version:timestamp?/ENM^ server
        versionDate:timestamp?/ENM^ server
        """,
    ),
    dict(
        name="webhooks",
        kind="list",
        paged=False,
        cursors=(),
        writes="POST DELETE",
        mark="D",
        docs="/others/webhook",
        fields="""
        id:long server
        _cloudId:int server -> clouds
        _warehouseId:long? -> warehouses
        method:enum
        url:string
        payloadEntity:enum
        payloadVersion:enum
        versionDate:timestamp? server
        """,
    ),
    dict(
        name="sales-report",
        path="branches/{branch_id}/sales-report",
        kind="object",
        cursors=(),
        mark="D2",
        docs="/others/reports/base-sales-report",
        fields="""
        created:timestamp
        from:timestamp
        to:timestamp
        registerName:string
        moneyTransactionInfo:object
        revenue:object
        discounts:object[]!
        cashInOutTransactions:object[]!
        categorySales:object[]
        productSales:object[]
        tagSales:object[]
        employeeSales:object[]!
        customerSales:object[]!
        proxySales:object[]
        takeawaySales:object[]
        fiscalizationSales:object[]
        receiptInfo:object[]
        employeePayments:object[]!
        employeeTips:object[]!
        paymentMethodTips:object[]
        writeoffs:object[]
        """,
    ),
)
