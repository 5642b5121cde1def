CREATE TABLE IF NOT EXISTS "dotypos"."orders" (
  "cloud_id" BIGINT NOT NULL,
  "id" BIGINT NOT NULL,
  "branch_id" BIGINT,
  "course_id" BIGINT,
  "customer_id" BIGINT,
  "eet_subject_id" BIGINT,
  "employee_id" BIGINT,
  "related_invoice_id" BIGINT,
  "related_order_id" BIGINT,
  "seller_id" BIGINT,
  "source_order_id" BIGINT,
  "table_id" BIGINT,
  "bkp" VARCHAR,
  "canceled_date" TIMESTAMPTZ,
  "completed" TIMESTAMPTZ,
  "created" TIMESTAMPTZ,
  "currency" VARCHAR,
  "document_number" VARCHAR,
  "document_type" VARCHAR,
  "external_id" VARCHAR,
  "fik" VARCHAR,
  "flags" BIGINT,
  "guest_count" INTEGER,
  "item_count" INTEGER,
  "location_accuracy" DECIMAL(38, 18),
  "location_date" TIMESTAMPTZ,
  "location_latitude" DECIMAL(38, 18),
  "location_longitude" DECIMAL(38, 18),
  "merchant_print_data" VARCHAR,
  "note" VARCHAR,
  "paid" BOOLEAN,
  "parked" BOOLEAN,
  "pkp" VARCHAR,
  "points" DECIMAL(38, 18),
  "print_data" VARCHAR,
  "status" VARCHAR,
  "tags" VARCHAR[],
  "tip_amount" DECIMAL(38, 18),
  "total_value_rounded" DECIMAL(38, 18),
  "updated" TIMESTAMPTZ,
  "version_date" TIMESTAMPTZ,
  "_read_at" TIMESTAMPTZ NOT NULL,
  "_load_id" VARCHAR NOT NULL,
  "_unknown" JSON,
  "_removed_at" TIMESTAMPTZ,
  PRIMARY KEY ("cloud_id", "id")
);
CREATE INDEX IF NOT EXISTS "orders_version_date_idx" ON "dotypos"."orders" ("version_date");
COMMENT ON TABLE "dotypos"."orders" IS 'orders of Dotypos: https://docs.api.dotypos.com/entity/order';
COMMENT ON COLUMN "dotypos"."orders"."cloud_id" IS 'the cloud''s id';
COMMENT ON COLUMN "dotypos"."orders"."id" IS 'field id';
COMMENT ON COLUMN "dotypos"."orders"."branch_id" IS 'field _branchId, id in branches';
COMMENT ON COLUMN "dotypos"."orders"."course_id" IS 'field _courseId, id in courses';
COMMENT ON COLUMN "dotypos"."orders"."customer_id" IS 'field _customerId, id in customers';
COMMENT ON COLUMN "dotypos"."orders"."eet_subject_id" IS 'field _eetSubjectId, id in eet-subjects';
COMMENT ON COLUMN "dotypos"."orders"."employee_id" IS 'field _employeeId, id in employees';
COMMENT ON COLUMN "dotypos"."orders"."related_invoice_id" IS 'field _relatedInvoiceId, id in orders';
COMMENT ON COLUMN "dotypos"."orders"."related_order_id" IS 'field _relatedOrderId, id in orders';
COMMENT ON COLUMN "dotypos"."orders"."seller_id" IS 'field _sellerId';
COMMENT ON COLUMN "dotypos"."orders"."source_order_id" IS 'field _sourceOrderId, id in orders';
COMMENT ON COLUMN "dotypos"."orders"."table_id" IS 'field _tableId, id in tables';
COMMENT ON COLUMN "dotypos"."orders"."bkp" IS 'field bkp';
COMMENT ON COLUMN "dotypos"."orders"."canceled_date" IS 'field canceledDate';
COMMENT ON COLUMN "dotypos"."orders"."completed" IS 'field completed';
COMMENT ON COLUMN "dotypos"."orders"."created" IS 'field created';
COMMENT ON COLUMN "dotypos"."orders"."currency" IS 'field currency';
COMMENT ON COLUMN "dotypos"."orders"."document_number" IS 'field documentNumber';
COMMENT ON COLUMN "dotypos"."orders"."document_type" IS 'field documentType';
COMMENT ON COLUMN "dotypos"."orders"."external_id" IS 'field externalId';
COMMENT ON COLUMN "dotypos"."orders"."fik" IS 'field fik';
COMMENT ON COLUMN "dotypos"."orders"."flags" IS 'field flags';
COMMENT ON COLUMN "dotypos"."orders"."guest_count" IS 'field guestCount';
COMMENT ON COLUMN "dotypos"."orders"."item_count" IS 'field itemCount';
COMMENT ON COLUMN "dotypos"."orders"."location_accuracy" IS 'field locationAccuracy';
COMMENT ON COLUMN "dotypos"."orders"."location_date" IS 'field locationDate';
COMMENT ON COLUMN "dotypos"."orders"."location_latitude" IS 'field locationLatitude, personal data';
COMMENT ON COLUMN "dotypos"."orders"."location_longitude" IS 'field locationLongitude, personal data';
COMMENT ON COLUMN "dotypos"."orders"."merchant_print_data" IS 'field merchantPrintData, personal data';
COMMENT ON COLUMN "dotypos"."orders"."note" IS 'field note, personal data';
COMMENT ON COLUMN "dotypos"."orders"."paid" IS 'field paid';
COMMENT ON COLUMN "dotypos"."orders"."parked" IS 'field parked';
COMMENT ON COLUMN "dotypos"."orders"."pkp" IS 'field pkp';
COMMENT ON COLUMN "dotypos"."orders"."points" IS 'field points';
COMMENT ON COLUMN "dotypos"."orders"."print_data" IS 'field printData, personal data';
COMMENT ON COLUMN "dotypos"."orders"."status" IS 'field status';
COMMENT ON COLUMN "dotypos"."orders"."tags" IS 'field tags';
COMMENT ON COLUMN "dotypos"."orders"."tip_amount" IS 'field tipAmount';
COMMENT ON COLUMN "dotypos"."orders"."total_value_rounded" IS 'field totalValueRounded';
COMMENT ON COLUMN "dotypos"."orders"."updated" IS 'field updated';
COMMENT ON COLUMN "dotypos"."orders"."version_date" IS 'field versionDate, orders changes';
COMMENT ON COLUMN "dotypos"."orders"."_read_at" IS 'when the row was read, by this database''s clock';
COMMENT ON COLUMN "dotypos"."orders"."_load_id" IS 'the load that wrote the row last';
COMMENT ON COLUMN "dotypos"."orders"."_unknown" IS 'fields without a column, and values that don''t fit theirs';
COMMENT ON COLUMN "dotypos"."orders"."_removed_at" IS 'when the row was noted as removed; null of living rows';
CREATE OR REPLACE VIEW "dotypos"."orders_live" AS SELECT "cloud_id", "id", "branch_id", "course_id", "customer_id", "eet_subject_id", "employee_id", "related_invoice_id", "related_order_id", "seller_id", "source_order_id", "table_id", "bkp", "canceled_date", "completed", "created", "currency", "document_number", "document_type", "external_id", "fik", "flags", "guest_count", "item_count", "location_accuracy", "location_date", "location_latitude", "location_longitude", "merchant_print_data", "note", "paid", "parked", "pkp", "points", "print_data", "status", "tags", "tip_amount", "total_value_rounded", "updated", "version_date", "_read_at", "_load_id", "_unknown", "_removed_at" FROM "dotypos"."orders" WHERE "_removed_at" IS NULL;
CREATE TABLE IF NOT EXISTS "dotypos"."order_items" (
  "cloud_id" BIGINT NOT NULL,
  "id" BIGINT NOT NULL,
  "branch_id" BIGINT,
  "category_id" BIGINT,
  "course_id" BIGINT,
  "customer_id" BIGINT,
  "eet_subject_id" BIGINT,
  "employee_id" BIGINT,
  "order_id" BIGINT,
  "product_id" BIGINT,
  "related_order_item_id" BIGINT,
  "seller_id" BIGINT,
  "alternative_name" VARCHAR,
  "billed_unit_price_with_vat" DECIMAL(38, 18),
  "billed_unit_price_without_vat" DECIMAL(38, 18),
  "canceled_date" TIMESTAMPTZ,
  "completed" TIMESTAMPTZ,
  "created" TIMESTAMPTZ,
  "currency" VARCHAR,
  "discount_percent" DECIMAL(38, 18),
  "discount_permitted" BOOLEAN,
  "ean" VARCHAR[],
  "flags" BIGINT,
  "name" VARCHAR,
  "note" VARCHAR,
  "on_sale" BOOLEAN,
  "order_item_customizations" JSON,
  "packaging" DECIMAL(38, 18),
  "parked" BOOLEAN,
  "points" DECIMAL(38, 18),
  "preparation_duration" INTEGER,
  "quantity" DECIMAL(38, 18),
  "stock_deduct" BOOLEAN,
  "subtitle" VARCHAR,
  "tags" VARCHAR[],
  "total_price_with_vat" DECIMAL(38, 18),
  "total_price_without_vat" DECIMAL(38, 18),
  "unit" VARCHAR,
  "unit_price_with_vat" DECIMAL(38, 18),
  "unit_price_without_vat" DECIMAL(38, 18),
  "unit_purchase_price" DECIMAL(38, 18),
  "updated" TIMESTAMPTZ,
  "vat" DECIMAL(38, 18),
  "version_date" TIMESTAMPTZ,
  "_read_at" TIMESTAMPTZ NOT NULL,
  "_load_id" VARCHAR NOT NULL,
  "_unknown" JSON,
  "_removed_at" TIMESTAMPTZ,
  PRIMARY KEY ("cloud_id", "id")
);
CREATE INDEX IF NOT EXISTS "order_items_version_date_idx" ON "dotypos"."order_items" ("version_date");
CREATE INDEX IF NOT EXISTS "order_items_cloud_id_order_id_idx" ON "dotypos"."order_items" ("cloud_id", "order_id");
COMMENT ON TABLE "dotypos"."order_items" IS 'order-items of Dotypos: https://docs.api.dotypos.com/entity/order-item';
COMMENT ON COLUMN "dotypos"."order_items"."cloud_id" IS 'the cloud''s id';
COMMENT ON COLUMN "dotypos"."order_items"."id" IS 'field id';
COMMENT ON COLUMN "dotypos"."order_items"."branch_id" IS 'field _branchId, id in branches';
COMMENT ON COLUMN "dotypos"."order_items"."category_id" IS 'field _categoryId, id in categories';
COMMENT ON COLUMN "dotypos"."order_items"."course_id" IS 'field _courseId, id in courses';
COMMENT ON COLUMN "dotypos"."order_items"."customer_id" IS 'field _customerId, id in customers';
COMMENT ON COLUMN "dotypos"."order_items"."eet_subject_id" IS 'field _eetSubjectId, id in eet-subjects';
COMMENT ON COLUMN "dotypos"."order_items"."employee_id" IS 'field _employeeId, id in employees';
COMMENT ON COLUMN "dotypos"."order_items"."order_id" IS 'field _orderId, id in orders';
COMMENT ON COLUMN "dotypos"."order_items"."product_id" IS 'field _productId, id in products';
COMMENT ON COLUMN "dotypos"."order_items"."related_order_item_id" IS 'field _relatedOrderItemId, id in order-items';
COMMENT ON COLUMN "dotypos"."order_items"."seller_id" IS 'field _sellerId';
COMMENT ON COLUMN "dotypos"."order_items"."alternative_name" IS 'field alternativeName';
COMMENT ON COLUMN "dotypos"."order_items"."billed_unit_price_with_vat" IS 'field billedUnitPriceWithVat';
COMMENT ON COLUMN "dotypos"."order_items"."billed_unit_price_without_vat" IS 'field billedUnitPriceWithoutVat';
COMMENT ON COLUMN "dotypos"."order_items"."canceled_date" IS 'field canceledDate';
COMMENT ON COLUMN "dotypos"."order_items"."completed" IS 'field completed';
COMMENT ON COLUMN "dotypos"."order_items"."created" IS 'field created';
COMMENT ON COLUMN "dotypos"."order_items"."currency" IS 'field currency';
COMMENT ON COLUMN "dotypos"."order_items"."discount_percent" IS 'field discountPercent';
COMMENT ON COLUMN "dotypos"."order_items"."discount_permitted" IS 'field discountPermitted';
COMMENT ON COLUMN "dotypos"."order_items"."ean" IS 'field ean';
COMMENT ON COLUMN "dotypos"."order_items"."flags" IS 'field flags';
COMMENT ON COLUMN "dotypos"."order_items"."name" IS 'field name';
COMMENT ON COLUMN "dotypos"."order_items"."note" IS 'field note, personal data';
COMMENT ON COLUMN "dotypos"."order_items"."on_sale" IS 'field onSale';
COMMENT ON COLUMN "dotypos"."order_items"."order_item_customizations" IS 'field orderItemCustomizations';
COMMENT ON COLUMN "dotypos"."order_items"."packaging" IS 'field packaging';
COMMENT ON COLUMN "dotypos"."order_items"."parked" IS 'field parked';
COMMENT ON COLUMN "dotypos"."order_items"."points" IS 'field points';
COMMENT ON COLUMN "dotypos"."order_items"."preparation_duration" IS 'field preparationDuration';
COMMENT ON COLUMN "dotypos"."order_items"."quantity" IS 'field quantity';
COMMENT ON COLUMN "dotypos"."order_items"."stock_deduct" IS 'field stockDeduct';
COMMENT ON COLUMN "dotypos"."order_items"."subtitle" IS 'field subtitle';
COMMENT ON COLUMN "dotypos"."order_items"."tags" IS 'field tags';
COMMENT ON COLUMN "dotypos"."order_items"."total_price_with_vat" IS 'field totalPriceWithVat';
COMMENT ON COLUMN "dotypos"."order_items"."total_price_without_vat" IS 'field totalPriceWithoutVat';
COMMENT ON COLUMN "dotypos"."order_items"."unit" IS 'field unit';
COMMENT ON COLUMN "dotypos"."order_items"."unit_price_with_vat" IS 'field unitPriceWithVat';
COMMENT ON COLUMN "dotypos"."order_items"."unit_price_without_vat" IS 'field unitPriceWithoutVat';
COMMENT ON COLUMN "dotypos"."order_items"."unit_purchase_price" IS 'field unitPurchasePrice';
COMMENT ON COLUMN "dotypos"."order_items"."updated" IS 'field updated';
COMMENT ON COLUMN "dotypos"."order_items"."vat" IS 'field vat';
COMMENT ON COLUMN "dotypos"."order_items"."version_date" IS 'field versionDate, orders changes';
COMMENT ON COLUMN "dotypos"."order_items"."_read_at" IS 'when the row was read, by this database''s clock';
COMMENT ON COLUMN "dotypos"."order_items"."_load_id" IS 'the load that wrote the row last';
COMMENT ON COLUMN "dotypos"."order_items"."_unknown" IS 'fields without a column, and values that don''t fit theirs';
COMMENT ON COLUMN "dotypos"."order_items"."_removed_at" IS 'when the row was noted as removed; null of living rows';
CREATE OR REPLACE VIEW "dotypos"."order_items_live" AS SELECT "cloud_id", "id", "branch_id", "category_id", "course_id", "customer_id", "eet_subject_id", "employee_id", "order_id", "product_id", "related_order_item_id", "seller_id", "alternative_name", "billed_unit_price_with_vat", "billed_unit_price_without_vat", "canceled_date", "completed", "created", "currency", "discount_percent", "discount_permitted", "ean", "flags", "name", "note", "on_sale", "order_item_customizations", "packaging", "parked", "points", "preparation_duration", "quantity", "stock_deduct", "subtitle", "tags", "total_price_with_vat", "total_price_without_vat", "unit", "unit_price_with_vat", "unit_price_without_vat", "unit_purchase_price", "updated", "vat", "version_date", "_read_at", "_load_id", "_unknown", "_removed_at" FROM "dotypos"."order_items" WHERE "_removed_at" IS NULL;
CREATE TABLE IF NOT EXISTS "dotypos"."products" (
  "cloud_id" BIGINT NOT NULL,
  "id" BIGINT NOT NULL,
  "category_id" BIGINT,
  "default_course_id" BIGINT,
  "eet_subject_id" BIGINT,
  "supplier_id" BIGINT,
  "allergens" INTEGER[],
  "alternative_name" VARCHAR,
  "created" TIMESTAMPTZ,
  "currency" VARCHAR,
  "deleted" BOOLEAN,
  "delivery_note_ids" VARCHAR,
  "description" VARCHAR,
  "discount_percent" DECIMAL(38, 18),
  "discount_permitted" BOOLEAN,
  "display" BOOLEAN,
  "ean" VARCHAR[],
  "external_id" VARCHAR,
  "external_ids" VARCHAR[],
  "features" VARCHAR[],
  "flags" BIGINT,
  "hex_color" VARCHAR,
  "image_url" VARCHAR,
  "margin" VARCHAR,
  "margin_min" DECIMAL(38, 18),
  "min_customer_age" INTEGER,
  "modified_by" VARCHAR,
  "name" VARCHAR,
  "notes" VARCHAR[],
  "on_sale" BOOLEAN,
  "package_item" DECIMAL(38, 18),
  "packaging" DECIMAL(38, 18),
  "packaging_measurement" DECIMAL(38, 18),
  "packaging_price_with_vat" DECIMAL(38, 18),
  "plu" VARCHAR[],
  "points" DECIMAL(38, 18),
  "preparation_duration" INTEGER,
  "price_in_points" DECIMAL(38, 18),
  "price_with_vat" DECIMAL(38, 18),
  "price_with_vat_b" DECIMAL(38, 18),
  "price_with_vat_c" DECIMAL(38, 18),
  "price_with_vat_d" DECIMAL(38, 18),
  "price_with_vat_e" DECIMAL(38, 18),
  "price_without_vat" DECIMAL(38, 18),
  "purchase_price_without_vat" DECIMAL(38, 18),
  "recipe" VARCHAR,
  "requires_price_entry" BOOLEAN,
  "sort_order" BIGINT,
  "stock_deduct" BOOLEAN,
  "stock_overdraft" VARCHAR,
  "subtitle" VARCHAR,
  "supplier_product_code" VARCHAR,
  "tags" VARCHAR[],
  "translated_description" JSON,
  "translated_name" JSON,
  "unit" VARCHAR,
  "unit_measurement" VARCHAR,
  "vat" DECIMAL(38, 18),
  "version_date" TIMESTAMPTZ,
  "_read_at" TIMESTAMPTZ NOT NULL,
  "_load_id" VARCHAR NOT NULL,
  "_unknown" JSON,
  "_removed_at" TIMESTAMPTZ,
  PRIMARY KEY ("cloud_id", "id")
);
CREATE INDEX IF NOT EXISTS "products_version_date_idx" ON "dotypos"."products" ("version_date");
COMMENT ON TABLE "dotypos"."products" IS 'products of Dotypos: https://docs.api.dotypos.com/entity/product';
COMMENT ON COLUMN "dotypos"."products"."cloud_id" IS 'the cloud''s id';
COMMENT ON COLUMN "dotypos"."products"."id" IS 'field id';
COMMENT ON COLUMN "dotypos"."products"."category_id" IS 'field _categoryId, id in categories';
COMMENT ON COLUMN "dotypos"."products"."default_course_id" IS 'field _defaultCourseId, id in courses';
COMMENT ON COLUMN "dotypos"."products"."eet_subject_id" IS 'field _eetSubjectId, id in eet-subjects';
COMMENT ON COLUMN "dotypos"."products"."supplier_id" IS 'field _supplierId, id in suppliers';
COMMENT ON COLUMN "dotypos"."products"."allergens" IS 'field allergens';
COMMENT ON COLUMN "dotypos"."products"."alternative_name" IS 'field alternativeName';
COMMENT ON COLUMN "dotypos"."products"."created" IS 'field created';
COMMENT ON COLUMN "dotypos"."products"."currency" IS 'field currency';
COMMENT ON COLUMN "dotypos"."products"."deleted" IS 'field deleted';
COMMENT ON COLUMN "dotypos"."products"."delivery_note_ids" IS 'field deliveryNoteIds';
COMMENT ON COLUMN "dotypos"."products"."description" IS 'field description';
COMMENT ON COLUMN "dotypos"."products"."discount_percent" IS 'field discountPercent';
COMMENT ON COLUMN "dotypos"."products"."discount_permitted" IS 'field discountPermitted';
COMMENT ON COLUMN "dotypos"."products"."display" IS 'field display';
COMMENT ON COLUMN "dotypos"."products"."ean" IS 'field ean';
COMMENT ON COLUMN "dotypos"."products"."external_id" IS 'field externalId';
COMMENT ON COLUMN "dotypos"."products"."external_ids" IS 'field externalIds';
COMMENT ON COLUMN "dotypos"."products"."features" IS 'field features';
COMMENT ON COLUMN "dotypos"."products"."flags" IS 'field flags';
COMMENT ON COLUMN "dotypos"."products"."hex_color" IS 'field hexColor';
COMMENT ON COLUMN "dotypos"."products"."image_url" IS 'field imageUrl';
COMMENT ON COLUMN "dotypos"."products"."margin" IS 'field margin';
COMMENT ON COLUMN "dotypos"."products"."margin_min" IS 'field marginMin';
COMMENT ON COLUMN "dotypos"."products"."min_customer_age" IS 'field minCustomerAge';
COMMENT ON COLUMN "dotypos"."products"."modified_by" IS 'field modifiedBy, personal data';
COMMENT ON COLUMN "dotypos"."products"."name" IS 'field name';
COMMENT ON COLUMN "dotypos"."products"."notes" IS 'field notes';
COMMENT ON COLUMN "dotypos"."products"."on_sale" IS 'field onSale';
COMMENT ON COLUMN "dotypos"."products"."package_item" IS 'field packageItem';
COMMENT ON COLUMN "dotypos"."products"."packaging" IS 'field packaging';
COMMENT ON COLUMN "dotypos"."products"."packaging_measurement" IS 'field packagingMeasurement';
COMMENT ON COLUMN "dotypos"."products"."packaging_price_with_vat" IS 'field packagingPriceWithVat';
COMMENT ON COLUMN "dotypos"."products"."plu" IS 'field plu';
COMMENT ON COLUMN "dotypos"."products"."points" IS 'field points';
COMMENT ON COLUMN "dotypos"."products"."preparation_duration" IS 'field preparationDuration';
COMMENT ON COLUMN "dotypos"."products"."price_in_points" IS 'field priceInPoints';
COMMENT ON COLUMN "dotypos"."products"."price_with_vat" IS 'field priceWithVat';
COMMENT ON COLUMN "dotypos"."products"."price_with_vat_b" IS 'field priceWithVatB';
COMMENT ON COLUMN "dotypos"."products"."price_with_vat_c" IS 'field priceWithVatC';
COMMENT ON COLUMN "dotypos"."products"."price_with_vat_d" IS 'field priceWithVatD';
COMMENT ON COLUMN "dotypos"."products"."price_with_vat_e" IS 'field priceWithVatE';
COMMENT ON COLUMN "dotypos"."products"."price_without_vat" IS 'field priceWithoutVat';
COMMENT ON COLUMN "dotypos"."products"."purchase_price_without_vat" IS 'field purchasePriceWithoutVat';
COMMENT ON COLUMN "dotypos"."products"."recipe" IS 'field recipe';
COMMENT ON COLUMN "dotypos"."products"."requires_price_entry" IS 'field requiresPriceEntry';
COMMENT ON COLUMN "dotypos"."products"."sort_order" IS 'field sortOrder';
COMMENT ON COLUMN "dotypos"."products"."stock_deduct" IS 'field stockDeduct';
COMMENT ON COLUMN "dotypos"."products"."stock_overdraft" IS 'field stockOverdraft';
COMMENT ON COLUMN "dotypos"."products"."subtitle" IS 'field subtitle';
COMMENT ON COLUMN "dotypos"."products"."supplier_product_code" IS 'field supplierProductCode';
COMMENT ON COLUMN "dotypos"."products"."tags" IS 'field tags';
COMMENT ON COLUMN "dotypos"."products"."translated_description" IS 'field translatedDescription';
COMMENT ON COLUMN "dotypos"."products"."translated_name" IS 'field translatedName';
COMMENT ON COLUMN "dotypos"."products"."unit" IS 'field unit';
COMMENT ON COLUMN "dotypos"."products"."unit_measurement" IS 'field unitMeasurement';
COMMENT ON COLUMN "dotypos"."products"."vat" IS 'field vat';
COMMENT ON COLUMN "dotypos"."products"."version_date" IS 'field versionDate, orders changes';
COMMENT ON COLUMN "dotypos"."products"."_read_at" IS 'when the row was read, by this database''s clock';
COMMENT ON COLUMN "dotypos"."products"."_load_id" IS 'the load that wrote the row last';
COMMENT ON COLUMN "dotypos"."products"."_unknown" IS 'fields without a column, and values that don''t fit theirs';
COMMENT ON COLUMN "dotypos"."products"."_removed_at" IS 'when the row was noted as removed; null of living rows';
CREATE OR REPLACE VIEW "dotypos"."products_live" AS SELECT "cloud_id", "id", "category_id", "default_course_id", "eet_subject_id", "supplier_id", "allergens", "alternative_name", "created", "currency", "deleted", "delivery_note_ids", "description", "discount_percent", "discount_permitted", "display", "ean", "external_id", "external_ids", "features", "flags", "hex_color", "image_url", "margin", "margin_min", "min_customer_age", "modified_by", "name", "notes", "on_sale", "package_item", "packaging", "packaging_measurement", "packaging_price_with_vat", "plu", "points", "preparation_duration", "price_in_points", "price_with_vat", "price_with_vat_b", "price_with_vat_c", "price_with_vat_d", "price_with_vat_e", "price_without_vat", "purchase_price_without_vat", "recipe", "requires_price_entry", "sort_order", "stock_deduct", "stock_overdraft", "subtitle", "supplier_product_code", "tags", "translated_description", "translated_name", "unit", "unit_measurement", "vat", "version_date", "_read_at", "_load_id", "_unknown", "_removed_at" FROM "dotypos"."products" WHERE "deleted" IS NOT TRUE AND "_removed_at" IS NULL;
CREATE TABLE IF NOT EXISTS "dotypos"."warehouse_products" (
  "cloud_id" BIGINT NOT NULL,
  "id" BIGINT NOT NULL,
  "category_id" BIGINT,
  "default_course_id" BIGINT,
  "eet_subject_id" BIGINT,
  "supplier_id" BIGINT,
  "allergens" INTEGER[],
  "alternative_name" VARCHAR,
  "currency" VARCHAR,
  "deleted" BOOLEAN,
  "delivery_note_ids" VARCHAR,
  "description" VARCHAR,
  "discount_percent" DECIMAL(38, 18),
  "discount_permitted" BOOLEAN,
  "display" BOOLEAN,
  "ean" VARCHAR[],
  "external_id" VARCHAR,
  "external_ids" VARCHAR[],
  "features" VARCHAR[],
  "flags" BIGINT,
  "hex_color" VARCHAR,
  "image_url" VARCHAR,
  "margin" VARCHAR,
  "margin_min" DECIMAL(38, 18),
  "min_customer_age" INTEGER,
  "modified_by" VARCHAR,
  "name" VARCHAR,
  "notes" VARCHAR[],
  "on_sale" BOOLEAN,
  "package_item" DECIMAL(38, 18),
  "packaging" DECIMAL(38, 18),
  "packaging_measurement" DECIMAL(38, 18),
  "packaging_price_with_vat" DECIMAL(38, 18),
  "plu" VARCHAR[],
  "points" DECIMAL(38, 18),
  "preparation_duration" INTEGER,
  "price_in_points" DECIMAL(38, 18),
  "price_with_vat" DECIMAL(38, 18),
  "price_with_vat_b" DECIMAL(38, 18),
  "price_with_vat_c" DECIMAL(38, 18),
  "price_with_vat_d" DECIMAL(38, 18),
  "price_with_vat_e" DECIMAL(38, 18),
  "price_without_vat" DECIMAL(38, 18),
  "purchase_price_without_vat" DECIMAL(38, 18),
  "recipe" VARCHAR,
  "requires_price_entry" BOOLEAN,
  "sort_order" BIGINT,
  "stock_deduct" BOOLEAN,
  "stock_overdraft" VARCHAR,
  "subtitle" VARCHAR,
  "supplier_product_code" VARCHAR,
  "tags" VARCHAR[],
  "translated_description" JSON,
  "translated_name" JSON,
  "unit" VARCHAR,
  "unit_measurement" VARCHAR,
  "vat" DECIMAL(38, 18),
  "version_date" TIMESTAMPTZ,
  "warehouse_id" BIGINT NOT NULL,
  "stock_quantity_status" DECIMAL(38, 18),
  "stock_status_versiondate" TIMESTAMPTZ,
  "_read_at" TIMESTAMPTZ NOT NULL,
  "_load_id" VARCHAR NOT NULL,
  "_unknown" JSON,
  "_removed_at" TIMESTAMPTZ,
  PRIMARY KEY ("cloud_id", "warehouse_id", "id")
);
CREATE INDEX IF NOT EXISTS "warehouse_products_stock_status_versiondate_idx" ON "dotypos"."warehouse_products" ("stock_status_versiondate");
CREATE INDEX IF NOT EXISTS "warehouse_products_version_date_idx" ON "dotypos"."warehouse_products" ("version_date");
COMMENT ON TABLE "dotypos"."warehouse_products" IS 'warehouse-products of Dotypos: https://docs.api.dotypos.com/entity/warehouse';
COMMENT ON COLUMN "dotypos"."warehouse_products"."cloud_id" IS 'the cloud''s id';
COMMENT ON COLUMN "dotypos"."warehouse_products"."id" IS 'field id';
COMMENT ON COLUMN "dotypos"."warehouse_products"."category_id" IS 'field _categoryId, id in categories';
COMMENT ON COLUMN "dotypos"."warehouse_products"."default_course_id" IS 'field _defaultCourseId, id in courses';
COMMENT ON COLUMN "dotypos"."warehouse_products"."eet_subject_id" IS 'field _eetSubjectId, id in eet-subjects';
COMMENT ON COLUMN "dotypos"."warehouse_products"."supplier_id" IS 'field _supplierId, id in suppliers';
COMMENT ON COLUMN "dotypos"."warehouse_products"."allergens" IS 'field allergens';
COMMENT ON COLUMN "dotypos"."warehouse_products"."alternative_name" IS 'field alternativeName';
COMMENT ON COLUMN "dotypos"."warehouse_products"."currency" IS 'field currency';
COMMENT ON COLUMN "dotypos"."warehouse_products"."deleted" IS 'field deleted';
COMMENT ON COLUMN "dotypos"."warehouse_products"."delivery_note_ids" IS 'field deliveryNoteIds';
COMMENT ON COLUMN "dotypos"."warehouse_products"."description" IS 'field description';
COMMENT ON COLUMN "dotypos"."warehouse_products"."discount_percent" IS 'field discountPercent';
COMMENT ON COLUMN "dotypos"."warehouse_products"."discount_permitted" IS 'field discountPermitted';
COMMENT ON COLUMN "dotypos"."warehouse_products"."display" IS 'field display';
COMMENT ON COLUMN "dotypos"."warehouse_products"."ean" IS 'field ean';
COMMENT ON COLUMN "dotypos"."warehouse_products"."external_id" IS 'field externalId';
COMMENT ON COLUMN "dotypos"."warehouse_products"."external_ids" IS 'field externalIds';
COMMENT ON COLUMN "dotypos"."warehouse_products"."features" IS 'field features';
COMMENT ON COLUMN "dotypos"."warehouse_products"."flags" IS 'field flags';
COMMENT ON COLUMN "dotypos"."warehouse_products"."hex_color" IS 'field hexColor';
COMMENT ON COLUMN "dotypos"."warehouse_products"."image_url" IS 'field imageUrl';
COMMENT ON COLUMN "dotypos"."warehouse_products"."margin" IS 'field margin';
COMMENT ON COLUMN "dotypos"."warehouse_products"."margin_min" IS 'field marginMin';
COMMENT ON COLUMN "dotypos"."warehouse_products"."min_customer_age" IS 'field minCustomerAge';
COMMENT ON COLUMN "dotypos"."warehouse_products"."modified_by" IS 'field modifiedBy, personal data';
COMMENT ON COLUMN "dotypos"."warehouse_products"."name" IS 'field name';
COMMENT ON COLUMN "dotypos"."warehouse_products"."notes" IS 'field notes';
COMMENT ON COLUMN "dotypos"."warehouse_products"."on_sale" IS 'field onSale';
COMMENT ON COLUMN "dotypos"."warehouse_products"."package_item" IS 'field packageItem';
COMMENT ON COLUMN "dotypos"."warehouse_products"."packaging" IS 'field packaging';
COMMENT ON COLUMN "dotypos"."warehouse_products"."packaging_measurement" IS 'field packagingMeasurement';
COMMENT ON COLUMN "dotypos"."warehouse_products"."packaging_price_with_vat" IS 'field packagingPriceWithVat';
COMMENT ON COLUMN "dotypos"."warehouse_products"."plu" IS 'field plu';
COMMENT ON COLUMN "dotypos"."warehouse_products"."points" IS 'field points';
COMMENT ON COLUMN "dotypos"."warehouse_products"."preparation_duration" IS 'field preparationDuration';
COMMENT ON COLUMN "dotypos"."warehouse_products"."price_in_points" IS 'field priceInPoints';
COMMENT ON COLUMN "dotypos"."warehouse_products"."price_with_vat" IS 'field priceWithVat';
COMMENT ON COLUMN "dotypos"."warehouse_products"."price_with_vat_b" IS 'field priceWithVatB';
COMMENT ON COLUMN "dotypos"."warehouse_products"."price_with_vat_c" IS 'field priceWithVatC';
COMMENT ON COLUMN "dotypos"."warehouse_products"."price_with_vat_d" IS 'field priceWithVatD';
COMMENT ON COLUMN "dotypos"."warehouse_products"."price_with_vat_e" IS 'field priceWithVatE';
COMMENT ON COLUMN "dotypos"."warehouse_products"."price_without_vat" IS 'field priceWithoutVat';
COMMENT ON COLUMN "dotypos"."warehouse_products"."purchase_price_without_vat" IS 'field purchasePriceWithoutVat';
COMMENT ON COLUMN "dotypos"."warehouse_products"."recipe" IS 'field recipe';
COMMENT ON COLUMN "dotypos"."warehouse_products"."requires_price_entry" IS 'field requiresPriceEntry';
COMMENT ON COLUMN "dotypos"."warehouse_products"."sort_order" IS 'field sortOrder';
COMMENT ON COLUMN "dotypos"."warehouse_products"."stock_deduct" IS 'field stockDeduct';
COMMENT ON COLUMN "dotypos"."warehouse_products"."stock_overdraft" IS 'field stockOverdraft';
COMMENT ON COLUMN "dotypos"."warehouse_products"."subtitle" IS 'field subtitle';
COMMENT ON COLUMN "dotypos"."warehouse_products"."supplier_product_code" IS 'field supplierProductCode';
COMMENT ON COLUMN "dotypos"."warehouse_products"."tags" IS 'field tags';
COMMENT ON COLUMN "dotypos"."warehouse_products"."translated_description" IS 'field translatedDescription';
COMMENT ON COLUMN "dotypos"."warehouse_products"."translated_name" IS 'field translatedName';
COMMENT ON COLUMN "dotypos"."warehouse_products"."unit" IS 'field unit';
COMMENT ON COLUMN "dotypos"."warehouse_products"."unit_measurement" IS 'field unitMeasurement';
COMMENT ON COLUMN "dotypos"."warehouse_products"."vat" IS 'field vat';
COMMENT ON COLUMN "dotypos"."warehouse_products"."version_date" IS 'field versionDate, orders changes';
COMMENT ON COLUMN "dotypos"."warehouse_products"."warehouse_id" IS 'field _warehouseId, id in warehouses';
COMMENT ON COLUMN "dotypos"."warehouse_products"."stock_quantity_status" IS 'field stockQuantityStatus';
COMMENT ON COLUMN "dotypos"."warehouse_products"."stock_status_versiondate" IS 'field stockStatusVersiondate, orders changes';
COMMENT ON COLUMN "dotypos"."warehouse_products"."_read_at" IS 'when the row was read, by this database''s clock';
COMMENT ON COLUMN "dotypos"."warehouse_products"."_load_id" IS 'the load that wrote the row last';
COMMENT ON COLUMN "dotypos"."warehouse_products"."_unknown" IS 'fields without a column, and values that don''t fit theirs';
COMMENT ON COLUMN "dotypos"."warehouse_products"."_removed_at" IS 'when the row was noted as removed; null of living rows';
CREATE OR REPLACE VIEW "dotypos"."warehouse_products_live" AS SELECT "cloud_id", "id", "category_id", "default_course_id", "eet_subject_id", "supplier_id", "allergens", "alternative_name", "currency", "deleted", "delivery_note_ids", "description", "discount_percent", "discount_permitted", "display", "ean", "external_id", "external_ids", "features", "flags", "hex_color", "image_url", "margin", "margin_min", "min_customer_age", "modified_by", "name", "notes", "on_sale", "package_item", "packaging", "packaging_measurement", "packaging_price_with_vat", "plu", "points", "preparation_duration", "price_in_points", "price_with_vat", "price_with_vat_b", "price_with_vat_c", "price_with_vat_d", "price_with_vat_e", "price_without_vat", "purchase_price_without_vat", "recipe", "requires_price_entry", "sort_order", "stock_deduct", "stock_overdraft", "subtitle", "supplier_product_code", "tags", "translated_description", "translated_name", "unit", "unit_measurement", "vat", "version_date", "warehouse_id", "stock_quantity_status", "stock_status_versiondate", "_read_at", "_load_id", "_unknown", "_removed_at" FROM "dotypos"."warehouse_products" WHERE "deleted" IS NOT TRUE AND "_removed_at" IS NULL;
CREATE TABLE IF NOT EXISTS "dotypos"."clouds" (
  "cloud_id" BIGINT NOT NULL,
  "id" BIGINT NOT NULL,
  "1_click_id" BIGINT,
  "company_id" BIGINT,
  "country" VARCHAR,
  "deleted" BOOLEAN,
  "expired" BOOLEAN,
  "name" VARCHAR,
  "restricted" BOOLEAN,
  "segment" VARCHAR,
  "_read_at" TIMESTAMPTZ NOT NULL,
  "_load_id" VARCHAR NOT NULL,
  "_unknown" JSON,
  "_removed_at" TIMESTAMPTZ,
  PRIMARY KEY ("cloud_id", "id")
);
COMMENT ON TABLE "dotypos"."clouds" IS 'clouds of Dotypos: https://docs.api.dotypos.com/entity/cloud';
COMMENT ON COLUMN "dotypos"."clouds"."cloud_id" IS 'the cloud''s id';
COMMENT ON COLUMN "dotypos"."clouds"."id" IS 'field id';
COMMENT ON COLUMN "dotypos"."clouds"."1_click_id" IS 'field 1ClickId';
COMMENT ON COLUMN "dotypos"."clouds"."company_id" IS 'field _companyId';
COMMENT ON COLUMN "dotypos"."clouds"."country" IS 'field country';
COMMENT ON COLUMN "dotypos"."clouds"."deleted" IS 'field deleted';
COMMENT ON COLUMN "dotypos"."clouds"."expired" IS 'field expired';
COMMENT ON COLUMN "dotypos"."clouds"."name" IS 'field name';
COMMENT ON COLUMN "dotypos"."clouds"."restricted" IS 'field restricted';
COMMENT ON COLUMN "dotypos"."clouds"."segment" IS 'field segment';
COMMENT ON COLUMN "dotypos"."clouds"."_read_at" IS 'when the row was read, by this database''s clock';
COMMENT ON COLUMN "dotypos"."clouds"."_load_id" IS 'the load that wrote the row last';
COMMENT ON COLUMN "dotypos"."clouds"."_unknown" IS 'fields without a column, and values that don''t fit theirs';
COMMENT ON COLUMN "dotypos"."clouds"."_removed_at" IS 'when the row was noted as removed; null of living rows';
CREATE OR REPLACE VIEW "dotypos"."clouds_live" AS SELECT "cloud_id", "id", "1_click_id", "company_id", "country", "deleted", "expired", "name", "restricted", "segment", "_read_at", "_load_id", "_unknown", "_removed_at" FROM "dotypos"."clouds" WHERE "deleted" IS NOT TRUE AND "_removed_at" IS NULL;
CREATE TABLE IF NOT EXISTS "dotypos"."portions" (
  "cloud_id" BIGINT NOT NULL,
  "id" BIGINT NOT NULL,
  "portion" DECIMAL(38, 18),
  "price" DECIMAL(38, 18),
  "display" BOOLEAN,
  "deleted" BOOLEAN,
  "version_date" TIMESTAMPTZ,
  "_read_at" TIMESTAMPTZ NOT NULL,
  "_load_id" VARCHAR NOT NULL,
  "_unknown" JSON,
  "_removed_at" TIMESTAMPTZ,
  PRIMARY KEY ("cloud_id", "id")
);
COMMENT ON TABLE "dotypos"."portions" IS 'portions of Dotypos: https://docs.api.dotypos.com/entity/portion';
COMMENT ON COLUMN "dotypos"."portions"."cloud_id" IS 'the cloud''s id';
COMMENT ON COLUMN "dotypos"."portions"."id" IS 'field id';
COMMENT ON COLUMN "dotypos"."portions"."portion" IS 'field portion';
COMMENT ON COLUMN "dotypos"."portions"."price" IS 'field price';
COMMENT ON COLUMN "dotypos"."portions"."display" IS 'field display';
COMMENT ON COLUMN "dotypos"."portions"."deleted" IS 'field deleted';
COMMENT ON COLUMN "dotypos"."portions"."version_date" IS 'field versionDate';
COMMENT ON COLUMN "dotypos"."portions"."_read_at" IS 'when the row was read, by this database''s clock';
COMMENT ON COLUMN "dotypos"."portions"."_load_id" IS 'the load that wrote the row last';
COMMENT ON COLUMN "dotypos"."portions"."_unknown" IS 'fields without a column, and values that don''t fit theirs';
COMMENT ON COLUMN "dotypos"."portions"."_removed_at" IS 'when the row was noted as removed; null of living rows';
CREATE OR REPLACE VIEW "dotypos"."portions_live" AS SELECT "cloud_id", "id", "portion", "price", "display", "deleted", "version_date", "_read_at", "_load_id", "_unknown", "_removed_at" FROM "dotypos"."portions" WHERE "deleted" IS NOT TRUE AND "_removed_at" IS NULL;
