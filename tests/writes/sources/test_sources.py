"""Sources as arguments give them: `writes.sources.source` and `writes/sources/__init__.py`."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest
from airflow.sdk import DAG, BaseOperator, ObjectStoragePath

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.exceptions import DotyposPlanError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.manifest import read_manifest
from airflow_provider_dotypos.writes.sources import Sql, source_of
from airflow_provider_dotypos.writes.sources.files import FileSource
from airflow_provider_dotypos.writes.sources.index import index_source
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.values import same

ROWS = [{"externalId": "A", "priceWithVat": 1}, {"externalId": "B"}]


class Extract:
    """What has rows, and isn't ours."""

    path = "s3://lake/set"

    def rows(self) -> Iterator[dict[str, Any]]:
        yield from ROWS


@pytest.mark.parametrize("given", [ROWS, tuple(ROWS), iter(ROWS), (row for row in ROWS), Extract()])
def test_anything_that_gives_rows_is_a_source(given: Any) -> None:
    assert list(source_of(given).rows()) == ROWS


def test_a_source_has_a_name_for_messages() -> None:
    assert source_of(ROWS).name == "source"
    assert source_of(Extract()).name == "s3://lake/set"
    assert source_of("s3://key:secret@lake/prices.csv").name == "s3://***@lake/prices.csv"
    assert source_of(Sql("warehouse", "SELECT 1")).name == "the query on connection 'warehouse'"


def test_rows_that_a_template_has_rendered_keep_their_digits() -> None:
    text = '[{"externalId": "A", "priceWithVat": 41.32231404958677685950}]'
    assert list(source_of(text).rows()) == [{"externalId": "A", "priceWithVat": Decimal("41.32231404958677685950")}]


def test_files_are_named_by_a_text_or_a_path() -> None:
    assert isinstance(source_of("file:///data/prices.jsonl"), FileSource)
    assert isinstance(source_of(ObjectStoragePath("file:///data/prices.jsonl")), FileSource)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"externalId": "A"}, "can't be a value of type dict"),
        (5, "can't be a value of type int"),
        (None, "can't be a value of type NoneType"),
        (pandas.DataFrame(ROWS), "is a data frame"),
        ("[{'externalId': 'A'}]", r"\| tojson"),
        ("{'externalId': 'A'}", r"\| tojson"),
        ('{"externalId": "A"}\n{"externalId": "B"}', r"\| tojson"),
        ("({'externalId': 'A'},)", r"\| tojson"),
        ("prices.csv", "must be an absolute path or an address"),
        ("/data/prices.xlsx", "must end in .jsonl, .ndjson, .csv, .tsv, .parquet"),
        ("/data/_manifest-0001.json", r"read_manifest\(path\)"),
        ("/data/prices.parquet.gz", "but for Parquet"),
        ("/data/prices", "must end in"),
    ],
)
def test_anything_else_is_refused_with_what_to_give(given: Any, why: str) -> None:
    with pytest.raises(DotyposInputError, match=why) as raised:
        source_of(given)
    assert "'A'" not in str(raised.value)


def test_rows_that_are_no_dicts_are_problems_and_the_others_are_read() -> None:
    problems = Problems()
    source = source_of([ROWS[0], ["B", 1], ROWS[1], "C"])
    assert list(source.numbered(problems)) == [(1, ROWS[0]), (3, ROWS[1])]
    with pytest.raises(DotyposPlanError, match=r"2 problems\n- row 2: is a value of type list, not a dict\n- row 4: "):
        problems.raise_any("source")


def test_reading_rows_alone_ends_with_what_could_not_be_read() -> None:
    rows = source_of([ROWS[0], 5]).rows()
    assert next(rows) == ROWS[0]
    with pytest.raises(DotyposPlanError, match="row 2"):
        next(rows)


def test_a_committed_set_is_a_source(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(sandbox.cloud_ids[0])))
    operator = DotyposToObjectStorageOperator(
        task_id="extract", entity="products", destination=f"file://{tmp_path}", until="2026-03-02T00:00:00Z"
    )
    context: Any = {
        "ti": SimpleNamespace(try_number=1),
        "dag_run": SimpleNamespace(run_after=datetime(2026, 3, 2, tzinfo=timezone.utc)),
    }
    committed = read_manifest(operator.execute(context)["manifest"])
    problems = Problems()
    products, cloud_id = find_entity("products"), sandbox.cloud_ids[0]
    fields = [field.name for field in products.fields.values() if not field.read_only and field.name != "imageUrl"]
    with index_source(
        source_of(committed), products, match=("id",), cloud_id=cloud_id, fields=fields, problems=problems
    ) as index:
        problems.raise_any("the set")
        indexed = {row.key: row for row in index.rows()}
        for row in sandbox.shop.rows(cloud_id, "products"):
            read = indexed[str(row["id"]),]
            assert all(same(products.fields[name], value, row[name]) for name, value in read.values.items())


class Reading(BaseOperator):
    """An operator with a source."""

    template_fields = ("source",)
    template_ext = (".sql",)

    def __init__(self, *, source: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source


def test_a_query_is_templated_where_a_source_is() -> None:
    query = Sql("{{ where }}", "SELECT * FROM prices WHERE day = %s AND shop = {{ shop }}", ["{{ day }}"])
    reading = Reading(task_id="read", source=query)
    reading.render_template_fields({"where": "lake", "shop": 7, "day": "2026-01-15"})  # type: ignore[arg-type]
    assert reading.source == Sql("lake", "SELECT * FROM prices WHERE day = %s AND shop = 7", ["2026-01-15"])


def test_a_query_may_be_a_file_beside_the_dag(tmp_path: Path) -> None:
    (tmp_path / "prices.sql").write_text("SELECT * FROM prices WHERE day = '{{ day }}'")
    with DAG("prices", schedule=None, template_searchpath=[str(tmp_path)]):
        reading = Reading(task_id="read", source=Sql("warehouse", "prices.sql"))
    reading.render_template_fields({"day": "2026-01-15"})  # type: ignore[arg-type]
    assert reading.source.query == "SELECT * FROM prices WHERE day = '2026-01-15'"


def test_parameters_of_a_query_are_not_shown() -> None:
    query = Sql("warehouse", "SELECT * FROM prices WHERE day = %s", ["secret"])
    assert "secret" not in repr(query)
    assert "SELECT * FROM prices" in repr(query)
    assert pickle.loads(pickle.dumps(query)) == query
