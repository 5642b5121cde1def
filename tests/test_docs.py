"""The documentation is true: its code runs, and it mentions every parameter, command, error and entity there is."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shlex
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from airflow_provider_dotypos import exceptions
from airflow_provider_dotypos._compat import has_retry_policies
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.watch import Change
from airflow_provider_dotypos.assets import dotypos_asset
from airflow_provider_dotypos.cli import COMMANDS, Command, main
from airflow_provider_dotypos.commands.sandbox import options
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.webhooks import Webhooks
from airflow_provider_dotypos.lake.current import read_entity
from airflow_provider_dotypos.notifications.failure import DotyposFailureNotifier
from airflow_provider_dotypos.operators.apply_plan import DotyposApplyPlanOperator
from airflow_provider_dotypos.operators.compact import DotyposCompactOperator
from airflow_provider_dotypos.operators.dotypos import DotyposOperator
from airflow_provider_dotypos.operators.erase_customer import DotyposEraseCustomerOperator
from airflow_provider_dotypos.operators.freshness_check import DotyposFreshnessCheckOperator
from airflow_provider_dotypos.operators.plan_writes import DotyposPlanWritesOperator
from airflow_provider_dotypos.operators.pos_action import DotyposPosActionOperator
from airflow_provider_dotypos.operators.prune import DotyposPruneOperator
from airflow_provider_dotypos.operators.sales_report_check import DotyposSalesReportCheckOperator
from airflow_provider_dotypos.operators.stock import DotyposStockOperator
from airflow_provider_dotypos.operators.webhooks import DotyposWebhookOperator
from airflow_provider_dotypos.operators.write import DotyposWriteOperator
from airflow_provider_dotypos.provider_info import CONFIG, CONN_FIELDS
from airflow_provider_dotypos.retry_policies import DotyposRetryPolicy
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.sandbox.behaviour import CHOICES, WRITE_CHOICES
from airflow_provider_dotypos.sandbox.faults import KINDS, Fault
from airflow_provider_dotypos.sensors.dotypos import DotyposEntitySensor
from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import (
    DotyposEntitiesToObjectStorageOperator,
)
from airflow_provider_dotypos.transfers.dotypos_entities_to_sql import DotyposEntitiesToSqlOperator
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from airflow_provider_dotypos.triggers.entity_event import DotyposEntityEventTrigger
from tests import costs_page, entities_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: What users read. Contributors and the curious read the others.
FOR_USERS = sorted([ROOT / "README.md", DOCS / "index.md", *DOCS.glob("guides/*.md"), *DOCS.glob("reference/*.md")])
PAGES = sorted([*FOR_USERS, ROOT / "CONTRIBUTING.md", *DOCS.glob("background/*.md")])


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.fixture
def sandbox() -> Any:
    # The pages speak of the first of January, so that is when this shop's guests came.
    shop = Shop.generate(days=2, orders_per_day=30, now=datetime(2026, 1, 2, 12, tzinfo=timezone.utc))
    with Sandbox(shop) as running:
        yield running


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    channel.forget_tokens()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection()))
    operator = DotyposToObjectStorageOperator(
        task_id="extract", entity="orders", destination=f"file://{tmp_path}", until="2026-01-03T00:00:00Z"
    )
    # What a page may take for granted: the result of a task that has run.
    extracted = operator.execute({})  # type: ignore[arg-type]
    assert extracted["rows"]
    known: dict[str, Any] = {"extracted": extracted, "__name__": page.stem}
    for block in blocks(page):
        if "DotyposRetryPolicy" in block and not has_retry_policies():
            with pytest.raises(exceptions.DotyposInputError, match=r"needs Airflow 3\.3"):
                exec(compile(block, str(page), "exec"), known)
        else:
            exec(compile(block, str(page), "exec"), known)
    for name, test in list(known.items()):
        if name.startswith("test_"):
            given = {"dotypos_sandbox": sandbox, "dotypos_connection": "dotypos_default", "tmp_path": tmp_path / name}
            test(**{wanted: given[wanted] for wanted in inspect.signature(test).parameters})
    if page.name == "README.md":
        assert sum(known["count_by_status"].function(extracted).values()) == extracted["rows"]
    if page.name == "writing-back.md":
        customer, product = (
            sandbox.shop.rows(sandbox.cloud_ids[0], name)[0]["id"] for name in ("customers", "products")
        )
        assert known["reduce_price"](product)["priceWithVat"] == "49.9"
        known["erasure"].source = [{"id": customer}]
        for name, operation in (("plan", "create"), ("write", "create"), ("erasure", "anonymize")):
            known[name].plan = f"{tmp_path}/plans"
            made = known[name].execute({})
            assert made.get("planned", made)["counts"] == {"rows": 1, operation: 1}
    if page.name == "calls.md":
        assert known["order"]["versionDate"].startswith("2026-01-01")


def test_the_merge_of_the_guide_keeps_the_newest_version_of_each_row(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection()))
    (block,) = (code for code in blocks(DOCS / "guides" / "files-to-tables.md") if "duckdb.connect" in code)
    exec(compile(block, "files-to-tables.md", "exec"), known := {"__name__": "files-to-tables"})

    def extract(until: str) -> Any:
        operator = DotyposToObjectStorageOperator(
            task_id="orders", entity="orders", destination=str(tmp_path), until=until, file_format="parquet", settle=0
        )
        return operator.execute({})  # type: ignore[arg-type]

    earlier = extract("2026-01-02T12:00:00Z")
    cloud = sandbox.cloud_ids[0]
    changed = sandbox.shop.rows(cloud, "orders")[0]["id"]
    sandbox.shop.advance(3600)
    sandbox.shop.update(cloud, "orders", changed, {"note": "changed"})
    later = extract("2026-01-02T14:00:00Z")
    for sets in (earlier, later, earlier):
        known["merge_into_duckdb"].function(sets, f"{tmp_path}/lake.duckdb")

    with duckdb.connect(f"{tmp_path}/lake.duckdb") as lake:
        rows = lake.sql("SELECT count(*), count(DISTINCT id) FROM orders").fetchall()
        note = lake.sql(f"SELECT note FROM orders WHERE id = {changed}").fetchall()
    assert rows == [(len(sandbox.shop.rows(cloud, "orders")),) * 2]
    assert note == [("changed",)]


def test_the_guide_to_yesterdays_sales_ends_with_them_in_a_table(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = f"{tmp_path}/sales.duckdb"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection()))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": database}))
    (block,) = blocks(DOCS / "guides" / "yesterdays-sales.md")
    exec(compile(block, "yesterdays-sales.md", "exec"), known := {"__name__": "yesterdays-sales"})
    sandbox.shop.advance(3600)
    run = SimpleNamespace(run_after=datetime(2026, 1, 2, 12, 30, tzinfo=timezone.utc), run_id="first")
    known["orders"].start = "2025-12-26"  # as Airflow renders it
    for name in ("branches", "orders"):
        known[name].execute({"dag_run": run})

    with duckdb.connect(database) as sales:
        for statement in filter(None, map(str.strip, known["SALES"].split(";"))):
            sales.execute(statement)
        ((branch, receipts, amount),) = sales.sql(
            "SELECT branch, receipts, sales FROM sales_by_branch WHERE day = '2026-01-01'"
        ).fetchall()
    cloud = sandbox.cloud_ids[0]
    completed = [row for row in sandbox.shop.rows(cloud, "orders") if _completed_on_new_years_day(row)]
    assert branch == sandbox.shop.rows(cloud, "branches")[0]["name"]
    assert receipts == len(completed)
    assert amount == sum(Decimal(str(row["totalValueRounded"])) for row in completed)


def _completed_on_new_years_day(row: Any) -> bool:
    no_sales = ("CASH_IN", "CASH_OUT", "EXTERNAL_INVOICE_PAYMENT", "INVOICE_FROM_RECEIPTS")
    if row["completed"] is None or row["documentType"] in no_sales:
        return False
    prague = datetime.fromtimestamp(row["completed"] / 1000, timezone(timedelta(hours=1)))
    return prague.date() == date(2026, 1, 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        if not target.startswith("http"):
            led_to = page.parent / target if target else page
            assert led_to.exists(), target
            assert not anchor or anchor in anchors(led_to), f"{target}#{anchor}"


@pytest.mark.parametrize(
    "thing",
    [
        DotyposOperator,
        DotyposToObjectStorageOperator,
        DotyposEntitiesToObjectStorageOperator,
        DotyposToSqlOperator,
        DotyposEntitiesToSqlOperator,
        DotyposSalesReportCheckOperator,
        DotyposEraseCustomerOperator,
        DotyposFreshnessCheckOperator,
        DotyposFailureNotifier,
        DotyposWebhookOperator,
        DotyposPlanWritesOperator,
        DotyposApplyPlanOperator,
        DotyposWriteOperator,
        DotyposStockOperator,
        DotyposCompactOperator,
        DotyposPruneOperator,
        DotyposPosActionOperator,
        DotyposEntitySensor,
        DotyposEntityEventTrigger,
        DotyposRetryPolicy,
        dotypos_asset,
        read_entity,
    ],
    ids=lambda it: it.__name__,
)
def test_every_parameter_is_told(thing: Any) -> None:
    table = text_of("docs/reference/parameters.md").split(f"## {thing.__name__}\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\| (yes)? ?\|", table, re.M)
    signature = inspect.signature(thing.__init__ if isinstance(thing, type) else thing).parameters
    names = set(signature) - {"self", "kwargs"}
    defaults = {
        name: eval(default, {"timedelta": timedelta}) if default else inspect.Parameter.empty
        for name, default, _ in documented
    }
    assert defaults == {name: signature[name].default for name in names}
    assert {name for name, _, templated in documented if templated} == set(getattr(thing, "template_fields", ()))
    assert not {name for name in names if f":param {name}:" not in (thing.__doc__ or "")}


def test_every_field_of_the_form_is_told() -> None:
    page = text_of("docs/reference/connection.md")
    for name, declared in CONN_FIELDS.items():
        assert f"`{name}`" in page
        assert declared["label"] in page


def test_every_option_of_airflows_configuration_is_told() -> None:
    page = text_of("docs/reference/connection.md")
    for section, declared in CONFIG.items():
        for name, option in declared["options"].items():
            assert f"| `[{section}] {name}` | `{option['default']}` |" in page


def test_every_method_of_the_hook_is_told() -> None:
    parts = [part for part in DotyposHook.__mro__ if part.__module__.startswith("airflow_provider_dotypos.")]
    own = {name for part in parts for name, it in vars(part).items() if inspect.isfunction(it) and name[0] != "_"}
    pages = text_of("docs/reference/calls.md") + text_of("docs/reference/connection.md")
    assert not {name for name in own - {"get_conn", "test_connection"} if f"hook.{name}(" not in pages}


def test_every_method_of_its_webhooks_is_told() -> None:
    own = {name for name, thing in vars(Webhooks).items() if inspect.isfunction(thing) and not name.startswith("_")}
    assert not {name for name in own if f"hook.webhooks.{name}(" not in text_of("docs/reference/calls.md")}


def test_every_field_of_an_event_is_told() -> None:
    table = text_of("docs/reference/parameters.md").split("### What an event holds\n")[1].split("\n## ")[0]
    payload = Change(0, 1, 1, ("1",), 0, "0123456789abcdef").payload(1, "orders")
    documented = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", table, re.M)))
    assert documented == [name for name in documented if name in payload]
    assert set(documented) == set(payload)


def test_every_error_is_told() -> None:
    page = text_of("docs/reference/errors.md")
    assert not {name for name in exceptions.__all__ if f"`{name}`" not in page}


def test_the_page_of_entities_is_that_of_the_table() -> None:
    assert entities_page.PAGE.read_text() == entities_page.page(), "run make entities"


def test_the_table_of_costs_is_what_the_sandbox_counts() -> None:
    text = costs_page.PAGE.read_text()
    assert costs_page.page(text) == text, "run make costs"


def test_the_readme_counts_the_entities() -> None:
    assert f"{sum(row.listed for row in entities().values())} entities" in text_of("README.md")


@pytest.mark.parametrize("page", FOR_USERS, ids=lambda page: page.name)
def test_pages_for_users_name_no_tests(page: Path) -> None:
    assert not re.findall(r"\btests[./]\w+|\btest_\w+\.py", page.read_text())


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#]+)", text_of("docs/index.md"))}
    assert set(DOCS.rglob("*.md")) - {DOCS / "index.md"} <= linked


def test_every_option_of_the_sandbox_is_told() -> None:
    page = text_of("docs/reference/sandbox.md")
    for flags, _ in options():
        name = flags[0].removeprefix("--").replace("-", "_")
        assert f"`{name}`" in page or f"`{flags[0]}`" in page
    assert all(f"`{name}`" in page for name in (*CHOICES, *WRITE_CHOICES))


def test_every_kind_and_field_of_a_fault_is_told() -> None:
    section = text_of("docs/reference/sandbox.md").split("## Faults")[1].split("\n## ")[0]
    told = re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| (.*?) \|", section, re.M)))
    assert [*told] == [*dict.fromkeys(told)]
    assert {*told} == {*KINDS, *(field.name for field in dataclasses.fields(Fault))} - {"kind"}


@pytest.mark.parametrize("page", FOR_USERS, ids=lambda page: page.name)
def test_the_commands_that_a_page_shows_exist_with_their_options(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Command, "run", lambda command, args: 0)
    ours = r"(?:airflow dotypos|python -m airflow_provider_dotypos) +([a-z][^`>|#…\n]*)"
    for shown in map(shlex.split, re.findall(ours, page.read_text())):
        if len(shown) == 1:  # the name of a command, which may need arguments
            assert shown[0] in {command.name for command in COMMANDS}
        else:
            assert main(shown) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    """A name may be the end of a path: pages leave out what their reader knows."""
    folders = (
        ROOT / name for name in ("airflow_provider_dotypos", "benchmarks", "demo", "docs", "example_dags", "tests")
    )
    files = [f"/{file.relative_to(ROOT)}" for folder in folders for file in folder.rglob("*.py")]
    names = set(re.findall(r"(?<![\w./*-])[\w-][\w/-]*\.py\b", page.read_text()))
    assert not {name for name in names if not any(file.endswith(f"/{name}") for file in files)}


def test_the_rooms_are_those_of_the_package() -> None:
    text = text_of("CONTRIBUTING.md")
    rooms = text.split("## The rooms")[1].split("## Rules")[0]
    package = ROOT / "airflow_provider_dotypos"
    api, elsewhere = rooms.split("In `api/`:")[1].split("Elsewhere:")
    assert {path.name for path in (package / "api").glob("[!_]*.py")} == set(re.findall(r"`([\w/]+\.py)`", api))
    assert all((package / name).exists() for name in re.findall(r"`([\w/]+\.py)`", elsewhere) if name[:5] != "tests")
    named = set(re.findall(r"^\| `(\w+)/`", rooms, re.M))
    assert named == {path.parent.name for path in package.glob("*/__init__.py")}


def test_every_test_that_contributing_names_exists() -> None:
    tests = {path.stem: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    for name in set(re.findall(r"\btest_\w+", text_of("CONTRIBUTING.md"))):
        assert name in tests or any(f"def {name}(" in text for text in tests.values()), name


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^(\w+):", text_of("Makefile"), re.M))
    for page in PAGES:
        assert set(re.findall(r"`make (\w+)", page.read_text())) <= targets


def test_the_changelog_knows_the_version() -> None:
    from airflow_provider_dotypos import __version__

    assert f"## {__version__}" in text_of("CHANGELOG.md")
