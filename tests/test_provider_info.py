"""What Airflow learns of the provider, and what it makes of it.

Tests `provider_info`, `plugin`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airflow_provider_dotypos import get_provider_info
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.provider_info import CONN_FIELDS
from demo import children
from tests.ui.airflow_server import AirflowHome

DISTRIBUTION = "airflow-provider-dotypos"
AIRFLOW = tuple(map(int, version("apache-airflow-core").split(".")[:2]))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """A home of Airflow without a database: what providers declare needs none."""
    return AirflowHome(tmp_path_factory.mktemp("airflow-without-database"))


@pytest.fixture(scope="module")
def form(home: AirflowHome) -> dict[str, Any]:
    """The connection form as the API server of the installed Airflow describes it to the page."""
    # In a process of its own: Airflow puts stand-ins for form libraries into sys.modules.
    printed = home.python(
        "-c",
        "from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService\n"
        "for found in HookMetaService.hook_meta_data():\n"
        "    if found.connection_type == 'dotypos': print('>', found.model_dump_json())",
    )
    (line,) = [line for line in printed.splitlines() if line.startswith(">")]
    described: dict[str, Any] = json.loads(line[1:])
    return described


def test_the_metadata_is_what_airflows_own_schema_asks_for():
    origin = find_spec("airflow.providers_manager").origin
    schema = json.loads(Path(origin).with_name("provider_info.schema.json").read_text())

    jsonschema.validate(get_provider_info(), schema)


def test_the_package_name_is_the_distributions():
    (entry,) = distribution(DISTRIBUTION).entry_points.select(group="apache_airflow_provider")

    assert get_provider_info()["package-name"] == DISTRIBUTION
    assert entry.load()() == get_provider_info()


def test_every_module_and_class_named_is_there():
    info = get_provider_info()
    sections = ("hooks", "operators", "sensors", "triggers")
    modules = [module for section in sections for entry in info.get(section, []) for module in entry["python-modules"]]
    modules += [entry["python-module"] for entry in info.get("transfers", [])]
    assert modules
    for name in modules:
        import_module(name)
    for name in info["notifications"]:
        module, _, cls = name.rpartition(".")
        assert callable(getattr(import_module(module), cls))
    for declared in info["connection-types"]:
        module, _, cls = declared["hook-class-name"].rpartition(".")
        assert getattr(import_module(module), cls).conn_type == declared["connection-type"]


@pytest.mark.parametrize("module", ["airflow_provider_dotypos", "airflow_provider_dotypos.provider_info"])
def test_learning_of_the_provider_loads_nothing_heavy(module: str):
    heavy = {"airflow", "requests", "msgspec", "tenacity", "fastapi", "sqlalchemy", "pyarrow"}
    told = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"

    loaded = children.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout

    assert loaded.split() == []


def test_the_form_renames_hints_at_and_hides_the_standard_fields(form: dict[str, Any]):
    fields = form["standard_fields"]

    assert form["hook_name"] == "Dotypos"
    assert {name: field["title"] for name, field in fields.items() if field and not field["hidden"]} == {
        "host": "API base URL",
        "port": "Port",
        "login": "Client ID",
        "password": "Client Secret",
    }
    assert [name for name, field in fields.items() if field and field["hidden"]] == ["url_schema"]
    assert fields["host"]["placeholder"] == "https://api.dotykacka.cz"
    assert fields["port"]["placeholder"].startswith("443")


def test_the_form_has_every_field_in_order_with_its_texts_limits_and_section(form: dict[str, Any]):
    fields = form["extra_fields"]

    assert list(fields) == list(CONN_FIELDS)
    for name, declared in CONN_FIELDS.items():
        shown = fields[name]["schema"]
        assert shown["title"] == declared["label"]
        assert fields[name]["description"] == declared["description"]
        assert {key: shown.get(key) for key in declared["schema"]} == declared["schema"]
    assert fields["refresh_token"]["schema"]["format"] == "password"
    assert [name for name in fields if fields[name]["schema"]["section"] == "Advanced"] == [
        "timeout",
        "requests_per_minute",
        "request_budget",
        "max_concurrency",
        "deleted_filter",
        "webhook_secret",
        "allow_http",
    ]


def test_every_field_may_be_left_empty(form: dict[str, Any]):
    for field in form["extra_fields"].values():
        jsonschema.validate(None, field["schema"])


def test_airflow_3_1_asks_the_hook_for_the_same_form():
    behaviour = DotyposHook.get_ui_field_behaviour()
    declared = get_provider_info()["connection-types"][0]["ui-field-behaviour"]

    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert list(behaviour.values()) == list(declared.values())


@pytest.fixture(scope="module")
def told(home: AirflowHome) -> dict[str, str]:
    """What Airflow's commands say of the provider, by command; one process runs them all."""
    # Without wtforms, 3.1 lists neither behaviours nor widgets, of any provider.
    forms = ["behaviours", "widgets"] if AIRFLOW >= (3, 2) else []
    commands = [f"providers {kind} --output json" for kind in ("hooks", "triggers", "links", "configs", *forms)]
    printed = home.python(
        "-c",
        "import sys\n"
        "from airflow.__main__ import main\n"
        "for command in sys.argv[1:]:\n"
        "    sys.argv = ['airflow', *command.split()]\n"
        "    print(f'\\n> {command.split()[1]}')\n"
        "    main()",
        *commands,
        f"providers get {DISTRIBUTION} --full --output json",
        "config get-value dotypos webhooks",
        "config list --section dotypos --include-descriptions",
    )
    return dict(part.split("\n", 1) for part in printed.split("\n> ")[1:])


def test_airflow_providers_get_shows_the_provider_whole(told: dict[str, str]):
    (shown,) = json.loads(told["get"])
    assert shown.keys() >= get_provider_info().keys()
    assert [shown["name"], shown["package-name"]] == ["Dotypos", DISTRIBUTION]
    assert "point-of-sale" in shown["description"]
    assert list(shown["connection-types"][0]["conn-fields"]) == list(CONN_FIELDS)


def test_airflows_commands_list_what_the_provider_brings(told: dict[str, str]):
    info = get_provider_info()
    ((modules,),) = [[entry["python-modules"]] for entry in info["triggers"]]
    assert set(modules) <= {row["class"] for row in json.loads(told["triggers"])}
    assert all(link in told["links"] for link in info["extra-links"])
    assert DISTRIBUTION in told["configs"]
    assert told["get-value"].split() == ["False"]
    assert "# Whether the API server receives webhooks" in told["list"]
    hooks = {row["connection_type"]: row for row in json.loads(told["hooks"])}
    assert hooks["dotypos"]["class"] == "airflow_provider_dotypos.hooks.dotypos.DotyposHook"
    if AIRFLOW >= (3, 2):
        assert "dotypos" in told["behaviours"]
        assert all(f"extra__dotypos__{name}" in told["widgets"] for name in CONN_FIELDS)
