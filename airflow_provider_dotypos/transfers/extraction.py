"""What to extract, and how to write it: checked, before anything is asked for."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import msgspec

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.query import Filter, filter_text, list_params, split_names
from airflow_provider_dotypos.api.streams import Triple, window_conditions
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.rows.columns import Columns, Names, columns_of


@dataclass(frozen=True)
class Extraction:
    """What to extract, and how to write it; made by `of`, which checks it.

    :param conditions: the filter, checked.
    :param include: child lists to ask for, comma-separated.
    :param warehouse_id: for entities below a warehouse: the one to read; ``None`` for all.
    :param columns: of the rows.
    :param children: of child lists that get files of their own, by their entity.
    :param snapshot: whether it is to tell which rows there are, rather than what is in them.
    :param asked_for: what shapes the rows, as it was given: what sets of different shape are told apart by.
    :param max_part_bytes: size at which a part ends (at the next point where it may).
    :param settle: seconds that a change may need to show in the API.
    :param concurrency: threads that walk at once.
    """

    entity: str
    cloud_id: int
    window: Window
    conditions: tuple[Triple, ...]
    include: str
    warehouse_id: str | None
    file_format: FileFormat
    columns: Columns
    children: dict[str, Columns]
    snapshot: bool
    asked_for: bytes
    max_part_bytes: int
    settle: float
    concurrency: int

    @classmethod
    def of(
        cls,
        name: str,
        *,
        cloud_id: int,
        window: Window,
        filter: Filter = None,
        include: str | None = None,
        warehouse_id: int | str | None = None,
        file_format: FileFormat | None = None,
        columns: Names = None,
        exclude: Names = None,
        personal_data: bool = True,
        flatten: bool = False,
        snapshot: bool = False,
        max_part_bytes: int = 64 * 2**20,
        settle: float = 60.0,
        concurrency: int = 1,
    ) -> Extraction:
        """Return the extraction of an entity.

        :raises DotyposInputError: the entity is unknown, the API doesn't allow the filter or the include on it, or what
            is asked for contradicts itself.
        :raises PyarrowMissingError: Parquet was asked for, and pyarrow isn't installed.
        """
        found = find_entity(name)
        form = file_format or FileFormat()
        form.check()
        if flatten and not split_names(include):
            raise DotyposInputError("flatten: there is nothing to flatten; name child lists in include, too")
        if snapshot:
            columns = ["id"]  # and with it the key, and the fields that order changes
        terms = window_conditions(found, filter)
        warehouse = found.parent_id({"warehouse_id": warehouse_id})
        included = list_params(found, include=include).get("include", "")
        chosen = columns_of(name, include=include, columns=columns, exclude=exclude, personal_data=personal_data)
        if lost := set(split_names(included)) - chosen.names:
            raise DotyposInputError(f"include asks for {', '.join(sorted(lost))}, which columns or exclude leaves out")
        children: dict[str, Columns] = {}
        if flatten:
            children = {column.rows.entity: column.rows for column in chosen.columns if column.rows is not None}
            plain = tuple(column for column in chosen.columns if column.rows is None)
            chosen = dataclasses.replace(chosen, columns=plain)
        selected = [sorted(split_names(columns)), sorted(split_names(exclude)), personal_data, flatten, snapshot]
        asked_for = [filter_text(terms), included, form.name, form.compression, warehouse, *selected]
        return cls(
            entity=name,
            cloud_id=cloud_id,
            window=window,
            conditions=terms,
            include=included,
            warehouse_id=warehouse,
            file_format=form,
            columns=chosen,
            children=children,
            snapshot=snapshot,
            asked_for=msgspec.json.encode(asked_for),
            max_part_bytes=max_part_bytes,
            settle=settle,
            concurrency=concurrency,
        )

    @property
    def folder(self) -> str:
        """Where the set lies below its destination; the digest tells extractions of different shape apart."""
        return f"{self.cloud_id}/{self.entity}/{self.window.name}_{self.shape}"

    @property
    def shape(self) -> str:
        """What tells sets of different shape apart: a digest of filter, include, columns, format and the like."""
        return hashlib.sha256(self.asked_for).hexdigest()[:8]

    @property
    def filter(self) -> str:
        """The filter in the API's grammar."""
        return filter_text(self.conditions)
