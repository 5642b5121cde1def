"""Where a list's rows came from and what they were brought to, for hook lineage and for OpenLineage.

Names of hosts, clouds, lists, tables and fields stand in it, and counts of rows. No filter does, and no value of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Asset

    from airflow_provider_dotypos.transfers.rows.columns import Columns

#: How many names at the end of an asset's path are those of a table. What is before them, a file's path, is its place.
_TABLE_NAMES = {"postgres": 3, "mysql": 2, "duckdb": 2, "sqlite": 1}


@dataclass(frozen=True)
class Field:
    """A column of what rows are brought to.

    :param type: what the place calls its type.
    :param source: the API's field that it holds; ``None`` of columns that are ours.
    :param description: what it holds, for people.
    """

    name: str
    type: str
    source: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Output:
    """A table, or the files of a list, and what a task has written of it.

    :param rows: how many rows it has written; ``None`` if that isn't known.
    :param size: in bytes; ``None`` of tables.
    :param files: how many files; ``None`` of tables.
    """

    asset: Asset
    fields: Sequence[Field] = ()
    rows: int | None = None
    size: int | None = None
    files: int | None = None


@dataclass(frozen=True)
class ListLineage:
    """The lineage of one list.

    :param source: the URI of the list's asset.
    :param fields: of the list's rows.
    """

    source: str
    fields: Sequence[Field]
    outputs: Sequence[Output]


def fields_of(columns: Columns) -> list[Field]:
    """Return the fields of rows in the API's form: their names and types are the API's."""
    return [Field(column.name, column.kind, column.name) for column in columns.columns]


def openlineage(lists: Iterable[ListLineage]) -> OperatorLineage[Any, Any]:
    """Return what OpenLineage's events hold of a task: each list with its fields, and what was written."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset

    lineage: OperatorLineage[Any, Any] = OperatorLineage()
    for each in lists:
        namespace, name = _identity(each.source)
        lineage.inputs.append(InputDataset(namespace, name, facets=_schema(each.fields)))
        lineage.outputs += [_output(output, namespace, name) for output in each.outputs]
    return lineage


def _output(output: Output, namespace: str, name: str) -> Any:
    """Return an output with its columns, and of each the field of the list that it holds.

    :param namespace: the list's.
    :param name: the list's.
    """
    from openlineage.client import facet_v2
    from openlineage.client.event_v2 import OutputDataset

    facets = _schema(output.fields)
    identical = facet_v2.column_lineage_dataset.Transformation(type="DIRECT", subtype="IDENTITY")
    sources = {
        field.name: facet_v2.column_lineage_dataset.Fields(
            [facet_v2.column_lineage_dataset.InputField(namespace, name, field.source, [identical])]
        )
        for field in output.fields
        if field.source is not None
    }
    if sources:
        facets["columnLineage"] = facet_v2.column_lineage_dataset.ColumnLineageDatasetFacet(sources)
    statistics = facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=output.rows, size=output.size, fileCount=output.files
    )
    known = output.rows is not None
    return OutputDataset(
        *_identity(output.asset.uri), facets=facets, outputFacets={"outputStatistics": statistics} if known else {}
    )


def _schema(fields: Sequence[Field]) -> dict[str, Any]:
    from openlineage.client.facet_v2 import schema_dataset

    if not fields:
        return {}
    described = [schema_dataset.SchemaDatasetFacetFields(field.name, field.type, field.description) for field in fields]
    return {"schema": schema_dataset.SchemaDatasetFacet(described)}


def _identity(address: str) -> tuple[str, str]:
    """Return the namespace and the name that OpenLineage knows an asset by.

    :param address: its URI.

    The provider whose scheme it is knows them, so that they are those that its own operators give. Older versions of
    databases' providers don't, and SQLite's and DuckDB's never do.
    """
    from airflow.providers.common.compat.openlineage.utils.utils import translate_airflow_asset
    from airflow.sdk import Asset

    if (dataset := translate_airflow_asset(Asset(uri=address), None)) is not None:
        return dataset.namespace, dataset.name
    uri = urlsplit(address)
    if uri.scheme not in _TABLE_NAMES:
        return f"{uri.scheme}://{uri.netloc}", uri.path.removeprefix("/")
    place, *names = uri.path.rsplit("/", _TABLE_NAMES[uri.scheme])
    return f"{uri.scheme}://{uri.netloc}{place}", ".".join(names)
