"""Names of our own columns and tables in a database, and what the names of other tables can't be."""

from __future__ import annotations

from airflow_provider_dotypos.api.errors import DotyposInputError

#: The cloud's id, by naming: the first column of every table and of its key.
CLOUD_ID = {"snake": "cloud_id", "api": "_cloudId"}

#: When a row was read, by the database's clock: taken before its page was asked for.
READ_AT = "_read_at"

#: The load that wrote a row last.
LOAD_ID = "_load_id"

#: Fields without a column, and values that don't fit theirs: one JSON object.
UNKNOWN = "_unknown"

#: With ``deletes="mark"``: when a row was noted as removed; null of living rows.
REMOVED_AT = "_removed_at"

#: What the names of our own tables begin with.
OURS = "_dotypos_"

#: One row a load: what was loaded into a table, or is to be.
LOADS = "_dotypos_loads"

#: The ranges whose rows are staged. As durable as the staging tables: both are emptied together.
PARTS = "_dotypos_parts"

#: With ``deletes="remove"``: which versions of rows were removed, so that no older one comes back.
REMOVED = "_dotypos_removed"

#: What else is remembered of a table, as JSON: its watermark, the windows that tries have begun, and what was found out
#: about rows whose ``deleted`` is null.
STATE = "_dotypos_state"

#: What the names of staging tables begin with.
STAGING = "_dotypos_staging_"

#: What the view's name of a table's living rows ends with.
LIVE = "_live"


def check_table_name(name: str) -> None:
    """Raise if a table of rows can't have a name.

    :raises DotyposInputError: if it can't.
    """
    if "\0" in name:
        raise DotyposInputError(f"a table can't be named {name!r}")
    if "." in name:
        schema, _, table = name.rpartition(".")
        raise DotyposInputError(
            f"table is a name without its schema: not {name!r}, but {table!r} and schema={schema!r}"
        )
    if name.casefold().startswith(OURS):
        raise DotyposInputError(f"table can't be {name!r}: tables whose names begin with {OURS} are the loads' own")
