"""Databases and a connection to a sandbox, as tests of transfers have them."""

from __future__ import annotations

from tests.transfers.conftest import connection as connection
from tests.transfers.sql.conftest import mariadb_of_session as mariadb_of_session
from tests.transfers.sql.conftest import postgres_of_session as postgres_of_session
from tests.transfers.sql.conftest import warehouse as warehouse
from tests.transfers.sql.conftest import warehouse_of as warehouse_of
