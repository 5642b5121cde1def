"""The rows of the entity table, as data. ``entities`` explains the notation and reads them.

Adding an entity is adding one row here. Attributes that a row leaves out have the defaults of ``entities._entity``:
a list and a single GET below the cloud, sorted by ``versionDate``, paged, with totals, read-only.
"""

from __future__ import annotations

from typing import Any

_PRODUCT_FIELDS = """
    id:long/EM _categoryId:long/EM _cloudId:int _defaultCourseId:long?/EM _eetSubjectId:long?/EM
    _supplierId:long?/EM allergens:int[] alternativeName:string? created:timestamp? currency:string?
    deleted:boolean/EM^ deliveryNoteIds:string? description:string? discountPercent:double
    discountPermitted:boolean/EM display:boolean/EM^ ean:string[]?/EM^ externalId:string?/EM
    externalIds:string[]?/EM features:string[] flags:int/B hexColor:string imageUrl:string? margin:string?
    marginMin:double? minCustomerAge:int? modifiedBy:string?! name:string/S^ notes:string[]?
    onSale:boolean/EM packageItem:double? packaging:double packagingMeasurement:double?
    packagingPriceWithVat:double? plu:string[]?/EM^ points:double preparationDuration:int?
    priceInPoints:double priceWithVat:double?/EM^ priceWithVatB:double? priceWithVatC:double?
    priceWithVatD:double? priceWithVatE:double? priceWithoutVat:double^ purchasePriceWithoutVat:double?
    recipe:string? requiresPriceEntry:boolean/EM sortOrder:long? stockDeduct:boolean/EM
    stockOverdraft:enum subtitle:string? supplierProductCode:string? tags:string[]?/EM
    translatedDescription:object? translatedName:object? unit:enum/E unitMeasurement:enum? vat:double/E^
    versionDate:timestamp?/ENM^
"""

