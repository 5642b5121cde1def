"""The entity table (`entities`, `entity_table`): its notation, its paths, and what the reference says of writes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import airflow_provider_dotypos
from airflow_provider_dotypos.api.entities import CLOUDS, OPERATORS, Writes, cloud_lists, entities, find_entity
from airflow_provider_dotypos.api.entity_table import ROWS
from airflow_provider_dotypos.api.errors import DotyposInputError

NAMES = list(entities())
WRITABLE = [name for name, entity in entities().items() if entity.writes]

#: A body that creates a product, as the reference gives it.
PRODUCT = """_cloudId _categoryId name priceWithoutVat vat unit packaging points priceInPoints discountPercent
    discountPermitted display deleted flags hexColor onSale requiresPriceEntry stockDeduct stockOverdraft features"""

ALL_WRITES = Writes(("POST", "PUT"), ("PUT", "PATCH", "DELETE"), posts_array=True)
#: What the reference's overview says of writes, where it isn't all of them.
OTHER_WRITES = {
    "customer-accounts": Writes(("POST",)),
    "customer-account-logs": Writes(("POST",)),
    "portions": Writes(("POST",), ("DELETE",)),
    "tags": Writes(("POST",), posts_array=True),
    "warehouse-branches": Writes(("POST", "PUT"), ("PUT", "PATCH"), posts_array=True),
    "webhooks": Writes(("POST",), ("DELETE",)),
}


def test_the_table_holds_each_entity_and_field_once() -> None:
    assert [row["name"] for row in sorted(ROWS, key=lambda row: row["name"])] == NAMES
    for row in ROWS:
        assert len(find_entity(row["name"]).fields) == sum(bool(line.strip()) for line in row["fields"].splitlines())


def test_no_field_allows_what_no_group_holds_and_no_id_is_sortable() -> None:
    known = {name for group in OPERATORS.values() for name in group}
    for entity in entities().values():
        assert not ("id" in entity.fields and entity.fields["id"].sortable)
        assert set(entity.cursors) <= set(entity.fields)
        for field in entity.fields.values():
            assert set(field.operators) <= known


def test_code_that_reads_and_extracts_knows_no_entity_but_those_of_a_nested_history_by_name() -> None:
    """`api.webhooks` has a table of its own: what Dotypos delivers. Those who register look up nothing else."""
    package = Path(airflow_provider_dotypos.__file__).parent
    rooms = [*package.glob("api/*.py"), *package.glob("hooks/*.py"), *package.glob("transfers/**/*.py")]
    texts = {
        node.value
        for path in (*rooms, package / "commands/entities.py")
        if str(path.relative_to(package)) not in ("api/entity_table.py", "api/webhooks.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    nested_history = {"orders", "order-items", "money-logs"}
    # A set of files has a manifest, too, and a load tables. A till is one of a branch. Metrics have tags.
    assert texts & set(NAMES) <= {CLOUDS, "branches", "manifest", "tables", "tags", "webhooks", *nested_history}


@pytest.mark.parametrize("name", NAMES)
def test_names_in_the_table_lead_to_what_they_name(name: str) -> None:
    entity = find_entity(name)
    for child in entity.includes.values():
        assert find_entity(child.entity).fields[child.parent].references == name
    for field in entity.fields.values():
        assert field.references is None or field.references in entities()
    if entity.parent is not None:
        assert find_entity(entity.parent.entity).listed
        assert entity.parent.field in entity.fields or not entity.listed
    assert set(entity.primary_key) <= set(entity.fields) or not entity.listed


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_made_of_the_entity_and_its_parent(name: str) -> None:
    entity = find_entity(name)
    path = entity.url_path("5" if entity.parent else None)
    assert re.fullmatch(r"/clouds|([a-z-]+/5/)?[a-z-]+", path)
    assert path.startswith("/") == (name == CLOUDS) == (not entity.in_cloud)


def test_paths_below_something_need_its_id() -> None:
    stock = find_entity("warehouse-products")
    assert stock.url_path(stock.parent_id({"warehouse_id": " 5 "})) == "warehouses/5/products"
    assert stock.parent_id({"warehouse_id": None}) is None
    assert stock.parent_id({}) is None
    with pytest.raises(DotyposInputError, match=r"lies below a warehouse: name it by warehouse_id="):
        stock.url_path()
    with pytest.raises(DotyposInputError, match=r"takes no branch_id"):
        stock.parent_id({"branch_id": 5})
    with pytest.raises(DotyposInputError, match=r"orders takes no warehouse_id"):
        find_entity("orders").parent_id({"warehouse_id": 5})


@pytest.mark.parametrize("id", [True, "x", "1/..", 1.5, "--5", "٣"])
def test_a_parent_is_named_by_a_whole_number(id: object) -> None:
    with pytest.raises(DotyposInputError, match="warehouse_id is a whole number"):
        find_entity("warehouse-products").parent_id({"warehouse_id": id})


def test_what_can_be_extracted_is_what_a_cloud_has_lists_of() -> None:
    assert set(NAMES) - set(cloud_lists()) == {"clouds", "manifest", "sales-report"}


@pytest.mark.parametrize("name", WRITABLE)
def test_writes_are_those_of_the_reference(name: str) -> None:
    assert find_entity(name).writes == OTHER_WRITES.get(name, ALL_WRITES)


def test_etags_are_asked_for_by_put_and_patch_alone() -> None:
    assert ALL_WRITES.etag_methods == ("PUT", "PATCH")
    assert OTHER_WRITES["portions"].etag_methods == ()


def test_a_create_as_the_reference_gives_it_names_what_is_required() -> None:
    fields = find_entity("products").fields
    assert {name for name, field in fields.items() if field.required} <= set(PRODUCT.split())
    assert [name for name in PRODUCT.split() if fields[name].read_only] == ["_cloudId"]


@pytest.mark.parametrize("name", WRITABLE)
def test_what_the_server_sets_is_not_required(name: str) -> None:
    fields = find_entity(name).fields
    assert fields["id"].read_only
    for field in fields.values():
        assert not (field.required and (field.read_only or field.nullable or field.name == "deleted"))


def test_an_entity_without_writes_takes_no_field() -> None:
    for entity in entities().values():
        if not entity.writes:
            assert all(field.read_only and not field.required for field in entity.fields.values())


def test_lengths_are_those_of_the_reference() -> None:
    lengths = {"products.name": 400, "tags.name": 650, "customers.tags": 255, "customers.phone": 20, "orders.id": None}
    for place, length in lengths.items():
        name, _, field = place.partition(".")
        assert find_entity(name).field(field).max_length == length
