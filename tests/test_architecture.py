"""The house's arrows: who may import whom, what stays pure, what stays light."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from demo import children

PACKAGE = Path(__file__).parents[1] / "airflow_provider_dotypos"

#: Where the modules lie that DAG files import.
IMPORTED_BY_DAGS = (
    "operators/[!_]*.py",
    "sensors/[!_]*.py",
    "triggers/[!_]*.py",
    "transfers/dotypos*.py",
    "transfers/manifest.py",
    "transfers/snapshots.py",
    "writes/sources/__init__.py",
    "lake/current.py",
    "hooks/dotypos.py",
    "notifications/failure.py",
    "assets.py",
    "retry_policies.py",
    "__init__.py",
)

#: Rooms, each with the rooms that it may import besides itself and the package's own `__version__`.
ARROWS = {
    "api": {"provider_info"},
    "storage": {"api"},
    "writes": {"storage", "api"},
    "hooks": {"writes", "storage", "api", "_airflow", "_compat", "provider_info"},
    "lake": {"transfers", "storage", "api", "_airflow", "_compat"},
    "operators": {"lake", "triggers", "writes", "storage", "sales", "transfers", "hooks", "api", "_airflow", "_compat"},
    "sales": {"lake", "transfers", "storage", "hooks", "api"},
    "transfers": {"hooks", "storage", "api", "_airflow", "_compat"},
    "connections": {"api", "_airflow", "_compat", "provider_info"},
    "connect": {"webhooks", "connections", "api", "_airflow", "_compat", "provider_info"},
    "notifications": {"hooks", "sales", "api", "_airflow", "_compat"},
    "triggers": {"hooks", "writes", "api", "_airflow", "_compat"},
    "sensors": {"triggers", "hooks", "api", "_airflow", "_compat"},
    "webhooks": {"connections", "api", "_airflow", "_compat", "assets", "provider_info"},
    "retry_policies": {"hooks", "api", "_compat"},
    "plugin": {"connect", "provider_info"},
    "sandbox": {"api"},
    "commands": {"lake", "storage", "connect", "connections", "sandbox", "transfers", "api", "_airflow", "_compat"},
    "cli": {"commands"},
    "exceptions": {"api", "lake", "writes", "sales", "transfers", "triggers"},
    "assets": {"triggers", "api", "provider_info"},
    "_compat": {"api", "provider_info"},
    "_airflow": {"api"},
    "provider_info": set(),
    # By its short names alone, when one is asked for.
    "__init__": {
        *("provider_info", "assets", "hooks", "lake", "notifications", "operators", "retry_policies", "sensors"),
        *("transfers", "triggers", "webhooks", "writes"),
    },
    "__main__": {"cli"},
}
#: Files that import more of Airflow than its SDK: what is the same in all versions. Only `_compat.py` knows versions.
STABLE = (
    "_airflow.py",
    "cli.py",
    "plugin.py",
    "hooks/failure_notes.py",
    "connections/stored.py",
    "connections/audit.py",
    "lake/task_instances.py",
    "webhooks/events.py",
    "transfers/lineage.py",
    "triggers/deferred_wait.py",
    "triggers/entity.py",
    "triggers/pos_action.py",
    "triggers/entity_event.py",
    "triggers/stock_taking.py",
    "webhooks/history.py",
)
PURE = (
    "addresses",
    "auth",
    "channel",
    "connector",
    "entities",
    "entity_table",
    "query",
    "errors",
    "exchange",
    "gate",
    "http",
    "blocks",
    "budget",
    "ledger",
    "meter",
    "spending",
    "steps",
    "refusals",
    "retry",
    "retry_table",
    "listing",
    "matching",
    "polls",
    "walk",
    "watch",
    "webhooks",
    "window",
    "page",
    "paths",
    "pos_actions",
    "pos_codes",
    "pos_errors",
    "settings",
    "till",
)
IO_LIBRARIES = {"requests", "urllib3", "socket", "http", "ssl", "asyncio", "aiohttp", "httpx", "subprocess", "pathlib"}


#: What takes long to import or isn't always installed, so that functions import it and what brings it in.
HEAVY = {
    *(
        "requests",
        "urllib3",
        "httpx",
        "tenacity",
        "pyarrow",
        "pandas",
        "fastapi",
        "starlette",
        "uvicorn",
        "sqlalchemy",
        "openlineage",
        "airflow",
    ),
    *("psycopg", "psycopg2", "MySQLdb", "duckdb", "sqlite3"),
    "wtforms",
}
#: Late imports that bring in nothing heavy, by file. The list only shrinks. (What an operator needs to run, and not for
#: its DAG to be parsed, takes as long to import as all the rest of it.)
LATE = {
    "__init__.py": {"provider_info"},
    "api/entities.py": {"api.entity_table"},
    "assets.py": {
        "api.entities",
        "api.errors",
        "api.list_uri",
        "api.names",
        "api.overrides",
        "api.query",
        "api.watch",
        "api.window",
    },
    "commands/connect.py": {"api.errors"},
    "commands/erase.py": {"transfers.sql.database"},
    "commands/watermark.py": {"transfers.sql.database"},
    "hooks/arguments.py": {"_compat"},
    # What a part of the hook needs is half of what the hook imports, and most DAGs use one part.
    "hooks/stock.py": {"writes.stock.items"},
    "hooks/writing.py": {"writes.planning.arguments"},
    "operators/erase_customer.py": {"transfers.sql.database"},
    "operators/freshness_check.py": {"sales.table_sales"},
    "operators/sales_check.py": {"transfers.sql.database"},
    "operators/sales_report_check.py": {"sales.table_sales"},
    "transfers/base.py": {"transfers.selection"},
    "transfers/task.py": {"hooks.failures", "transfers.crew", "transfers.watermark"},
    "transfers/object_storage.py": {"transfers.watermark"},
    "transfers/sql_tables.py": {
        "transfers.sql.database",
        "transfers.sql.ddl",
        "transfers.sql.errors",
        "transfers.sql.loads",
        "transfers.sql.location",
        "transfers.sql.names",
        "transfers.sql.place",
        "transfers.sql.sink",
        "transfers.sql.staging",
        "transfers.sql.state",
        "transfers.sql.tables",
        "transfers.watermark",
    },
    "transfers/entities.py": {"hooks.failures", "transfers.selection"},
    "transfers/files/formats/file_format.py": {"transfers.files.formats.jsonl"},
}


def imported(path: Path, *, late: bool | None = None) -> set[str]:
    """Return the names that a file imports.

    :param late: only those of functions, or only the others. Defaults to all, those for type checking included.
    """
    outside, inside = _imports(path)
    return outside | inside if late is None else inside if late else outside


@cache
def _imports(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that a file imports outside of functions, and in them."""
    names: tuple[set[str], set[str]] = (set(), set())
    nodes: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text()), False)]
    while nodes:
        node, late = nodes.pop()
        if isinstance(node, ast.Import):
            names[late].update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names[late].update({f"{node.module}.{alias.name}" for alias in node.names} | {node.module})
        elif not isinstance(node, ast.expr):  # no import is part of an expression
            late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            nodes += [(inner, late) for inner in ast.iter_child_nodes(node)]
    return frozenset(names[False]), frozenset(names[True])


