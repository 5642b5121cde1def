"""The house's arrows: who may import whom, what stays pure, what stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "airflow_provider_dotypos"

#: Rooms, each with the rooms that it may import besides itself and the package's own `__version__`.
ARROWS = {
    "api": set(),
    "hooks": {"api", "_compat", "provider_info"},
    "operators": {"hooks", "api", "_compat"},
    "transfers": {"hooks", "api", "_compat"},
    "connections": {"api", "_compat", "provider_info"},
    "connect": {"connections", "api", "_compat", "provider_info"},
    "plugin": {"connect"},
    "sandbox": {"api"},
    "commands": {"connect", "connections", "sandbox", "api", "_compat"},
    "cli": {"commands"},
    "exceptions": {"api"},
    "_compat": {"api", "provider_info"},
    "provider_info": set(),
    "__init__": {"provider_info"},
    "__main__": {"cli"},
}
#: Files that use Airflow's own models, which are where they are in all versions.
MODELS = ("connections/stored.py", "connections/audit.py", "plugin.py")
PURE = (
    *("entities", "entity_table", "query", "errors", "walk", "window", "page", "paths", "settings", "connector"),
    *("http", "auth", "gate", "retry", "channel", "exchange"),
)
IO_LIBRARIES = {"requests", "urllib3", "socket", "http", "ssl", "asyncio", "aiohttp", "httpx", "subprocess", "pathlib"}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "example_dags" not in path.parts)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_arrows(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    inner = {name.split(".")[1] for name in imported(path) if name.startswith("airflow_provider_dotypos.")}
    assert inner - {room, "__version__", "get_provider_info"} <= ARROWS[room]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_one_file_knows_airflow_versions(path: Path) -> None:
    outer = {name for name in imported(path) if name == "airflow" or name.startswith("airflow.")}
    room = path.relative_to(PACKAGE).parts[0]
    if room in ("api", "sandbox"):
        assert not outer
    if path.name not in ("_compat.py", "cli.py") and str(path.relative_to(PACKAGE)) not in MODELS:
        assert {name for name in outer if not name.startswith("airflow.sdk")} == set()
        stable = {
            "BaseHook",
            "BaseOperator",
            "BaseSensorOperator",
            "ObjectStoragePath",
            "Context",
            "Connection",
            "Asset",
        }
        assert {name for name in outer if name != "airflow.sdk"} <= {f"airflow.sdk.{name}" for name in stable}


@pytest.mark.parametrize("name", PURE)
def test_pure_files_import_no_io(name: str) -> None:
    assert not {found.split(".")[0] for found in imported(PACKAGE / "api" / f"{name}.py")} & IO_LIBRARIES


def test_one_file_for_threads_and_one_for_loops_touch_the_network() -> None:
    touching = {path.stem for path in (PACKAGE / "api").glob("*.py") if {"urllib3", "httpx"} & imported(path)}
    assert touching == {"transport", "aclient"}


@pytest.mark.parametrize(
    "module",
    ["operators.dotypos", "transfers.dotypos_to_object_storage", "hooks.dotypos"],
)
def test_importing_an_airflow_facing_module_brings_in_nothing_heavy(module: str) -> None:
    code = (
        "import sys, airflow.sdk\n"
        "airflow.sdk.BaseOperator, airflow.sdk.BaseHook\n"
        "before = set(sys.modules)\n"
        f"import airflow_provider_dotypos.{module}\n"
        "print(' '.join({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    added = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not set(added) & {"requests", "fastapi", "uvicorn", "pyarrow", "sqlalchemy", "urllib3", "tenacity"}


def test_the_plugin_is_light_for_the_workers_that_load_it() -> None:
    code = (
        "import sys, airflow.plugins_manager\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_dotypos.plugin\n"
        "print(' '.join(set(sys.modules) - before))"
    )
    added = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {name.split(".")[0] for name in added} == {"airflow_provider_dotypos"}


def test_the_metadata_imports_nothing() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        "import airflow_provider_dotypos as p\np.get_provider_info()\n"
        "print(' '.join({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    added = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
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