ROWS: tuple[dict[str, Any], ...] = (
    dict(
        name="clouds",
        fields="""
        id:int/EM 1ClickId:int?/EM _companyId:long?/EM country:string? deleted:boolean/EM^
        expired:boolean/EM name:string/ES^ restricted:boolean/EM segment:string?
        """,
        path="/v2/clouds",
        cursors=(),
        mark="D2",
        docs="/entity/cloud",
    ),
    dict(
        name="manifest",
        fields="cloud:object multicloud:object branches:object[]",
        cursors=(),
        paged=False,
        listed=False,
        mark="D2",
        docs="/entity/cloud-manifest",
    ),
    dict(
        name="attendances",
        fields="""
        id:int/EM _branchId:int/EM _cloudId:int _employeeId:long/EM created:timestamp?/ENM^ event:enum/EM
        versionDate:timestamp?/ENM^
        """,
        mark="D",
        docs="/entity/attendance",
    ),
    dict(
        name="branches",
        fields="""
        id:int/EM _cloudId:int created:timestamp?/ENM^ deleted:boolean/EM^ display:boolean/EM^
        features:long/B flags:short/B name:string versionDate:timestamp?/ENM^
        """,
        mark="D2",
        docs="/entity/branch",
    ),
    dict(
        name="categories",
        fields="""
        id:long/EM _cloudId:int _defaultCourseId:long?/EM _eetSubjectId:long?/EM deleted:boolean/EM^
        display:boolean/EM^ externalId:string?/EM flags:long/B hexColor:string margin:string?
        maxDiscount:double? modifiedBy:string?! name:string/ES^ sortOrder:long?^ tags:string[]?/EM
        translatedName:object? vat:double? versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/category",
    ),
    dict(
        name="courses",
        fields="""
        id:long/EM _cloudId:int deleted:boolean/EM enabled:boolean name:string/ES^ sortOrder:long
        tags:string[] versionDate:timestamp?/ENM
        """,
        cursor_sortable=False,
        mark="D2",
        docs="/entity/course",
    ),
    dict(
        name="customers",
        fields="""
        id:long/EM _cloudId:int _discountGroupId:long?/EM _sellerId:long?/EM firstName:string/S^!
        lastName:string/S^! companyName:string/S^! addressLine1:string/S! addressLine2:string?/S!
        city:string?/ES! country:string?/S zip:string/S! barcode:string/EM! companyId:string/S! vatId:string/S!
        companyId2:string?/S! email:string/S! phone:string/S! birthday:timestamp?! expireDate:timestamp?/ENM^
        created:timestamp?/ENM^ versionDate:timestamp?/ENM^ points:double/N flags:long/B tags:string[]/EM
        display:boolean/EM^ deleted:boolean/EM^ hexColor:string internalNote:string! note:string?!
        headerPrint:string! modifiedBy:string?! externalId:string?/EM!
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D",
        docs="/entity/customer",
    ),
    dict(
        name="customer-accounts",
        fields="""
        id:long/EM _cloudId:int/EM _customerId:long/EM _lastCustomerAccountLogId:long?/EM
        allowedMinimalBalance:decimal/N balance:decimal/N currency:string/S^ type:enum/S^
        created:timestamp/ENM modified:timestamp/ENM
        """,
        cursors=("modified",),
        cursor_sortable=False,
        writes="POST one",
        mark="D",
        docs="/entity/customer-account",
    ),
    dict(
        name="customer-account-logs",
        fields="""
        id:long/EM _cloudId:int/EM _customerAccountId:long?/EM _employeeId:long?/EM _moneyLogId:long?/EM
        _orderId:long?/EM _previousCustomerAccountLogId:long?/EM amount:decimal/N balance:decimal/N
        currency:string/S^ type:enum/S^ note:string! source:string created:timestamp/ENM
        """,
        cursors=("created",),
        cursor_sortable=False,
        writes="POST one",
        mark="D",
        docs="/entity/customer-account-log",
    ),
    dict(
        name="daily-menus",
        fields="""
        id:long/EM _cloudId:long footer:string? header:string? deleted:boolean/EM validFrom:timestamp/ENM^
        validUntil:timestamp/ENM versionDate:timestamp?/ENM
        """,
        cursor_sortable=False,
        mark="D2",
        docs="/entity/daily-menu",
        unstable=True,
    ),
    dict(
        name="daily-menu-products",
        fields="""
        id:long/EM _cloudId:long _dailyMenuId:long/EM _productId:long/EM dailyMenuSection:string?/EM
        note:string?! prefix:string deleted:boolean/EM validFrom:timestamp/ENM^ validUntil:timestamp/ENM
        versionDate:timestamp?/ENM
        """,
        cursor_sortable=False,
        mark="D2",
        docs="/entity/daily-menu-product",
        unstable=True,
    ),
    dict(
        name="delivery-notes",
        fields="""
        id:long/EM _branchId:int/EM _cloudId:int currency:string created:timestamp?/ENM^
        deleted:boolean/EM^ documentId:string/ESM documentNumber:string expeditionDate:timestamp?/ENM^
        status:int/EM supplierName:string! text:string! type:enum url:string! versionDate:timestamp?/ENM^
        """,
        mark="D2",
        docs="/entity/delivery-note",
    ),
    dict(
        name="discount-groups",
        fields="""
        id:long/EM _cloudId:int deleted:boolean/EM^ discountPercent:double display:boolean/EM^
        externalId:string/EM name:string/EM versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/discount-group",
    ),
    dict(
        name="eet-subjects",
        fields="""
        id:long/EM _cloudId:int deleted:boolean/EM^ enabled:boolean/EM name:string/S^! vatId:string/E!
        vatPayer:boolean/EM versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/eet-subject",
    ),
    dict(
        name="employees",
        fields="""
        id:long/EM _cloudId:int _sellerId:long?/EM accessLevel:long/B barcode:string?/S!
        deleted:boolean/EM^ email:string?/S^! enabled:boolean/EM hexColor:string maxDiscount:double?
        modifiedBy:string?! name:string/S^! phone:string?/S! requirePinAlways:boolean/EM
        stockAccessLevel:long/B tags:string[]?/EM versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/employee",
    ),
    dict(
        name="money-logs",
        fields="""
        id:long/EM _branchId:int/EM _cloudId:int _employeeId:long?/EM _orderId:long/EM
        _relatedMoneyLogId:long?/EM _sellerId:long?/EM amount:double amountDefaultCurrency:double?
        created:timestamp/ENM^ currency:string? flags:long/B note:string?! paymentTypeId:long/EM
        tags:string[]?/EM tipAmount:double? transactionType:enum/EM versionDate:timestamp?/ENM^
        """,
        mark="D",
        docs="/entity/money-log",
    ),
    dict(
        name="orders",
        fields="""
        id:long/EM _branchId:int/EM _cloudId:int/EM _courseId:long?/EM _customerId:long?/EM
        _eetSubjectId:long?/EM _employeeId:long?/EM _relatedInvoiceId:long?/EM _relatedOrderId:long?/EM
        _sellerId:long?/EM _sourceOrderId:long?/EM _tableId:long?/EM bkp:string?/EM
        canceledDate:timestamp?/ENM^ completed:timestamp?/ENM^ created:timestamp/ENM^ currency:string
        documentNumber:string/ESM documentType:enum/EM externalId:string?/EM fik:string? flags:int/B
        guestCount:int itemCount:int locationAccuracy:double? locationDate:timestamp?/ENM^
        locationLatitude:double?! locationLongitude:double?! merchantPrintData:string?! note:string?/S!
        paid:boolean/EM parked:boolean/EM pkp:string? points:double/EN printData:string! status:enum/EM
        tags:string[]?/EM tipAmount:double? totalValueRounded:double updated:timestamp/ENM^
        versionDate:timestamp/ENM^
        """,
        totals=False,
        includes={"orderItems": "order-items._orderId", "moneyLogs": "money-logs._orderId"},
        mark="D",
        docs="/entity/order",
    ),
    dict(
        name="order-items",
        fields="""
        id:long/EM _branchId:int/EM _categoryId:long/EM _cloudId:int/EM _courseId:long?/EM
        _customerId:long?/EM _eetSubjectId:long?/EM _employeeId:long/EM _orderId:long/EM
        _productId:long/EM _relatedOrderItemId:long?/EM _sellerId:long?/EM alternativeName:string?
        billedUnitPriceWithVat:double billedUnitPriceWithoutVat:double canceledDate:timestamp?/ENM^
        completed:timestamp?/ENM^ created:timestamp/ENM^ currency:string discountPercent:double
        discountPermitted:boolean/EM ean:string[]/EM flags:int/B name:string/S^ note:string/S!
        onSale:boolean/EM orderItemCustomizations:object[] packaging:double parked:boolean/EM
        points:double preparationDuration:int? quantity:double stockDeduct:boolean/EM subtitle:string/S
        tags:string[]/EM totalPriceWithVat:double totalPriceWithoutVat:double unit:enum
        unitPriceWithVat:double unitPriceWithoutVat:double unitPurchasePrice:double updated:timestamp/ENM^
        vat:double versionDate:timestamp/ENM^
        """,
        totals=False,
        mark="D",
        docs="/entity/order-item",
    ),
    dict(
        name="portions",
        fields="""
        id:int portion:decimal price:decimal display:boolean? deleted:boolean versionDate:timestamp?
        """,
        cursors=(),
        deleted_filterable=False,
        writes="POST one, DELETE one",
        mark="D2",
        docs="/entity/portion",
    ),
    dict(
        name="products",
        fields=_PRODUCT_FIELDS,
        includes={
            "customizations": "product-customizations._productId",
            "ingredients": "product-ingredients._parentProductId",
        },
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D",
        docs="/entity/product",
    ),
    dict(
        name="product-customizations",
        fields="""
        id:long/EM _categoryId:long/EM _cloudId:long _productId:long/EM _defaultProductIds:string[]
        deleted:boolean/EM^ flags:int/B maxItemQuantity:int? maxSelected:int minSelected:int
        name:string?/S^ priceLevel:enum? sortOrder:long^ translatedName:object?
        versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/product-customization",
    ),
    dict(
        name="product-ingredients",
        fields="""
        id:long/EM _cloudId:long _parentProductId:long/EM _productId:long/EM deleted:boolean/EM^
        quantity:double unit:enum/E versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/product-ingredient",
    ),
    dict(
        name="reservations",
        fields="""
        id:long/EM _branchId:int/EM _cloudId:int _customerId:long/EM _employeeId:long/EM _tableId:long/EM
        created:timestamp?/ENM^ endDate:timestamp/ENM^ flags:int/B note:string?! seats:short
        startDate:timestamp/ENM^ status:enum versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/reservation",
    ),
    dict(
        name="stock-packagings",
        fields="""
        id:long/EM _cloudId:int _productId:long/EM deleted:boolean/EM^ ean:string[]?/EM
        externalId:string?/EM name:string/S^ plu:string[]?/EM quantity:double unit:enum
        versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/stock-packaging",
    ),
    dict(
        name="suppliers",
        fields="""
        id:long/EM _cloudId:int addressLine1:string/ES! addressLine2:string?/ES! city:string/ES!
        companyId:string/EM! country:string?/EM deleted:boolean/EM^ deliveryNoteIds:string?
        display:boolean/EM^ email:string! externalId:string?/EM name:string/ES^! phone:string!
        vatId:string/EM! versionDate:timestamp?/ENM^ zip:string/EM! websiteUrl:string?!
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D2",
        docs="/entity/suppliers",
    ),
    dict(
        name="tables",
        fields="""
        id:long/EM _branchId:int?/EM _cloudId:int _tableGroupId:long?/EM _sellerId:long?/EM
        display:boolean/EM^ enabled:boolean/EM locationName:string/EM^ name:string/S^ positionX:int?
        positionY:int? rotation:int? seats:int?/EN^ tags:string[]/EM type:enum/EM
        versionDate:timestamp?/ENM^
        """,
        mark="D2",
        docs="/entity/table",
    ),
    dict(
        name="tags",
        fields="""
        id:long/EM _cloudId:int deleted:boolean/EM^ display:boolean/EM^ externalId:string?/EM
        name:string/S^ versionDate:timestamp?/ENM^
        """,
        writes="POST array",
        mark="D2",
        docs="/entity/tag",
    ),
    dict(
        name="taxes",
        fields="""
        id:long/EM _cloudId:long created:timestamp?/ENM^ deleted:boolean/EM flags:short/B name:string/S^
        value:double^ versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D",
        docs="/entity/tax-vat-rates",
    ),
    dict(
        name="warehouses",
        fields="""
        id:long/EM _cloudId:int barcode:string?/EM deleted:boolean/EM^ enabled:boolean/EM hexColor:string?
        name:string/ES^ versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one, DELETE one",
        mark="D",
        docs="/entity/warehouse",
    ),
    dict(
        name="warehouse-products",
        fields=_PRODUCT_FIELDS.replace("created:timestamp? ", "").replace("purchasePriceWithoutVat:double? ", "")
        + "_warehouseId:long/EM stockQuantityStatus:double/N stockStatusVersiondate:timestamp?/ENM^ "
        "purchasePriceWithoutVat:double?",
        path="warehouses/{warehouse_id}/products",
        cursors=("stockStatusVersiondate", "versionDate"),
        primary_key=("_warehouseId", "id"),
        mark="D",
        docs="/entity/warehouse",
    ),
    dict(
        name="warehouse-branches",
        fields="""
        id:long/EM _branchId:int/EM _cloudId:int _warehouseId:long/EM flags:int/B visible:boolean/EM
        subscribed:boolean/EM version:timestamp?/ENM^ versionDate:timestamp?/ENM^
        """,
        writes="POST array, PUT array, PUT one, PATCH one",
        mark="D2",
        docs="/entity/warehouse-branches",
    ),
    dict(
        name="webhooks",
        fields="""
        id:long _cloudId:int _warehouseId:long? method:enum url:string payloadEntity:enum
        payloadVersion:enum versionDate:timestamp?
        """,
        cursors=(),
        paged=False,
        single=False,
        writes="POST one, DELETE one",
        mark="D",
        docs="/others/webhook",
    ),
    dict(
        name="sales-report",
        fields="""
        created:timestamp from:timestamp to:timestamp registerName:string moneyTransactionInfo:object
        revenue:object discounts:object[]! cashInOutTransactions:object[]! categorySales:object[]
        productSales:object[] tagSales:object[] employeeSales:object[]! customerSales:object[]!
        proxySales:object[] takeawaySales:object[] fiscalizationSales:object[] receiptInfo:object[]
        employeePayments:object[]! employeeTips:object[]! paymentMethodTips:object[] writeoffs:object[]
        """,
        path="branches/{branch_id}/sales-report",
        cursors=(),
        paged=False,
        listed=False,
        mark="D2",
        docs="/others/reports/base-sales-report",
    ),
)
