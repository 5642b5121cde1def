"""What to read: the rows of an entity, the filter, the fields. No window: that comes later."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_dotypos.api.entities import Child, Entity, find_list
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.markers import DeletedFilter, Division, Findings, UndatedRows
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.api.query import (
    Filter,
    Triple,
    filter_text,
    include_names,
    window_conditions,
)
from airflow_provider_dotypos.transfers.arguments import check_choice
from airflow_provider_dotypos.transfers.rows.children import split_children
from airflow_provider_dotypos.transfers.rows.columns import Columns, Names, columns_of


@dataclass(frozen=True)
class Slice:
    """Some of a list's rows with a cursor, and all without one. What changes meanwhile is left to the next window.

    :param name: what the names of its streams begin with, so that no attempt takes them for all rows.
    """

    name: str
    condition: Triple


@dataclass(frozen=True)
class Selection:
    """What to read of a cloud. Made by `of`, which checks it.

    :param conditions: the filter's conditions.
    :param include: names of child lists to ask for.
    :param warehouse_id: for entities below a warehouse: the one to read; ``None`` for all.
    :param columns: of the entity's rows.
    :param children: columns of child lists that get tables of their own, by their entity.
    :param snapshot: whether to read only which rows exist.
    :param open_end: whether to read on from the window's end, until no row is missed that exists.
    :param asked_for: how the fields were chosen; a part of `shape`.
    :param division: how the rows are divided into streams. It has no part in `shape`: rows are of the same shape,
        however they were read.
    :param slice: which rows to read, if the set's others come from elsewhere; ``None`` for all.
    """

    entity: Entity
    cloud_id: int
    conditions: tuple[Triple, ...]
    include: tuple[str, ...]
    warehouse_id: str | None
    columns: Columns
    children: Mapping[str, Columns]
    snapshot: bool
    open_end: bool
    asked_for: tuple[object, ...]
    division: Division = field(default_factory=Division)
    slice: Slice | None = None

    @classmethod
    def of(
        cls,
        name: str,
        *,
        cloud_id: int,
        filter: Filter = None,
        include: str | None = None,
        warehouse_id: int | str | None = None,
        columns: Names = None,
        exclude: Names = None,
        personal_data: bool = True,
        flatten: bool = False,
        snapshot: bool = False,
        undated_rows: UndatedRows = "full",
        deleted_filter: DeletedFilter = "auto",
    ) -> Selection:
        """Return a selection of an entity's rows.

        :param flatten: whether included child lists get tables of their own.
        :param undated_rows: when rows without a cursor are read, see `Division`, like `deleted_filter`.
        :raises DotyposInputError: if the entity is unknown, the API doesn't allow the filter or the include on it, or
            arguments contradict each other.
        """
        entity = find_list(name)
        given = {"include": include or None, "columns": columns or None, "exclude": exclude or None}
        check_choice(**given, flatten=flatten, snapshot=snapshot)
        if snapshot:
            columns = ["id"]  # and with it the key, and the fields that order changes
        conditions = window_conditions(entity, filter)
        included = include_names(entity, include)
        chosen = columns_of(entity, included, columns=columns, exclude=exclude, personal_data=personal_data)
        if lost := set(included) - chosen.names:
            raise DotyposInputError(
                f"include asks for {', '.join(sorted(lost))}: don't leave it out with columns or exclude"
            )
        children: dict[str, Columns] = {}
        if flatten:
            children = {column.rows.entity: column.rows for column in chosen.columns if column.rows is not None}
            plain = tuple(column for column in chosen.columns if column.rows is None)
            chosen = dataclasses.replace(chosen, columns=plain)
        return cls(
            entity=entity,
            cloud_id=cloud_id,
            conditions=conditions,
            include=included,
            warehouse_id=entity.parent_id({"warehouse_id": warehouse_id}),
            columns=chosen,
            children=children,
            snapshot=snapshot,
            open_end=snapshot,
            asked_for=(
                sorted(split_names(columns, "columns")),
                sorted(split_names(exclude, "exclude")),
                personal_data,
                flatten,
                snapshot,
            ),
            division=Division(deleted_filter, undated_rows, Findings(cloud_id)),
        )

    @property
    def filter(self) -> str:
        """The filter in the API's grammar."""
        return filter_text(self.conditions)

    @property
    def tables(self) -> dict[str, Columns]:
        """The columns of each table, by its entity: of the rows, and of children with tables of their own."""
        return {self.entity.name: self.columns, **self.children}

    @property
    def lists(self) -> dict[str, Child]:
        """The included child lists, by their field."""
        return {name: self.entity.includes[name] for name in self.include}

    def split(self, rows: Sequence[msgspec.Raw]) -> tuple[dict[str, Sequence[msgspec.Raw]], Counter[str]]:
        """Return the tables' rows, and counts of what in them isn't a row, see `split_children`.

        The entity's own table is always there and first. A child list's is there if it has rows.
        """
        if not self.children:
            return {self.entity.name: rows}, Counter()
        cut = {name for name, columns in self.children.items() if not columns.whole}
        parents, children, misfits = split_children(rows, self.lists, cut)
        tables = {name: child_rows for name, child_rows in children.items() if child_rows and name in self.children}
        return {self.entity.name: parents, **tables}, misfits

    def shape(self, *written: str | None) -> str:
        """Return a digest of all that shapes the rows, to keep extractions of different shape apart.

        :param written: how the sink writes them, such as format and compression.
        """
        asked = [self.filter, ",".join(self.include), *written, self.warehouse_id, *self.asked_for]
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:8]


#: What is selected is checked without knowing the cloud, which has no part in it.
_ANY_CLOUD = 0


def check_selection(arguments: Mapping[str, Any]) -> Entity:
    """Return the entity among a transfer's `arguments`. Raise if it can't be read as far as the others among them say.

    :raises DotyposInputError: if it can't.
    """
    names = ["filter", "include", "warehouse_id", "personal_data"]
    if "include" in arguments:  # otherwise columns may name fields of any child list
        names += ["columns", "exclude"]
    known = {name: arguments[name] for name in names if name in arguments}
    return Selection.of(arguments["entity"], cloud_id=_ANY_CLOUD, **known).entity
