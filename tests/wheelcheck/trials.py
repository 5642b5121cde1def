"""What is tried of an installed wheel, in the order of trial. Each raises an error that says what is wrong."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_dotypos import __all__ as short_names
from airflow_provider_dotypos.provider_info import CONN_FIELDS
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.patience import PATIENCE
from tests.ui.airflow_server import AirflowHome, serve

NAME = "airflow-provider-dotypos"


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a home of Airflow for it.

    :ivar airflow: its version.
    :ivar version: the wheel's.
    :ivar examples: the names of the example DAGs that the wheel should hold.
    :ivar wheel: the wheel itself, to install it with an extra. Defaults to none: what extras ask for is there.
    :ivar constraints: of that Airflow.
    """

    home: AirflowHome
    airflow: str
    version: str
    examples: set[str]
    wheel: Path | None = None
    constraints: Path | None = None

    @property
    def package(self) -> Path:
        """Where the package lies."""
        printed = self.home.python("-c", "import airflow_provider_dotypos as package; print(package.__path__[0])")
        return Path(printed.strip())

    def add_extra(self, extra: str) -> None:
        """Install what an extra asks for, and nothing besides."""
        if self.wheel is not None:
            pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(self.constraints))
            self.home.python(*pip, f"{NAME}[{extra}] @ {self.wheel.as_uri()}")


def requirements_hold(installed: Installed) -> None:
    """`pip check` finds nothing missing and no conflict."""
    installed.home.python("-m", "pip", "check")


def short_names_are_imported(installed: Installed) -> None:
    """Every short name is imported from the wheel, which isn't the checkout."""
    names = ", ".join(short_names)
    installed.home.python("-c", f"from airflow_provider_dotypos import {names}")
    if Path(installed.home.interpreter).parents[1] not in installed.package.parents:
        raise AssertionError(f"The package was imported from {installed.package}, not from the wheel")


def airflow_lists_the_provider(installed: Installed) -> None:
    """`airflow providers get` shows its version."""
    printed = installed.home.cli("providers", "get", NAME, "--output", "json")
    (shown,) = json.loads(printed.strip().splitlines()[-1])
    assert shown["Version"] == installed.version, shown


def examples_have_no_import_errors(installed: Installed) -> None:
    """Airflow reads every example that is in the wheel. Airflow 3.3 finds them itself, others get its folder."""
    own = tuple(map(int, installed.airflow.split(".")[:2])) >= (3, 3)
    settings = {"AIRFLOW__CORE__LOAD_EXAMPLES": str(own)}
    if not own:
        settings["AIRFLOW__CORE__DAGS_FOLDER"] = str(installed.package / "example_dags")
    installed.home.cli("dags", "reserialize", **settings)
    errors = _rows(installed.home.cli("dags", "list-import-errors", "--output", "json", **settings))
    assert errors == [], errors
    read = {row["dag_id"] for row in _rows(installed.home.cli("dags", "list", "--output", "json", **settings))}
    assert installed.examples <= read, f"Airflow didn't read {sorted(installed.examples - read)}"


def a_command_answers(installed: Installed) -> None:
    """`airflow dotypos …` works, and on Airflow 3.1 the form without Airflow's command."""
    with_airflow = tuple(map(int, installed.airflow.split(".")[:2])) >= (3, 2)
    run = installed.home.cli if with_airflow else installed.home.python
    command = ("dotypos",) if with_airflow else ("-m", "airflow_provider_dotypos")
    rows = _rows(run(*command, "entities", "--output", "json"))
    assert "orders" in {row["entity"] for row in rows}, rows


def an_example_runs(installed: Installed) -> None:
    """An example DAG runs to its end on the sandbox."""
    with Sandbox(Shop.generate(days=2)) as sandbox:
        settings = {
            "AIRFLOW_CONN_DOTYPOS_DEFAULT": json.dumps(sandbox.connection()),
            "AIRFLOW__CORE__DAGS_FOLDER": str(installed.package / "example_dags"),
        }
        installed.home.cli("dags", "test", "example_dotypos_any_call", **settings)
        assert any("products" in request.path for request in sandbox.requests), "no call of the example arrived"


def the_server_shows_provider_form_and_page(installed: Installed) -> None:
    """Airflow's API server has the provider, its documentation's address, its connection form, and its page."""
    with serve(installed.home) as server:

        def get(path: str) -> Any:
            answer = server.session.get(f"{server.url}{path}", timeout=PATIENCE)
            assert answer.status_code == 200, f"{path} answered {answer.status_code}: {answer.text[:500]}"
            return answer

        providers = get("/api/v2/providers?limit=200").json()["providers"]
        (ours,) = [provider for provider in providers if provider["package_name"] == NAME]
        assert ours["version"] == installed.version, ours
        assert str(ours["documentation_url"]).strip().startswith("https://"), ours
        forms = [form for form in get("/ui/connections/hook_meta").json() if form["connection_type"] == "dotypos"]
        assert [set(form["extra_fields"]) for form in forms] == [set(CONN_FIELDS)], forms
        page = get("/dotypos/").text
        assert "Connect Dotypos" in page, page[:500]


#: A DAG that loads a table.
LOAD = """
from airflow.sdk import DAG
from airflow_provider_dotypos import DotyposToSqlOperator

with DAG("load", schedule=None):
    DotyposToSqlOperator(task_id="load", entity="products", conn_id="warehouse", settle=0)
"""


def a_table_is_loaded_by_an_extra(installed: Installed) -> None:
    """With what the extra `duckdb` asks for, and nothing besides, a table is loaded into DuckDB."""
    if sys.version_info < (3, 11):
        return  # Airflow's provider for DuckDB isn't there
    installed.add_extra("duckdb")
    folder = installed.home.path / "load"
    folder.mkdir()
    (folder / "load.py").write_text(LOAD)
    file = folder / "warehouse.duckdb"
    with Sandbox(Shop.generate(days=1)) as sandbox:
        settings = {
            "AIRFLOW_CONN_DOTYPOS_DEFAULT": json.dumps(sandbox.connection()),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(file)}),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        }
        installed.home.cli("dags", "test", "load", **settings)
        expected = len(sandbox.shop.rows(sandbox.cloud_ids[0], "products"))
    query = "SELECT count(*) FROM products"
    loaded = installed.home.python(
        "-c", f"import duckdb; print(duckdb.connect({str(file)!r}).sql({query!r}).fetchall())"
    )
    assert loaded.strip() == f"[({expected},)]", f"{loaded} products are in the table, not {expected}"


#: In the order in which they are tried; what a trial does is its docstring's first line.
TRIALS: tuple[Callable[[Installed], None], ...] = (
    requirements_hold,
    short_names_are_imported,
    airflow_lists_the_provider,
    a_command_answers,
    examples_have_no_import_errors,
    an_example_runs,
    the_server_shows_provider_form_and_page,
    a_table_is_loaded_by_an_extra,  # last, as the others have no extra
)


def _rows(printed: str) -> list[dict[str, Any]]:
    """Return the rows of a command with `--output json`. Airflow logs to stdout, too, before them and after."""
    beginning = re.search(r"^\[(?=\]|\{|$)", printed, re.M)
    assert beginning, printed
    rows: list[dict[str, Any]] = json.JSONDecoder().raw_decode(printed, beginning.start())[0]
    return rows
