"""Tables are made ready on real databases, or refused (`ddl`, `existing`, `reflection`, `own_tables`)."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import cloud_lists
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.ddl import prepare
from airflow_provider_dotypos.transfers.sql.dialects.sqlite import Sqlite
from airflow_provider_dotypos.transfers.sql.errors import DotyposDatabaseError
from airflow_provider_dotypos.transfers.sql.merge import lock_tables
from airflow_provider_dotypos.transfers.sql.names import OURS
from airflow_provider_dotypos.transfers.sql.reflection import Existing, ExistingType
from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlKind, SqlTable
from tests.transfers.sql.databases import MariaDb, Warehouse, embedded
from tests.transfers.sql.test_tables import table_of

EVERYTHING = {"create": True, "alter": True, "indexes": True}


def make_ready(
    *tables: SqlTable, own_schema: str | None = None, create: bool = True, alter: bool = True, indexes: bool = True
) -> list[str]:
    """Make tables ready in the database that Airflow knows as ``warehouse``; return the statements that changed it."""
    with closing(Database.of("warehouse", 1)) as database, database.transaction() as transaction:
        changes: list[str] = []
        execute = transaction.execute

        def listening(sql: str, parameters: Sequence[Any] = ()) -> int:
            changes.append(sql)
            return execute(sql, parameters)

        transaction.execute = listening  # type: ignore[method-assign]
        prepare(transaction, database.dialect, tables, own_schema, create=create, alter=alter, indexes=indexes)
        transaction.execute = execute  # type: ignore[method-assign]
    return changes


def existing_table(name: str, schema: str | None = None) -> Existing:
    with closing(Database.of("warehouse", 1)) as database, database.transaction() as transaction:
        existing = database.dialect.existing(transaction, schema, name)
    assert existing is not None
    return existing


def quoted(warehouse: Warehouse, *names: str) -> str:
    mark = "`" if warehouse.kind == "mysql" else '"'
    return ".".join(mark + name.replace(mark, mark * 2) + mark for name in names)


def test_all_entities_get_tables_and_a_second_load_changes_nothing(warehouse: Warehouse) -> None:
    naming = "api" if warehouse.kind == "postgres" else "snake"  # it alone tells capitals from small letters
    tables = [table_of(entity, naming=naming, deletes=deletes) for entity, deletes in _every()]
    assert make_ready(*tables)
    assert {table.name for table in tables} <= warehouse.tables()
    assert {"products_live", "orders_live", "_dotypos_loads", "_dotypos_parts"} <= warehouse.tables()
    assert make_ready(*tables) == []
    for table in tables:
        assert existing_table(table.name).names == table.names


def _every() -> Iterator[tuple[str, str]]:
    yield from zip(["clouds", *cloud_lists()], itertools.cycle(["mark", "keep"]), strict=False)


def test_the_view_of_living_rows_has_those_that_are_neither_deleted_nor_removed(warehouse: Warehouse) -> None:
    make_ready(table_of("tags"))
    table, view = quoted(warehouse, "tags"), quoted(warehouse, "tags_live")
    for id, deleted, removed in [
        (1, "FALSE", "NULL"),
        (2, "TRUE", "NULL"),
        (3, "FALSE", "'2026-01-01'"),
        (4, "NULL", "NULL"),
    ]:
        warehouse.execute(
            f"INSERT INTO {table} (cloud_id, id, deleted, _removed_at, _read_at, _load_id) "
            f"VALUES (1, {id}, {deleted}, {removed}, '2026-01-01', 'l')"
        )
    assert warehouse.rows(f"SELECT id FROM {view} ORDER BY id") == [(1,), (4,)]  # a null says nothing of a deletion


def test_a_table_whose_rows_all_live_gets_no_view_nor_does_one_of_versions(warehouse: Warehouse) -> None:
    """An old version of a row that was deleted meanwhile looks alive."""
    make_ready(table_of("order-items", deletes="keep"), table_of("tags", deletes="keep", versions=True))
    assert {"order_items", "tags"} <= warehouse.tables()
    assert not {"order_items_live", "tags_live"} & warehouse.tables()


def test_columns_are_added_at_the_end_and_views_stay(warehouse: Warehouse) -> None:
    whole = table_of("tags", deletes="mark")
    narrow = table_of("tags", deletes="keep")
    narrow = replace(
        narrow, columns=tuple(c for c in narrow.columns if c.name not in ("name", "version_date")), indexes=()
    )
    make_ready(narrow)
    table = quoted(warehouse, "tags")
    warehouse.execute(
        f"INSERT INTO {table} (cloud_id, id, _read_at, _load_id) VALUES (1, 7, '2026-01-01', 'l')",
        f"CREATE VIEW mine AS SELECT id FROM {table}",
    )
    changes = make_ready(whole)
    names = existing_table("tags").names
    assert names == (*narrow.names, "name", "version_date", "_removed_at")
    assert existing_table("tags_live").names == names
    assert all(column.nullable for column in existing_table("tags").columns[-3:])
    assert warehouse.rows("SELECT id FROM mine") == warehouse.rows("SELECT id FROM tags_live") == [(7,)]
    warehouse.execute(f"UPDATE {table} SET _removed_at = '2026-01-02'")
    assert warehouse.rows("SELECT id FROM tags_live") == []
    assert not [change for change in changes if change.startswith(("DROP TABLE", "DROP COLUMN"))]
    assert make_ready(whole) == []
    assert make_ready(narrow) == []  # what a load doesn't fill may be there


def test_a_view_that_somebody_has_made_stays(warehouse: Warehouse) -> None:
    warehouse.execute("CREATE TABLE t (id INTEGER)", "CREATE VIEW tags_live AS SELECT id FROM t")
    narrow = table_of("tags", deletes="keep")
    make_ready(narrow)
    make_ready(table_of("tags", deletes="mark"))
    assert existing_table("tags_live").names == ("id",)


def test_a_table_gets_its_view_with_the_first_column_that_shows_who_lives(warehouse: Warehouse) -> None:
    """The first load may have asked for fewer columns. A view that was dropped stays away."""
    whole, narrow = table_of("tags", deletes="mark"), table_of("tags", deletes="keep")
    make_ready(replace(narrow, columns=tuple(c for c in narrow.columns if c.name != "deleted")))
    assert "tags_live" not in warehouse.tables()
    make_ready(narrow)
    assert existing_table("tags_live").names == existing_table("tags").names
    warehouse.execute(f"DROP VIEW {quoted(warehouse, 'tags_live')}")
    make_ready(whole)
    assert "tags_live" not in warehouse.tables()


#: Columns of types that are narrower than ours, in the order of the columns of the next test. Our own time is in
#: microseconds.
NARROW: Mapping[str, Sequence[str]] = {
    "postgres": ["integer", "varchar(20)", "numeric(10,2)", "timestamp", "json", "varchar(10)[]", "timestamptz(0)"],
    "mysql": ["int", "varchar(20)", "decimal(10,2)", "timestamp(3) NULL", "blob", "text", "datetime"],
    "duckdb": ["INTEGER", "INTEGER", "DECIMAL(10,2)", "TIMESTAMP", "BLOB", "INTEGER[]", "DATE"],
    "sqlite": ["TEXT", "INTEGER", "REAL", "NUMERIC", "JSON", "INTEGER", "DATETIME"],
}


def _hides_generated(warehouse: Warehouse) -> bool:
    """Whether a generated column shows as one with a default: in DuckDB before 2.0. There the load itself fails."""
    if warehouse.kind != "duckdb":
        return False
    ((version,),) = warehouse.rows("SELECT version()")
    return bool(version.startswith(("v0.", "v1.")))


def test_all_differences_of_an_existing_table_are_in_one_error(warehouse: Warehouse) -> None:
    narrow = zip(
        ["category_id", "name", "price_with_vat", "version_date", "translated_name", "tags", "_read_at"],
        NARROW[warehouse.kind],
        strict=True,
    )
    columns = [
        "cloud_id BIGINT NOT NULL",
        "id BIGINT NOT NULL",
        *(f"{name} {kind}" for name, kind in narrow),
        "display BOOLEAN NOT NULL",
        "mine INTEGER NOT NULL",
        "yours INTEGER DEFAULT 1 NOT NULL",
        "ours INTEGER",
        "external_id BIGINT UNIQUE",
        f"points BIGINT GENERATED ALWAYS AS (id + 1) {'VIRTUAL' if warehouse.kind == 'duckdb' else 'STORED'}",
    ]
    warehouse.execute(f"CREATE TABLE products ({', '.join(columns)})")
    before = existing_table("products")
    with pytest.raises(DotyposInputError) as raised:
        make_ready(table_of("products"), alter=False)
    first, *listed, last = re.split(r"\. (?=Table |Change )", str(raised.value))
    assert "nothing was read" in first
    assert "Change them" in last
    faults = "\n".join(line.removeprefix(f"Table {quoted(warehouse, 'products')}: ") for line in listed)
    for name in ("category_id", "name", "price_with_vat", "version_date", "translated_name", "tags", "_read_at"):
        assert re.search(rf"^.{name}. is .*, which doesn't hold all of ", faults, re.MULTILINE), name
    assert re.search(r"^.display. is NOT NULL, but the API may give none$", faults, re.MULTILINE)
    assert re.search(r"^.mine. is NOT NULL without a default, and no load fills it$", faults, re.MULTILINE)
    if not _hides_generated(warehouse):
        assert re.search(r"^.points. is generated, but loads fill it$", faults, re.MULTILINE)
    assert re.search(r"^it has no unique key over \(.cloud_id., .id.\)$", faults, re.MULTILINE)
    assert re.search(r"^the unique key .* over \(.external_id.\) must go", faults, re.MULTILINE)
    assert re.search(r"^it has no .branch_id.|^it has no .*.allergens., ", faults, re.MULTILINE)
    assert len(listed) == len(set(listed)) >= 13
    assert not re.search(r"\W(yours|ours)\W", faults)
    assert existing_table("products") == before
    assert warehouse.tables() == {"products"}


def test_a_table_that_lacks_nothing_but_columns_gets_them_only_if_it_may(warehouse: Warehouse) -> None:
    warehouse.execute("CREATE TABLE tags (cloud_id BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (id, cloud_id))")
    for given in ({"alter": False}, {"create": False}):
        with pytest.raises(DotyposInputError, match=r"tags.: it has no .deleted., .*._load_id., ._unknown.\. Change"):
            make_ready(table_of("tags", deletes="keep"), **given)
    make_ready(table_of("tags", deletes="keep"))
    assert existing_table("tags").names == table_of("tags", deletes="keep").names


#: Types that hold more than ours and lose nothing, in the same order.
WIDE: Mapping[str, Sequence[str]] = {
    "postgres": ["numeric", "varchar", "numeric(60,20)", "timestamptz(6)", "jsonb", "text[]", "timestamptz"],
    "mysql": ["decimal(30,5)", "longtext", "decimal(50,20)", "datetime(3)", "json", "json", "datetime(6)"],
    "duckdb": ["HUGEINT", "VARCHAR", "DECIMAL(38,18)", "TIMESTAMPTZ", "VARCHAR", "VARCHAR[]", "TIMESTAMPTZ"],
    "sqlite": ["NUMERIC", "VARCHAR(5)", "DECIMAL(4,1)", "", "TEXT", "CLOB", "TEXT"],
}


def test_wider_types_that_lose_nothing_pass(warehouse: Warehouse) -> None:
    names = ["category_id", "name", "price_with_vat", "version_date", "translated_name", "tags", "_read_at"]
    columns = [f"{name} {kind}" for name, kind in zip(names, WIDE[warehouse.kind], strict=True)]
    warehouse.execute(
        f"CREATE TABLE products (cloud_id BIGINT NOT NULL, id BIGINT NOT NULL, {', '.join(columns)}, "
        "UNIQUE (cloud_id, id), UNIQUE (cloud_id, id, category_id))"
    )
    before = existing_table("products").columns
    make_ready(table_of("products"))
    assert existing_table("products").columns[: len(before)] == before


def test_a_table_that_is_missing_is_named_if_it_may_not_be_created(warehouse: Warehouse) -> None:
    with pytest.raises(
        DotyposInputError, match=r"Table .orders.: it doesn't exist, and create is False\. Table .tags.: it "
    ):
        make_ready(table_of("orders"), table_of("tags"), create=False)
    assert warehouse.tables() == set()


def test_a_view_is_no_table(warehouse: Warehouse) -> None:
    warehouse.execute("CREATE TABLE t (id INTEGER)", "CREATE VIEW tags AS SELECT id FROM t")
    with pytest.raises(DotyposInputError, match=r"tags.: it isn't a table\."):
        make_ready(table_of("tags"))


def test_a_foreign_key_is_refused(warehouse: Warehouse) -> None:
    if warehouse.kind == "sqlite":
        pytest.skip("SQLite checks foreign keys only if a connection asks for it, and loads don't")
    warehouse.execute(
        "CREATE TABLE c (id BIGINT PRIMARY KEY)",
        "CREATE TABLE tags (cloud_id BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (cloud_id, id), "
        "FOREIGN KEY (id) REFERENCES c (id))",
    )
    with pytest.raises(DotyposInputError, match=r"the foreign key .* must go"):
        make_ready(table_of("tags"))


def test_a_schema_that_does_not_exist_is_named(warehouse: Warehouse) -> None:
    title = "MySQL|PostgreSQL|SQLite|DuckDB"
    with pytest.raises(DotyposInputError, match=rf"({title}) has no schema 'nowhere': create it"):
        make_ready(replace(table_of("tags"), schema="nowhere"))
    with pytest.raises(DotyposInputError, match="has no schema 'nowhere'"):
        make_ready(table_of("tags"), own_schema="nowhere")
    assert warehouse.tables() == set()


#: A reserved word, what would break out of quotes or be taken for a parameter, letters of two bytes, and 63 bytes.
ODD_NAMES = [
    "order",
    "a\"b`c'd; DROP TABLE victim; -- %s ? :x %(y)s",
    "prodej_žluťoučký_kůň",
    "n" * 63,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names_like_others(warehouse: Warehouse, name: str) -> None:
    warehouse.execute("CREATE TABLE victim (id INTEGER)")
    table = table_of("tags", name=name)
    make_ready(table)
    assert existing_table(name).names == table.names
    assert make_ready(table) == []
    assert {name, "victim"} <= warehouse.tables()
    narrow = replace(table, columns=(*table.columns, replace(table.columns[1], name=name, required=False)))
    make_ready(narrow)
    assert existing_table(name).names == (*table.names, name)


@pytest.mark.parametrize("name", ODD_NAMES[:2])
def test_odd_names_of_schemas_are_names_like_others(warehouse: Warehouse, name: str) -> None:
    if warehouse.kind == "sqlite":
        pytest.skip("a file of SQLite has one schema, main")
    warehouse.execute("CREATE TABLE victim (id INTEGER)", f"CREATE SCHEMA {quoted(warehouse, name)}")
    table = replace(table_of("tags"), schema=name)
    make_ready(table, own_schema=name)
    assert existing_table("tags", name).names == table.names
    assert make_ready(table, own_schema=name) == []
    assert "victim" in warehouse.tables()
    warehouse.execute(f"DROP SCHEMA {quoted(warehouse, name)}{'' if warehouse.kind == 'mysql' else ' CASCADE'}")


def test_the_schema_of_a_file_of_sqlite_is_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = embedded("sqlite", tmp_path)
    warehouse.store(monkeypatch)
    table = replace(table_of("tags"), schema="main")
    make_ready(table, own_schema="main")
    assert {"tags", "tags_live", "_dotypos_loads"} <= warehouse.tables()
    assert make_ready(table_of("tags")) == []


def test_names_that_a_database_would_cut_are_refused(warehouse: Warehouse) -> None:
    table = replace(table_of("tags"), name="ž" * 40)
    too_long = {"postgres": True, "mysql": False, "sqlite": False, "duckdb": False}
    if too_long[warehouse.kind]:
        with pytest.raises(DotyposInputError, match="at most 63 bytes"):
            make_ready(table)
    else:
        make_ready(table)
    if warehouse.kind in ("postgres", "mysql"):
        with pytest.raises(DotyposInputError, match=r"at most \d+ (bytes|characters): 'nnn.* is too long"):
            make_ready(table_of("tags", name="n" * 65))


def test_a_view_whose_name_would_be_cut_is_not_made(postgres: Warehouse) -> None:
    make_ready(table_of("tags", name="n" * 59))
    assert "n" * 59 in postgres.tables()
    assert not [name for name in postgres.tables() if name.endswith(("_live", "_liv"))]


def test_tasks_that_begin_at_once_create_each_table_once(warehouse: Warehouse) -> None:
    failures: list[BaseException] = []
    tables = [table_of("tags"), table_of("orders")]

    def begin() -> None:
        try:
            with closing(Database.of("warehouse", 1)) as database:
                database.run(lambda transaction: prepare(transaction, database.dialect, tables, None, **EVERYTHING))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=begin) for _ in range(1 if warehouse.kind == "duckdb" else 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {"tags", "orders"} <= warehouse.tables()


# PostgreSQL's roles and what else only it has -------------------------------------------------------------------------


def test_a_role_that_may_create_nothing_loads_into_tables_that_exist(
    postgres: Warehouse, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DotyposDatabaseError, match=r"42501 .*CREATE in the schema or in staging_schema"):
        make_ready(table_of("tags"))
    postgres.execute(f"CREATE SCHEMA staging_{role} AUTHORIZATION {role}")
    with pytest.raises(DotyposInputError, match=r"tags.: it doesn't exist, and create is False"):
        make_ready(table_of("tags"), own_schema=f"staging_{role}", create=False)
    as_admin(postgres, monkeypatch, role, lambda: make_ready(table_of("tags")))
    with pytest.raises(DotyposInputError, match=r"tags.: the role lacks SELECT, INSERT, UPDATE on it"):
        make_ready(table_of("tags"), own_schema=f"staging_{role}", create=False)
    postgres.execute(f"GRANT SELECT, INSERT, UPDATE ON tags TO {role}")
    changes = make_ready(table_of("tags"), own_schema=f"staging_{role}", create=False)
    assert changes
    assert all(f'"staging_{role}"."{OURS}' in change for change in changes)
    assert make_ready(table_of("tags"), own_schema=f"staging_{role}") == []  # nothing is to be created


def as_admin(postgres: Warehouse, monkeypatch: pytest.MonkeyPatch, role: str, work: Callable[[], object]) -> None:
    postgres.store(monkeypatch)
    work()
    replace(postgres, connection={**postgres.connection, "login": role}).store(monkeypatch)


def test_only_the_owner_can_add_columns(postgres: Warehouse, role: str) -> None:
    postgres.execute(
        "CREATE TABLE tags (cloud_id bigint, id bigint, PRIMARY KEY (cloud_id, id))",
        f"GRANT SELECT, INSERT, UPDATE ON tags TO {role}",
    )
    with pytest.raises(DotyposInputError, match=r'it has no "deleted", .*, and only its owner may add them'):
        make_ready(table_of("tags"))


def test_grants_stay_when_columns_are_added(postgres: Warehouse) -> None:
    narrow = table_of("tags", deletes="keep")
    make_ready(replace(narrow, columns=tuple(column for column in narrow.columns if column.name != "name")))
    postgres.execute("CREATE ROLE reader", "GRANT SELECT ON tags, tags_live TO reader")
    make_ready(table_of("tags", deletes="mark"))
    granted = postgres.rows(
        "SELECT table_name FROM information_schema.role_table_grants WHERE grantee = 'reader' ORDER BY table_name"
    )
    postgres.execute("DROP OWNED BY reader", "DROP ROLE reader")
    assert granted == [("tags",), ("tags_live",)]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("ALTER TABLE tags SET UNLOGGED", "it is UNLOGGED, so a crash would empty it"),
        ("CREATE UNIQUE INDEX lower_name ON tags (lower(name))", "unique key .*lower_name over an expression must go"),
        ("ALTER TABLE tags DROP CONSTRAINT tags_pkey, ADD UNIQUE (id, cloud_id) DEFERRABLE", "no unique key over"),
        (
            "ALTER TABLE tags DROP CONSTRAINT tags_pkey; CREATE UNIQUE INDEX ON tags (cloud_id, id) WHERE id > 0",
            "no unique key over",
        ),
        ("ALTER TABLE tags ALTER id TYPE numeric(10,-2)", "numeric.10,-2., which doesn't hold all of bigint"),
        ("CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TABLE tags ADD name_ mood NOT NULL", "NOT NULL without a default"),
        ("ALTER TABLE tags ALTER name TYPE varchar(400)", "which doesn't hold all of text"),
    ],
)
def test_what_would_lose_rows_in_postgresql_is_refused(postgres: Warehouse, change: str, fault: str) -> None:
    make_ready(table_of("tags"))
    postgres.execute("DROP VIEW tags_live", change)
    with pytest.raises(DotyposInputError, match=fault):
        make_ready(table_of("tags"))


def test_a_task_that_adds_columns_waits_for_a_merge_without_holding_up_readers(postgres: Warehouse) -> None:
    whole = table_of("tags", deletes="mark")
    make_ready(table_of("tags", deletes="keep"))
    with closing(Database.of("warehouse", 2)) as database, database.transaction() as merging:
        lock_tables(merging, database.dialect, [whole], None)
        merging.execute("UPDATE tags SET name = 'a'")
        adding = threading.Thread(target=make_ready, args=[whole])
        adding.start()
        while not postgres.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"):
            assert adding.is_alive()
        assert postgres.rows("SELECT count(*) FROM tags") == [(0,)]
        assert postgres.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'") == []
    adding.join()
    assert "_removed_at" in existing_table("tags").names


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("ALTER TABLE tags ENGINE = MyISAM", "its engine MyISAM has no transactions"),
        ("ALTER TABLE tags CONVERT TO CHARACTER SET latin1", "longtext character set latin1, which doesn't hold all"),
        ("ALTER TABLE tags MODIFY id bigint unsigned NOT NULL", "unsigned, which doesn't hold all of bigint"),
        ("CREATE UNIQUE INDEX part ON tags (name(5))", r"unique key part over \(.name.\) must go"),
    ],
)
def test_what_would_lose_rows_in_mysql_is_refused(
    mariadb_of_session: MariaDb, monkeypatch: pytest.MonkeyPatch, change: str, fault: str
) -> None:
    mysql = mariadb_of_session.warehouse()
    mysql.store(monkeypatch)
    make_ready(table_of("tags"))
    mysql.execute(change)
    with pytest.raises(DotyposInputError, match=fault):
        make_ready(table_of("tags"))


def test_a_table_of_versions_and_one_of_rows_are_not_taken_for_each_other(warehouse: Warehouse) -> None:
    make_ready(table_of("tags"), table_of("orders", versions=True))
    with pytest.raises(DotyposInputError, match=r"no unique key over \(.cloud_id., .id., ._read_at.\)\. .* must go"):
        make_ready(table_of("tags", versions=True))
    with pytest.raises(DotyposInputError, match=r"no unique key over \(.cloud_id., .id.\)\."):
        make_ready(table_of("orders"))


def test_our_own_tables_lie_in_the_schema_of_staging_and_the_parts_are_as_lasting_as_staging(
    postgres: Warehouse,
) -> None:
    make_ready(table_of("tags"))
    persistence = dict(postgres.rows("SELECT relname, relpersistence FROM pg_class WHERE relname LIKE '\\_dotypos%'"))
    assert persistence["_dotypos_parts"] in ("u", b"u")
    assert persistence["_dotypos_loads"] in ("p", b"p")


# Types as databases spell them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "sizes"),
    [
        ("bigint", "bigint", ()),
        ("numeric(10,2)", "numeric", (10, 2)),
        ("DECIMAL(38, 18)", "decimal", (38, 18)),
        ("timestamp(3) with time zone", "timestamp with time zone", (3,)),
        ("character varying(10)[]", "character varying[]", (10,)),
        ("int(10) unsigned", "int unsigned", (10,)),
        ("enum('a(','b')", "enum('a(','b')", ()),
        ("", "", ()),
    ],
)
def test_types_are_read_with_their_sizes(text: str, name: str, sizes: tuple[int, ...]) -> None:
    assert ExistingType.of(text) == (name, sizes)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("strict integer", {"long", "int", "boolean"}),
        ("strict text", {"timestamp", "text", "texts", "ints", "json", "name"}),
        ("strict any", set(Sqlite.types)),
        ("strict real", set()),
        ("blob", set(Sqlite.types)),
        ("double precision", set()),
    ],
)
def test_types_of_sqlite_are_affinities_unless_a_table_is_strict(text: str, kinds: set[SqlKind]) -> None:
    columns = [SqlColumn("c", kind) for kind in Sqlite.types]
    assert {column.kind for column in columns if Sqlite().holds(ExistingType.of(text), column)} == kinds
