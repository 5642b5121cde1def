"""Whether sales are the ones that the API's report shows: the operator, on tables and on files.

Tests `operators.sales_check`, `sales.arguments`, `sales.set_sales`, `sales.reports`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, ObjectStoragePath

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.exceptions import DotyposCancelledError, DotyposInputError, DotyposSalesReportError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.pruning import prune_list
from airflow_provider_dotypos.operators.sales_report_check import DotyposSalesReportCheckOperator
from airflow_provider_dotypos.sales.arguments import read_branches
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.transfers.manifest import CommittedSet
from tests.sales.shops import SINCE, UNTIL, add_order, fill, ms

Extract = Callable[..., dict[str, Any]]
MARCH = {"since": datetime(2026, 2, 1, tzinfo=timezone.utc), "until": datetime(2026, 5, 1, tzinfo=timezone.utc)}


def check(**arguments: Any) -> dict[str, Any]:
    span = {} if "days" in arguments else {"since": SINCE, "until": UNTIL}
    operator = DotyposSalesReportCheckOperator(task_id="check", **{**span, **arguments})
    context: Any = {"dag_run": SimpleNamespace(run_after=datetime(2026, 4, 1, 4, tzinfo=timezone.utc))}
    return operator.execute(context)


def reports(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/sales-report") for request in sandbox.requests)


@pytest.fixture
def branches(sandbox: Sandbox) -> list[int]:
    return fill(sandbox.shop, sandbox.cloud_ids[0])


@pytest.mark.parametrize("entity", ["orders", "order-items"])
@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv"])
def test_files_agree_by_one_request_a_branch(
    sandbox: Sandbox, branches: list[int], extract: Extract, file_format: str, entity: str
) -> None:
    done = extract(entity=entity, file_format=file_format, **MARCH)
    sandbox.requests.clear()
    result = check(manifests=done["manifests"], entity=entity, branches=branches)
    assert result == {
        "agrees": True,
        "entity": entity,
        "cloud_id": sandbox.cloud_ids[0],
        "since": "2026-02-28T23:00:00.000Z",
        "until": "2026-03-31T22:00:00.000Z",
        "branches": 2,
        "days": 31,
        "reports": 2,
        "differences": [],
    }
    assert len(sandbox.requests) == reports(sandbox) == 2


def test_of_each_order_the_newest_version_in_all_sets_counts(
    sandbox: Sandbox, branches: list[int], extract: Extract, tmp_path: Path
) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    lake = f"file://{tmp_path}/lake"
    extract(**MARCH)
    early, late = sorted(shop.rows(cloud, "orders"), key=lambda order: order["completed"])[5:-5:250]
    changed = {"versionDate": ms("2026-05-02T00:00")}
    shop.update(cloud, "orders", early["id"], {"totalValueRounded": 12.5, **changed})
    shop.update(cloud, "orders", late["id"], {"completed": ms("2026-03-02T12:00"), **changed})
    shop.update(cloud, "orders", shop.rows(cloud, "orders")[9]["id"], {"completed": None, **changed})
    assert not check(destination=lake, on_difference="warn")["agrees"]
    extract(since=MARCH["until"], until=datetime(2026, 6, 1, tzinfo=timezone.utc))
    extract(since=None, until=datetime(2026, 2, 1, tzinfo=timezone.utc))  # of long before: it isn't read
    extract(snapshot=True, since=None, until=datetime(2026, 6, 1, tzinfo=timezone.utc))  # holds ids alone
    assert check(destination=lake)["agrees"]
    assert check(destination=lake, since="2026-03-29", until="2026-03-30", day_starts="04:00")["agrees"]

    # Another one that begins in February: the two become one, and the sales stay.
    extract(since=datetime(2026, 2, 10, tzinfo=timezone.utc), until=datetime(2026, 5, 15, tzinfo=timezone.utc))
    folder = ListFolder(ObjectStoragePath(lake), cloud, "orders")
    (compacted,) = compact_list(folder, ms("2027-01-01T00:00"))
    assert len(compacted.group.sets) == 2
    assert check(destination=lake)["agrees"], "beside what it was made of"
    assert len(list(prune_list(folder, grace=0))) == 2
    assert check(destination=lake)["agrees"]


def test_a_missing_order_is_found_by_its_day_with_few_requests(
    sandbox: Sandbox, branches: list[int], extract: Extract, caplog: pytest.LogCaptureFixture
) -> None:
    done = extract(**MARCH)
    rng = random.Random(2)
    fields = {"totalValueRounded": 99.9, "documentType": "RECEIPT", "flags": 256}
    add_order(sandbox.shop, sandbox.cloud_ids[0], branches[1], ms("2026-03-29T23:30"), rng, **fields)
    sandbox.requests.clear()
    result = check(manifests=done["manifest"], on_difference="warn")
    (found,) = result["differences"]
    assert (found["branch_id"], found["day"], found["last_day"]) == (branches[1], "2026-03-29", "2026-03-29")
    assert (found["since"], found["until"]) == ("2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z")
    assert found["difference"] == {"total": "-99.9", "orders": "-1"}
    assert Decimal(found["report"]["total"]) - Decimal(found["held"]["total"]) == Decimal("99.9")
    assert 7 <= result["reports"] == reports(sandbox) <= 8  # two branches, and halves of one's month
    assert len(sandbox.requests) == result["reports"] + 1  # the list of branches
    assert f"branch {branches[1]}, 2026-03-29: total {found['held']['total']} instead of" in caplog.text
    assert "Jana" not in caplog.text
    with pytest.raises(
        fail_exception(), match=rf"branch {branches[1]}, 2026-03-29: total .* \(-99\.9\), orders"
    ) as failed:
        check(manifests=[done["manifest"]])
    error = failed.value.__context__
    assert isinstance(error, DotyposSalesReportError)
    assert error.differences == result["differences"]
    assert error.permanent


def test_a_figure_that_agrees_is_named_as_it_is(sandbox: Sandbox, branches: list[int], extract: Extract) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    order = next(order for order in shop.rows(cloud, "orders") if order["documentType"] == "RECEIPT")
    shop.update(cloud, "orders", order["id"], {"totalValueRounded": 5.0, "versionDate": ms("2026-04-02T00:00")})
    done = extract(**MARCH)
    shop.update(cloud, "orders", order["id"], {"totalValueRounded": 6.0})
    with pytest.raises(fail_exception(), match=r": total \S+ instead of \S+ \(-1\), orders \d+\. Load the window"):
        check(manifests=done["manifest"])


def test_what_has_no_report_is_named(sandbox: Sandbox, branches: list[int], extract: Extract) -> None:
    cloud, rng = sandbox.cloud_ids[0], random.Random(2)
    gone = sandbox.shop.insert(cloud, "branches", {"id": branches[1] + 1})["id"]
    add_order(sandbox.shop, cloud, gone, ms("2026-03-29T12:00"), rng, documentType="RECEIPT", totalValueRounded=1.0)
    done = extract(**MARCH)
    sandbox.shop.remove(cloud, "branches", gone)
    (found,) = check(manifests=done["manifest"], on_difference="warn")["differences"]
    assert (found["branch_id"], found["held"], found["report"]) == (gone, {"total": "1", "orders": "1"}, None)
    with pytest.raises(fail_exception(), match=f"branch {gone}, which Dotypos doesn't know, 2026-03-01 to 2026-03-31"):
        check(manifests=done["manifest"])
    assert check(manifests=done["manifest"], branches=f"{branches[0]}, {branches[1]}")["agrees"]
    assert check(manifests=done["manifest"], branches=branches[0])["branches"] == 1


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_values_in_other_forms_count_and_what_cannot_be_read_differs(
    sandbox: Sandbox, branches: list[int], extract: Extract, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.behaviour = Behaviour(nulls="omitted", numbers="number", timestamp_zone="+01:00")
    shop, cloud = sandbox.shop, sandbox.cloud_ids[0]
    shop.insert(cloud, "orders", {"completed": None, "versionDate": ms("2026-03-29T12:00"), "_branchId": branches[0]})
    done = extract(file_format=file_format, **MARCH)
    assert check(manifests=done["manifest"])["agrees"]
    assert check(manifests=done["manifest"], count_canceled=False, on_difference="warn")["differences"]
    rows = CommittedSet.rows

    def odd(self: CommittedSet, table: str | None = None) -> Iterator[dict[str, Any]]:
        first, *others = rows(self, table)
        yield {**first, "totalValueRounded": "Jana", "flags": "Jana", "completed": "2026-03-29T12:00:00Z"}
        yield {**first, "id": "1", "completed": "Jana", "_branchId": "Jana"}
        yield {**first, "id": "2", "completed": "2026-03-29T12:00:00Z", "_branchId": "Jana", "versionDate": "Jana"}
        yield from others

    monkeypatch.setattr(CommittedSet, "rows", odd)
    result = check(manifests=done["manifest"], count_canceled=False, on_difference="warn")
    assert [found["branch_id"] for found in result["differences"]][-1] is None
    assert "Jana" not in str(result)


def test_a_report_like_an_empty_list_shows_no_sales(
    sandbox: Sandbox, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Dotypos answers so where nothing was sold is unknown. An empty list is answered so."""
    request = DotyposHook.request

    def without_sales(self: DotyposHook, method: str, path: str, **options: Any) -> Any:
        if path.endswith("/sales-report"):
            raise error_for(method, path, 404, {}, b"")
        return request(self, method, path, **options)

    done = extract(**MARCH)
    monkeypatch.setattr(DotyposHook, "request", without_sales)
    assert check(manifests=done["manifest"])["agrees"]
    fill(sandbox.shop, sandbox.cloud_ids[0], orders=1)
    sold = extract(overwrite=True, **MARCH)
    found = check(manifests=sold["manifest"], on_difference="warn", max_reports=0)["differences"]
    assert {difference["report"]["orders"] for difference in found} == {"0"}


