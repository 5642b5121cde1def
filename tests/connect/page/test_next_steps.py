"""What a person is given once a connection works. `tests/example_dags` runs the DAG."""

from __future__ import annotations

import ast
from email.message import Message
from pathlib import Path

import pytest
from airflow.sdk import DAG

from airflow_provider_dotypos.connect.page import next_steps
from airflow_provider_dotypos.connect.page.next_steps import find_documentation, write_first_dag

README = (Path(__file__).parents[3] / "README.md").read_text()


@pytest.fixture
def readme_dag() -> str:
    """The code of README's first DAG, with the id that the page gives it."""
    return README.split("```python\n")[1].split("```")[0].replace('"first_orders"', '"dotypos_default_orders"')


def test_the_first_dag_is_that_of_the_readme(readme_dag: str) -> None:
    assert write_first_dag("dotypos_default") == readme_dag


@pytest.mark.parametrize(
    ("conn_id", "dag_id"),
    [
        ("dotypos_default", "dotypos_default_orders"),
        ("kavárna", "kav_rna_orders"),
        ("\\n(#!:/", "_n______orders"),
        ("x" * 250, f"{'x' * 200}_orders"),
    ],
)
def test_the_first_dag_holds_the_connections_id_whatever_it_is(conn_id: str, dag_id: str) -> None:
    tree = ast.parse(write_first_dag(conn_id))

    values = {
        keyword.arg: keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    names = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert values["dotypos_conn_id"] == conn_id
    assert dag_id in names
    assert DAG(dag_id, schedule=None).dag_id == dag_id, "Airflow takes it"


def _calls(source: str) -> list[tuple[str, dict[str | None, str]]]:
    """Return every call of a source, with its named arguments in any order."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        (ast.unparse(call.func), {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords})
        for call in calls
    ]


@pytest.mark.parametrize(
    ("addresses", "documentation"),
    [
        (["Homepage, https://a.example", "Documentation, https://b.example/x, y"], "https://b.example/x, y"),
        (["Homepage, https://a.example"], None),
        ([], None),
    ],
)
def test_the_documentation_is_where_the_package_says(
    addresses: list[str], documentation: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def metadata(name: str) -> Message:
        assert name == "airflow-provider-dotypos"
        message = Message()
        for address in addresses:
            message["Project-URL"] = address
        return message

    monkeypatch.setattr(next_steps, "metadata", metadata)
    assert find_documentation() == documentation


def test_a_folder_that_is_not_installed_names_no_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    def metadata(name: str) -> Message:
        raise next_steps.PackageNotFoundError(name)

    monkeypatch.setattr(next_steps, "metadata", metadata)
    assert find_documentation() is None
