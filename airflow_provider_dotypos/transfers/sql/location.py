"""Where a database's tables are, as assets name it: ``postgres://host:port/database/schema/table``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.database import Database
    from airflow_provider_dotypos.transfers.sql.tables import SqlTable


@dataclass(frozen=True)
class Location:
    """Where the tables of a connection are.

    Providers of PostgreSQL and MySQL have these URIs. Those of SQLite and DuckDB have none, so their files' paths take
    the place of server and database.

    :param scheme: of the assets' URIs.
    :param server: host and port; empty for a file.
    :param names: the database's name, or its file's path, and the schema of tables that name none.
    """

    scheme: str
    server: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, database: Database) -> Location:
        """Ask a database for its names."""
        dialect = database.dialect
        (names,) = database.run(lambda transaction: transaction.rows(dialect.location))
        server = "" if dialect.embedded else _server(database.host, database.port or dialect.port)
        return cls(dialect.scheme, server, tuple(str(name) for name in names))

    def uri(self, table: SqlTable) -> str:
        """Return the URI of a table's asset."""
        names = self.names if table.schema is None else (*self.names[:-1], table.schema)
        path = "/".join(quote(name.removeprefix("/"), safe="/" if name.startswith("/") else "") for name in names)
        return f"{self.scheme}://{self.server}/{path}/{quote(table.name, safe='')}"


def _server(host: str | None, port: int | None) -> str:
    """Return host and port. A socket's folder is one of this machine, as is no host."""
    local = not host or host.startswith(("/", "@"))
    return f"{'localhost' if local else host}:{port}".lower()
