"""What an operator's constructor may check: what Airflow's rendering leaves as it is, and nothing else."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, ObjectStoragePath, TaskGroup

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.hooks.arguments import literals
from airflow_provider_dotypos.operators.dotypos import DotyposOperator
from airflow_provider_dotypos.operators.sales_report_check import DotyposSalesReportCheckOperator
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator


class Echo(BaseOperator):
    template_fields = ("value",)

    def __init__(self, *, value: Any, plain: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value
        self.plain = plain


def is_literal(value: Any, **dag: Any) -> bool:
    with DAG("d", schedule=None, **dag):
        return "value" in literals(Echo(task_id="x", value=value))


@pytest.mark.parametrize(
    "value",
    [
        "orders", "", 5, 1.5, Decimal(1), True, None, datetime(2026, 1, 1, tzinfo=timezone.utc), date(2026, 1, 1),
        timedelta(1), ["a", ("b", 1, None)], {"{{ key }}": "keys aren't rendered"}, {"a", "b"}, "{ }", "100 %",
        Path("/data"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_holds_no_template_is_literal(value: Any) -> None:
    assert is_literal(value)


@pytest.mark.parametrize(
    "value",
    [
        "{{ ds }}", "a{% if x %}b", "{# note #}", ["a", ("b", ["{{ ds }}"])], {"a": {"b": "{{ ds }}"}}, {"{{ ds }}"},
        ObjectStoragePath("file:///{{ ds }}"), lambda context, jinja_env: "x", iter(["a"]), object(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_rendering_may_change_is_not(value: Any) -> None:
    assert not is_literal(value)


def test_results_of_tasks_are_not() -> None:
    with DAG("d", schedule=None):
        result = Echo(task_id="first", value=1).output
        echo = Echo(task_id="x", value=[("paid", "eq", result)], plain=result)
    assert "value" not in literals(echo)
    assert "plain" in literals(echo)  # not templated, so it stays what it is


@pytest.mark.parametrize(("text", "literal"), [("5", False), ("['a']", False), ("orders", True), ("2026-01-31", True)])
def test_native_rendering_makes_values_of_text(text: str, literal: bool) -> None:
    assert is_literal(text)
    assert is_literal(text, render_template_as_native_obj=True) is literal


def test_a_dag_may_mark_templates_otherwise() -> None:
    assert not is_literal("<< ds >>", jinja_environment_kwargs={"variable_start_string": "<<"})


def test_a_template_file_is_not_literal() -> None:
    class FromFile(Echo):
        template_ext = (".json",)

    assert "value" not in literals(FromFile(task_id="x", value="body.json"))


def test_defaults_of_the_dag_and_groups_are_checked_like_arguments() -> None:
    with DAG("d", schedule=None, default_args={"cloud_id": "abc"}), TaskGroup("g"):
        with pytest.raises(DotyposInputError, match="cloud_id"):
            DotyposOperator(task_id="x", path="branches")
        with pytest.raises(DotyposInputError, match="cloud_id"):
            DotyposToObjectStorageOperator(task_id="y", entity="orders", destination="file:///x")


@pytest.mark.parametrize(
    ("operator", "fixed", "mapped", "message"),
    [
        (DotyposOperator, {}, {"path": "a b"}, "path must be"),
        (DotyposToObjectStorageOperator, {"destination": "file:///x"}, {"entity": "order"}, "did you mean 'orders'"),
        (DotyposToObjectStorageOperator, {"entity": "orders"}, {"destination": "lake"}, "absolute path"),
        (DotyposSalesReportCheckOperator, {"conn_id": "warehouse"}, {"branches": ["first"]}, "an id in branches"),
        (DotyposSalesReportCheckOperator, {"conn_id": "warehouse"}, {"entity": "products"}, "orders or order-items"),
    ],
)
def test_a_mapped_task_fails_at_once(operator: Any, fixed: Any, mapped: dict[str, Any], message: str) -> None:
    """Airflow calls the constructor when the task runs, and would use up the task's retries for another error."""
    with DAG("d", schedule=None):
        task = operator.partial(task_id="x", **fixed).expand(**{name: [value] for name, value in mapped.items()})
    with pytest.raises(fail_exception(), match=message):
        task.unmap(mapped)


def test_a_mapped_task_s_templates_are_left_alone() -> None:
    with DAG("d", schedule=None):
        task = DotyposToObjectStorageOperator.partial(
            task_id="x", destination="{{ var.value.lake }}", since="{{ ds }}", until="{{ ts }}"
        ).expand(entity=["orders"])
    assert task.unmap({"entity": "orders"}).entity == "orders"
