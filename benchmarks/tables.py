"""Our way to load a window into a table of PostgreSQL, and how tables are read back.

Each job has a schema of its own, which is dropped once it was read back.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stdout
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from benchmarks.child import Job
from benchmarks.orders import FIRST_ID, MAKES, iso

#: Columns whose values are compared with the rows of the source, and the API's names.
COMPARED = {
    "id": "id",
    "document_number": "documentNumber",
    "external_id": "externalId",
    "customer_id": "_customerId",
    "total_value_rounded": "totalValueRounded",
    "paid": "paid",
    "note": "note",
    "tags": "tags",
    "bkp": "bkp",
    "pkp": "pkp",
    "print_data": "printData",
    "canceled_date": "canceledDate",
    "created": "created",
    "version_date": "versionDate",
    "_unknown": None,
}


def ours(job: Job, database: str, **arguments: Any) -> dict[str, Any]:
    """Run the operator as a task does; return its result.

    :param database: where the server's socket is.
    :param arguments: further arguments of the operator.
    """
    from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator

    make_schema(job, database)
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(connection(database))
    orders = DotyposToSqlOperator(
        task_id="orders",
        entity="orders",
        conn_id="warehouse",
        schema=schema_of(job),
        since=iso(job.since),
        until=iso(job.until),
        settle=0,
        **arguments,
    )
    with redirect_stdout(sys.stderr):  # Airflow prints a notice that no task runs this
        return orders.execute({"ti": SimpleNamespace(try_number=1)})  # type: ignore[typeddict-item]


def check(job: Job, database: str, **_: Any) -> None:
    """Read the table back, and drop the schema.

    :raises AssertionError: if it doesn't hold each row once.
    """
    schema = schema_of(job)
    with connected(database) as cursor:
        cursor.execute(f"SELECT count(*), count(DISTINCT id), min(id::bigint), max(id::bigint) FROM {schema}.orders")
        found = cursor.fetchone()
        cursor.execute(f"DROP SCHEMA {schema} CASCADE")
        cursor.execute(f"DROP SCHEMA IF EXISTS {schema}_staging CASCADE")  # dlt's
    assert found == (job.rows, job.rows, FIRST_ID, FIRST_ID + job.rows - 1), f"{found}, not {job.rows} once each"


def differences(job: Job, database: str, moments: list[int], make: str) -> int:
    """Return how many rows of the table differ from the source's, with those missing and those too many."""
    columns = ", ".join(COMPARED)
    with connected(database) as cursor:
        cursor.execute(f"SELECT {columns} FROM {schema_of(job)}.orders ORDER BY id")
        rows = cursor.fetchall()
    expected = [as_stored(json.loads(MAKES[make](index, moment))) for index, moment in enumerate(moments)]
    held = {row[0]: row for row in rows}
    differing = sum(held.pop(row[0], None) != row for row in expected)
    return differing + len(held) + len(rows) - len({row[0] for row in rows})


def as_stored(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values that the compared columns of a row must have."""
    unknown = {name: row[name] for name in ("fiscalNumber", "channel") if name in row}
    values = {name: row[field] if field else unknown or None for name, field in COMPARED.items()}
    for name in ("id", "customer_id"):
        values[name] = int(values[name])
    for name in ("created", "version_date"):
        values[name] = datetime.fromisoformat(values[name].replace("Z", "+00:00"))
    values["total_value_rounded"] = Decimal(values["total_value_rounded"])
    return tuple(values.values())


def schema_of(job: Job) -> str:
    """Return the name of a job's schema."""
    return f"{job.folder.parent.name}_{job.folder.name}".replace("-", "_").lower()


def make_schema(job: Job, database: str) -> None:
    """Create a job's schema, unless it is there."""
    with connected(database) as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_of(job)}")


def connection(database: str) -> dict[str, Any]:
    """Return the Airflow connection of a server."""
    return {"conn_type": "postgres", "host": database, "login": "postgres", "schema": "postgres"}


@contextmanager
def connected(database: str) -> Iterator[Any]:
    """Give a cursor that commits each statement."""
    import psycopg2

    with closing(psycopg2.connect(host=database, user="postgres", dbname="postgres")) as link:
        link.autocommit = True
        with link.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            yield cursor
