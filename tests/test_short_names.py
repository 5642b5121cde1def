"""The short names: `from airflow_provider_dotypos import …`, what they stand for, and that none is missing."""

from __future__ import annotations

import ast
import inspect
import pickle
import sys
from importlib import import_module
from pathlib import Path

import pytest
from airflow.sdk import BaseHook, BaseOperator

import airflow_provider_dotypos
from airflow_provider_dotypos import get_provider_info
from demo import children

PACKAGE = Path(airflow_provider_dotypos.__file__).parent
NAMES = airflow_provider_dotypos.__all__


@pytest.mark.parametrize("name", NAMES)
def test_a_short_name_stands_for_the_same_thing_as_the_long_one(name: str) -> None:
    module = f"airflow_provider_dotypos.{airflow_provider_dotypos._SHORT_NAMES[name]}"
    thing = getattr(airflow_provider_dotypos, name)
    assert thing is getattr(import_module(module), name)
    assert pickle.loads(pickle.dumps(thing)) is thing
    assert thing.__doc__


def test_each_operator_sensor_hook_and_notifier_has_one() -> None:
    """Those that the provider's metadata name, and that a DAG makes: what they are made of doesn't count."""
    info = get_provider_info()
    modules = {name for kind in ("operators", "sensors", "hooks") for name in _modules(info, kind)}
    modules |= {entry["python-module"] for entry in info["transfers"]}
    modules |= {name.rpartition(".")[0] for name in info.get("notifications", ())}
    made = set()
    for module in map(import_module, modules):
        for name, thing in vars(module).items():
            own = inspect.isclass(thing) and thing.__module__ == module.__name__ and not name.startswith("_")
            if own and (issubclass(thing, BaseOperator | BaseHook) or name.endswith("Notifier")):
                made.add(name)
    assert {"DotyposHook", "DotyposOperator", "DotyposEntitySensor", "DotyposToSqlOperator"} <= made
    assert made <= set(NAMES)


def test_type_checkers_see_the_same() -> None:
    """The imports for type checking are what the table says, and re-exported: `X as X`."""
    (block,) = [
        node
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imported = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.name == alias.asname
            imported[alias.name] = str(node.module).removeprefix("airflow_provider_dotypos.")
    assert imported == airflow_provider_dotypos._SHORT_NAMES


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    code = """
import sys
import airflow_provider_dotypos as package
def rooms(): return {name.split(".")[1] for name in sys.modules if name.startswith("airflow_provider_dotypos.")}
assert set(package.__all__) < set(dir(package)), "they can be completed"
assert not rooms(), rooms()
package.read_manifest
assert "transfers" in rooms() and "operators" not in rooms(), rooms()
from airflow_provider_dotypos import *
assert {name for name in dir() if name in package.__all__} == set(package.__all__)
assert DotyposHook is package.hooks.dotypos.DotyposHook
from airflow_provider_dotypos import exceptions
assert exceptions.DotyposError
"""
    done = children.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_another_name_is_an_error() -> None:
    assert not hasattr(airflow_provider_dotypos, "DotyposHok")
    with pytest.raises(ImportError, match="cannot import name 'DotyposHok'"):
        exec("from airflow_provider_dotypos import DotyposHok")


def _modules(info: dict[str, list[dict[str, list[str]]]], kind: str) -> list[str]:
    return [name for entry in info[kind] for name in entry["python-modules"]]