def test_without_a_span_the_last_whole_days_are_compared(
    sandbox: Sandbox, branches: list[int], extract: Extract
) -> None:
    done = extract(**MARCH)
    result = check(manifests=done["manifest"], days=2, day_starts="04:00", timezone="Europe/Prague")
    assert (result["since"], result["until"]) == ("2026-03-30T02:00:00.000Z", "2026-04-01T02:00:00.000Z")
    assert (result["days"], result["agrees"]) == (2, True)


def test_templates_are_rendered_and_data_intervals_fit(sandbox: Sandbox, branches: list[int], extract: Extract) -> None:
    done = extract(**MARCH)
    operator = DotyposSalesReportCheckOperator(
        task_id="check",
        manifests="{{ manifest }}",
        entity="{{ entity }}",
        since="{{ data_interval_start }}",
        until="{{ data_interval_end }}",
        branches="{{ branch }}",
        timezone="{{ zone }}",
        day_starts="{{ opening }}",
        document_types="{{ types }}",
    )
    operator.render_template_fields(
        {
            "manifest": done["manifest"],
            "entity": "orders",
            "data_interval_start": datetime(2026, 3, 29, 1, tzinfo=timezone.utc),
            "data_interval_end": datetime(2026, 3, 30, 1, tzinfo=timezone.utc),
            "branch": branches[0],
            "zone": "Europe/Prague",
            "opening": "03:00",
            "types": "RECEIPT,INVOICE,CORRECTIVE_INVOICE",
        }  # type: ignore[typeddict-item]
    )
    result = operator.execute({})
    assert (result["since"], result["until"]) == ("2026-03-29T01:00:00.000Z", "2026-03-30T01:00:00.000Z")
    assert (result["days"], result["branches"], result["agrees"]) == (1, 1, True)


