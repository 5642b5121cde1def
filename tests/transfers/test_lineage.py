"""What a transfer tells hook lineage and OpenLineage: the lists that it has read, and what it has written of them.

``tests/example_dags`` shows what OpenLineage's provider makes of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.transfers import lineage
from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import (
    DotyposEntitiesToObjectStorageOperator,
)
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.lineage import Field, ListLineage, Output
from tests.hook_lineage import collect_lineage, inputs_and_outputs
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL

WINDOW = {"task_id": "extract", "since": SINCE, "until": UNTIL}


@pytest.fixture
def source(sandbox: Sandbox, connection: None) -> str:
    """The address below which a cloud's lists are, without the scheme."""
    return f"{sandbox.url.removeprefix('http://')}/{sandbox.cloud_ids[0]}"


def events_of(operator: Any) -> dict[str, Any]:
    """Return what OpenLineage's client sends of an operator, as JSON has it."""
    pytest.importorskip("airflow.providers.openlineage")
    from openlineage.client.serde import Serde

    given = operator.get_openlineage_facets_on_complete(None)
    return {name: [Serde.to_dict(each) for each in getattr(given, name)] for name in ("inputs", "outputs")}


def test_hook_lineage_names_the_list_and_the_files(
    source: str, orders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = collect_lineage(monkeypatch)
    operator = DotyposToObjectStorageOperator(entity="orders", destination=f"file://{tmp_path}", **WINDOW)
    operator.execute({})  # type: ignore[arg-type]
    assert inputs_and_outputs(collector) == ([f"dotypos://{source}/orders"], [f"file://{tmp_path}/orders"])


def test_openlineage_learns_fields_and_counts(source: str, orders: list[str], tmp_path: Path) -> None:
    operator = DotyposToObjectStorageOperator(
        entity="orders", destination=f"file://{tmp_path}", columns="note,paid", max_part_bytes=10_000, **WINDOW
    )
    result = operator.execute({})  # type: ignore[arg-type]
    sent = events_of(operator)
    (read,), (written,) = sent["inputs"], sent["outputs"]
    host, cloud = source.split("/")
    assert (read["namespace"], read["name"]) == (f"dotypos://{host}", f"{cloud}/orders")
    assert (written["namespace"], written["name"]) == ("file", f"{tmp_path}/orders")
    types = {field["name"]: field["type"] for field in read["facets"]["schema"]["fields"]}
    assert types == {"id": "long", "note": "text", "paid": "boolean", "versionDate": "timestamp"}
    assert written["facets"]["schema"]["fields"] == read["facets"]["schema"]["fields"]
    ((of_note,),) = [written["facets"]["columnLineage"]["fields"]["note"]["inputFields"]]
    assert (of_note["namespace"], of_note["name"], of_note["field"]) == (read["namespace"], read["name"], "note")
    statistics = written["outputFacets"]["outputStatistics"]
    counts = (statistics["rowCount"], statistics["fileCount"], statistics["size"])
    assert counts == (result["rows"], result["files"], result["bytes"])


def test_no_filter_and_no_secret_is_in_it(source: str, orders: list[str], sandbox: Sandbox, tmp_path: Path) -> None:
    operator = DotyposToObjectStorageOperator(
        entity="customers", destination=f"file://{tmp_path}", filter=[("email", "like", "jana@example.com")], **WINDOW
    )
    operator.execute({})  # type: ignore[arg-type]
    sent = json.dumps(events_of(operator))
    assert not [text for text in ("jana", sandbox.refresh_token) if text in sent]


def test_of_many_lists_those_that_were_committed_are_named_though_others_failed(
    source: str,
    orders: list[str],
    sandbox: Sandbox,
    refuse: Callable[[str, RefusedError], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collector = collect_lineage(monkeypatch)
    sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"versionDate": SINCE_MS})
    refuse("branches", RefusedError(400, "BAD_REQUEST", "not now"))
    operator = DotyposEntitiesToObjectStorageOperator(
        entities="orders,branches,products", destination=f"file://{tmp_path}", **WINDOW
    )
    with pytest.raises(Exception, match="1 of 3 lists failed"):
        operator.execute({})  # type: ignore[arg-type]
    read, written = inputs_and_outputs(collector)
    assert sorted(read) == [f"dotypos://{source}/orders", f"dotypos://{source}/products"]
    assert sorted(written) == [f"file://{tmp_path}/orders", f"file://{tmp_path}/products"]
    assert len(events_of(operator)["inputs"]) == 2


def test_a_task_that_has_read_nothing_has_no_lineage(connection: None, tmp_path: Path) -> None:
    operator = DotyposToObjectStorageOperator(entity="orders", destination=f"file://{tmp_path}", **WINDOW)
    assert events_of(operator) == {"inputs": [], "outputs": []}


@pytest.mark.parametrize(
    ("address", "identity"),
    [
        ("s3://lake/dotypos/orders", ("s3://lake", "dotypos/orders")),
        ("postgres://db:5432/shop/public/orders", ("postgres://db:5432", "shop.public.orders")),
        ("duckdb:///data/lake.duckdb/main/orders", ("duckdb:///data/lake.duckdb", "main.orders")),
        ("sqlite:///data/lake.db/orders", ("sqlite:///data/lake.db", "orders")),
        ("memory://lake/orders", ("memory://lake", "orders")),
    ],
)
def test_outputs_have_the_names_that_openlineage_gives_them(address: str, identity: tuple[str, str]) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    given = lineage.openlineage([ListLineage("dotypos://host/1/orders", [], [Output(Asset(uri=address))])])
    (written,) = given.outputs
    assert (written.namespace, written.name) == identity
    assert (written.facets, written.outputFacets) == ({}, {})


def test_a_column_of_ours_comes_from_no_field() -> None:
    pytest.importorskip("airflow.providers.openlineage")
    fields = [Field("version_date", "timestamptz", "versionDate", "when it changed"), Field("_load_id", "text")]
    of_table = Output(Asset(uri="postgres://db:5432/shop/public/orders"), fields, 5)
    (written,) = lineage.openlineage([ListLineage("dotypos://host/1/orders", [], [of_table])]).outputs
    assert [field.name for field in written.facets["schema"].fields] == ["version_date", "_load_id"]
    assert list(written.facets["columnLineage"].fields) == ["version_date"]
    assert written.facets["columnLineage"].fields["version_date"].inputFields[0].field == "versionDate"