@cache
def modules() -> dict[str, Path]:
    """Return the package's modules by name."""
    parts = {path: path.relative_to(PACKAGE.parent).with_suffix("").parts for path in files()}
    return {".".join(part for part in parts[path] if part != "__init__"): path for path in files()}


def among_modules(names: Iterable[str]) -> set[str]:
    """Return which of the imported names are the package's modules; what a package itself has counts as its own."""
    ours = {name for name in names if name in modules()}
    return ours - {name.rpartition(".")[0] for name in ours}


@cache
def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "example_dags" not in path.parts)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_arrows(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    inner = {name.split(".")[1] for name in imported(path) if name.startswith("airflow_provider_dotypos.")}
    assert inner - {room, "__version__", "get_provider_info"} <= ARROWS[room]


@pytest.mark.parametrize(("room", "other"), [("page", "terminal"), ("terminal", "page")])
def test_the_page_and_the_terminal_do_not_know_each_other(room: str, other: str) -> None:
    names = {name for path in (PACKAGE / "connect" / room).glob("*.py") for name in imported(path)}
    assert not [name for name in names if f"{name}.".startswith(f"airflow_provider_dotypos.connect.{other}.")]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_one_file_knows_airflow_versions(path: Path) -> None:
    outer = {name for name in imported(path) if name == "airflow" or name.startswith("airflow.")}
    room = path.relative_to(PACKAGE).parts[0]
    if room in ("api", "sandbox"):
        assert not outer
    if str(path.relative_to(PACKAGE)) not in ("_compat.py", *STABLE):
        assert {name for name in outer if not name.startswith("airflow.sdk")} == set()
        stable = {
            "BaseHook",
            "BaseNotifier",
            "BaseOperator",
            "BaseOperatorLink",
            "BaseSensorOperator",
            "PokeReturnValue",
            "ObjectStoragePath",
            "Context",
            "Connection",
            "Asset",
            "AssetWatcher",
        }
        assert {name for name in outer if name != "airflow.sdk"} <= {f"airflow.sdk.{name}" for name in stable}


def test_no_import_circle_exists() -> None:
    """Imports for type checking and those in functions count: a reader of one module reads the other as well.

    The package's own ``__init__`` doesn't: modules take nothing but the version from it (`ARROWS`), and no short name.
    """
    graph = {name: among_modules(imported(path)) - {name, PACKAGE.name} for name, path in modules().items()}
    TopologicalSorter(graph).prepare()


@cache
def is_heavy(module: str) -> bool:
    """Return whether importing one of the package's modules brings in what takes long."""
    names = imported(modules()[module], late=False)
    return bool({name.split(".")[0] for name in names} & (HEAVY - {"airflow"})) or any(
        is_heavy(name) for name in among_modules(names) - {module, PACKAGE.name}
    )


def test_functions_import_only_what_takes_long() -> None:
    late = {}
    for path in files():
        names = imported(path, late=True)
        ours = among_modules(names)
        outer = {name for name in names if not name.startswith("airflow_provider_dotypos")}
        light = {name.removeprefix("airflow_provider_dotypos.") for name in ours if not is_heavy(name)}
        light |= {name for name in outer if not {name, name.split(".")[0]} & HEAVY}
        if light:
            late[str(path.relative_to(PACKAGE))] = light
    assert late == LATE


def test_one_knows_where_the_tests_of_a_module_are() -> None:
    """They are in a file of its name, or in one whose docstring names it: `page`, `api.page` or `api/page.py`."""
    tests = list((PACKAGE.parent / "tests").rglob("test_*.py"))
    docstrings = " ".join(text for path in tests for text in re.findall(r'\A"""(.*?)"""', path.read_text(), re.S))
    named = {path.stem.removeprefix("test_") for path in tests}
    named |= {name.removesuffix(".py").replace("/", ".") for name in re.findall(r"`([\w./]+)`", docstrings)}
    without = set()
    for path in files():
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if path.stem != "__init__" and not named & {".".join(parts[i:]) for i in range(len(parts))}:
            without.add(path.relative_to(PACKAGE).as_posix())
    assert without == set()


@pytest.mark.parametrize("name", PURE)
def test_pure_files_import_no_io(name: str) -> None:
    assert not {found.split(".")[0] for found in imported(PACKAGE / "api" / f"{name}.py")} & IO_LIBRARIES


def test_one_file_for_threads_and_one_for_loops_touch_the_network() -> None:
    touching = {path.stem for path in (PACKAGE / "api").glob("*.py") if {"urllib3", "httpx"} & imported(path)}
    assert touching == {"transport", "aclient"}


def test_importing_what_dags_import_brings_in_nothing_heavy() -> None:
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for pattern in IMPORTED_BY_DAGS
        for path in sorted(PACKAGE.glob(pattern))
    ]
    assert {"airflow_provider_dotypos.operators.write", "airflow_provider_dotypos.writes.sources"} <= set(modules)
    code = (
        "import importlib, sys, airflow.sdk\n"
        "airflow.sdk.BaseOperator, airflow.sdk.BaseHook\n"
        "seen = set(sys.modules)\n"
        f"for module in {modules}:\n"
        "    importlib.import_module(module)\n"
        "    print(module, *({name.split('.')[0] for name in set(sys.modules) - seen} | set(sys.modules) - seen))\n"
        "    seen |= set(sys.modules)\n"
    )
    done = children.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = HEAVY - {"airflow"} | {"airflow.models"}
    added = {line.split()[0]: set(line.split()[1:]) & heavy for line in done.stdout.splitlines()[-len(modules) :]}
    assert added == {module: set() for module in modules}


def test_the_plugin_is_light_for_the_workers_that_load_it() -> None:
    code = (
        "import sys, airflow.plugins_manager\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_dotypos.plugin\n"
        "print(' '.join(set(sys.modules) - before))"
    )
    added = children.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {name.split(".")[0] for name in added} == {"airflow_provider_dotypos"}


def test_the_metadata_imports_nothing() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        "import airflow_provider_dotypos as p\np.get_provider_info()\n"
        "print(' '.join({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    added = set(children.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert added <= {"airflow_provider_dotypos"} | set(sys.stdlib_module_names)


def test_no_file_holds_more_than_one_idea() -> None:
    long = {
        str(path.relative_to(PACKAGE))
        for path in files()
        if path.name != "entity_table.py" and len(path.read_text().splitlines()) > 400
    }
    assert long == set()


def test_a_docstring_has_one_field_a_line() -> None:
    """docutils reads a second field on a line as text of the first, so editors and Sphinx lose it."""
    field = r":(param|ivar|raises|return)\b[^:]*:"
    twice = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.match(rf"\s*{field}.*\s{field}", line) or re.fullmatch(rf"\s*{field}\s*", line)
    ]
    assert twice == []