def test_it_can_be_mapped_over_branches_and_days() -> None:
    with DAG("d", schedule=None):
        fixed = DotyposSalesReportCheckOperator.partial(task_id="branches", conn_id="warehouse", since="{{ ds }}")
        branches = fixed.expand(branches=[1, 2], until=["{{ ts }}"])
        days = DotyposSalesReportCheckOperator.partial(task_id="days", conn_id="warehouse").expand_kwargs(
            [{"since": SINCE, "until": UNTIL}]
        )
    assert read_branches(branches.unmap({"branches": 2, "until": "{{ ts }}"}).branches) == {2}
    assert days.unmap({"since": SINCE, "until": UNTIL}).until == UNTIL


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"conn_id": None}, "give one of conn_id, destination, manifests, not none of them"),
        ({"destination": "s3://lake"}, "not conn_id and destination"),
        ({"conn_id": " "}, "conn_id must be the id"),
        ({"conn_id": None, "destination": "lake"}, "destination must be an absolute path"),
        ({"entity": "products"}, "orders or order-items, not with 'products'"),
        ({"entity": "order-items", "count_unpaid": False}, "are for orders"),
        ({"naming": "camel"}, "naming must be snake or api"),
        ({"on_difference": "ignore"}, "on_difference must be fail or warn"),
        ({"count_canceled": "False"}, "count_canceled must be True or False"),
        ({"days": 0, "since": None, "until": None}, "days must be a whole number, 1 or more"),
        ({"max_reports": True}, "max_reports must be a whole number, 0 or more"),
        ({"until": None}, "give since and until, or none"),
        ({"since": "2026-04-01"}, "window is empty"),
        ({"since": "yesterday"}, "since must be"),
        ({"timezone": "Prague"}, "IANA"),
        ({"day_starts": "4 a.m."}, "day_starts must be a time"),
        ({"branches": "first"}, "an id in branches is a whole number"),
        ({"branches": 5.0}, "branches must be ids"),
        ({"branches": True}, "an id in branches is a whole number"),
        ({"cloud_id": "abc"}, "cloud_id must be the cloud's number"),
        ({"shape": {5}}, "shape must be names"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be the id"),
    ],
    ids=str,
)
def test_bad_literals_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        DotyposSalesReportCheckOperator(
            **{"task_id": "check", "conn_id": "warehouse", "since": SINCE, "until": UNTIL, **arguments}
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"until": "2126-01-01"}, "lies in the future"),
        ({"destination": "file:///nowhere/lake"}, "destination: no sets lie below file:///nowhere/lake"),
        ({"destination": "file://{lake}", "cloud_id": 5}, "no committed set of orders of cloud 5 .*there: orders"),
        ({"destination": "file://{lake}"}, "holds no documentType, flags, paid of orders"),
        ({"destination": "file://{lake}", "shape": "0123abcd"}, "no committed set of orders .* of shape 0123abcd"),
        ({"manifests": "{manifest}", "entity": "order-items"}, "holds orders of cloud"),
        ({"manifests": "{narrow}"}, "holds no documentType, flags, paid of orders"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_refused(
    sandbox: Sandbox, extract: Extract, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    fill(sandbox.shop, sandbox.cloud_ids[0], orders=3)
    if any("{" in str(value) for value in arguments.values()):
        known = {
            "lake": f"{tmp_path}/lake",
            "manifest": extract(**MARCH)["manifest"],
            "narrow": extract(columns="completed,_branchId,totalValueRounded", **MARCH)["manifest"],
        }
        arguments = {name: str(value).format(**known) for name, value in arguments.items()}
    elif "destination" not in arguments:
        arguments = {"manifests": f"file://{tmp_path}/x", **arguments}
    with pytest.raises(fail_exception(), match=message):
        check(**arguments)


def test_a_kill_ends_the_wait_for_a_report(sandbox: Sandbox, branches: list[int], extract: Extract) -> None:
    done = extract(**MARCH)
    operator = DotyposSalesReportCheckOperator(task_id="check", manifests=done["manifest"], since=SINCE, until=UNTIL)
    operator.on_kill()  # before it began
    sandbox.faults.append(Fault("503", path="sales-report", times=1000))
    threading.Timer(0.5, operator.on_kill).start()
    with pytest.raises(DotyposCancelledError):
        operator.execute({})
