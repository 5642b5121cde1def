"""Any one call, as a task."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.exceptions import (
    DotyposError,
    DotyposInputError,
    DotyposUncertainWriteError,
    DotyposUnreadableAnswerError,
)
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.dotypos import MAX_RESULT_BYTES, DotyposOperator
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from tests.transfers.conftest import connection  # noqa: F401 (a fixture)

pytestmark = pytest.mark.usefixtures("connection")


def run(**arguments: Any) -> Any:
    return DotyposOperator(task_id="call", **arguments).execute({})


def test_a_read_returns_the_decoded_answer_or_what_the_filter_makes_of_it(sandbox: Sandbox) -> None:
    assert len(run(path="branches")["data"]) == 1
    names = run(path="/clouds", response_filter=lambda answer: [row["name"] for row in answer["data"]])
    assert len(names) == 2


def test_an_empty_list_is_an_answer_not_an_error(sandbox: Sandbox) -> None:
    assert run(path="orders", query={"filter": "paid|eq|true", "limit": 5})["data"] == []


def test_where_it_is_a_404_all_the_same_the_error_says_so(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(allow_version="ignored")
    with pytest.raises(fail_exception(), match="or the list is empty"):
        run(path="orders")


def test_a_query_is_encoded_once(sandbox: Sandbox) -> None:
    run(path="taxes", query={"filter": "deleted|in|0,1;name|like|a+b %"})
    assert sandbox.requests[-1].query["filter"] == "deleted|in|0,1;name|like|a+b %"


def test_a_write_is_sent_as_json(sandbox: Sandbox) -> None:
    created = run(path="tags", method="POST", json=[{"name": "vegan", "display": True}])
    assert created[0]["name"] == "vegan"


@pytest.mark.parametrize(
    "text",
    ['[{"name": "vegan", "display": true}]', ' [{"name":\n"vegan","display":true,"x":41.32231404958677685950413}]\n'],
)
def test_a_body_that_a_template_rendered_to_json_is_sent_as_it_stands(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    bodies: list[bytes | None] = []
    send = Transport.send

    def seen(self: Transport, request: Request) -> Answer:
        if request.path.endswith("/tags"):  # a check of a connection that another test gave up may still be asking
            bodies.append(request.body)
        return send(self, request)

    monkeypatch.setattr(Transport, "send", seen)
    try:
        assert run(path="tags", method="POST", json=text)[0]["name"] == "vegan"
    except fail_exception():  # the sandbox knows no x
        assert '"x"' in text
    assert bodies == [text.encode()]


def rendered(native: bool, template: Any) -> Any:
    with DAG("writes", schedule=None, render_template_as_native_obj=native):
        operator = DotyposOperator(task_id="call", path="tags", method="POST", json="{{ rows }}")
    operator.json = template
    operator.render_template_fields({"rows": [{"name": "vegan", "display": True}], "price": float("nan")})  # type: ignore[typeddict-item]
    return operator.execute({})


def test_a_template_gives_a_body_as_json_text_or_as_native_objects(sandbox: Sandbox) -> None:
    assert rendered(False, "{{ rows | tojson }}")[0]["name"] == "vegan"
    sandbox.shop.rows(sandbox.cloud_ids[0], "tags")[0]["name"] = "other"
    assert rendered(True, "{{ rows }}")[0]["name"] == "vegan"


@pytest.mark.parametrize(
    ("native", "template", "message"),
    [
        (False, "{{ rows }}", "tojson.*render_template_as_native_obj"),
        (False, "", "tojson"),
        (True, "vegan", "tojson"),
        (True, [{"name": "a", "price": "{{ price }}"}], r"json\[0\]\.price is nan"),
        (True, "5", "object or an array"),
    ],
)
def test_a_body_that_rendered_to_something_else_is_refused_unsent(
    sandbox: Sandbox, native: bool, template: Any, message: str
) -> None:
    with pytest.raises(fail_exception(), match=message):
        rendered(native, template)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "https://elsewhere.invalid/x"}, "path of the API"),
        ({"path": "../clouds"}, "segments"),
        ({"path": 5}, "path of the API"),
        ({"method": "FETCH"}, "method must be one of"),
        ({"query": ["limit", 5]}, "query must be a mapping"),
        ({"query": {"since": datetime(2026, 1, 1)}}, "since has no time zone"),
        ({"headers": {"Authorization": "x"}}, "must not set Authorization"),
        ({"headers": {"Content-Type": "text/csv"}, "json": "{{ rows }}"}, "a body is sent as JSON"),
        ({"json": "vegan"}, "json is text, but not"),
        ({"json": [{"price": float("nan")}]}, r"json\[0\]\.price is nan"),
        ({"cloud_id": "abc"}, "cloud_id must be the cloud's number"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be the id"),
        ({"response_filter": "data"}, "response_filter must be a function"),
    ],
    ids=str,
)
def test_bad_literals_are_refused_when_the_dag_is_parsed(arguments: Any, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        DotyposOperator(task_id="call", **{"path": "branches", **arguments})


def test_a_template_is_checked_once_it_is_rendered(sandbox: Sandbox) -> None:
    operator = DotyposOperator(task_id="call", path="{{ path }}", method="{{ method }}", headers={"X": "{{ x }}"})
    operator.render_template_fields({"path": "branches", "method": "FETCH", "x": "1"})  # type: ignore[typeddict-item]
    with pytest.raises(fail_exception(), match="method must be one of"):
        operator.execute({})


@pytest.mark.parametrize("argument", ["cloud_id", "query", "json"])
def test_a_result_of_none_does_not_change_what_a_write_does(sandbox: Sandbox, argument: str) -> None:
    operator = DotyposOperator(task_id="call", path="customers/5", method="DELETE", **{argument: "{{ nothing }}"})
    setattr(operator, argument, None)
    with pytest.raises(fail_exception(), match=f"{argument} is empty: its template rendered to nothing"):
        operator.execute({})
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "branches/1"}, "no such row"),
        ({"path": "branches", "cloud_id": 5}, "cloud 5, which cloud_id .in place of the connection's Cloud ID. names"),
        ({"path": "/clouds/5/branches"}, "cloud 5, which the path names"),
        ({"path": "branches", "query": {"perPage": 5}}, "limit"),
    ],
    ids=str,
)
def test_what_a_retry_cannot_cure_fails_the_task_at_once(arguments: Any, message: str) -> None:
    with pytest.raises(fail_exception(), match=message):
        run(**arguments)


def test_an_uncertain_write_fails_the_task_so_that_no_retry_repeats_it(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("reset-body", path="tags"))
    with pytest.raises(fail_exception(), match="may or may not") as caught:
        run(path="tags", method="POST", json=[{"name": "vegan", "display": True}])
    assert isinstance(caught.value.__context__, DotyposUncertainWriteError)


def test_a_passing_failure_is_left_to_airflows_retries(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_dotypos.api import retry

    short = retry.Patience(0.1, 0.1)
    monkeypatch.setattr(retry, "Patience", lambda *_: short)
    sandbox.faults.append(Fault("500", path="branches", times=1000))
    with pytest.raises(DotyposError, match="gave up"):
        run(path="branches")


def test_a_result_too_large_for_xcom_says_what_to_use_instead(sandbox: Sandbox) -> None:
    for _ in range(100):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"note": "x" * 1000})
    with pytest.raises(fail_exception(), match=f"{MAX_RESULT_BYTES}.*response_filter.*DotyposToObjectStorageOperator"):
        run(path="orders", query={"limit": 100})
    assert run(path="orders", query={"limit": 100}, response_filter=lambda answer: len(answer["data"])) == 100
    assert len(run(path="orders", query={"limit": 100}, do_xcom_push=False)["data"]) == 100


def test_a_written_rows_oversized_answer_is_left_out_not_failed(sandbox: Sandbox) -> None:
    rows = [{"name": f"{i}{'x' * 600}", "display": True} for i in range(100)]
    assert run(path="tags", method="POST", json=rows) is None
    assert len(sandbox.shop.rows(sandbox.cloud_ids[0], "tags")) == 100


@pytest.mark.parametrize("response_filter", [lambda answer: answer["nothing"], lambda answer: object()])
def test_a_write_whose_answer_cannot_be_made_into_a_result_is_not_repeated(
    sandbox: Sandbox, response_filter: Any
) -> None:
    with pytest.raises(fail_exception(), match="is done") as caught:
        run(path="tags", method="POST", json=[{"name": "vegan", "display": True}], response_filter=response_filter)
    error = caught.value.__context__
    assert isinstance(error, DotyposUnreadableAnswerError)
    path = f"/v2/clouds/{sandbox.cloud_ids[0]}/tags"
    assert (error.method, error.path, error.sent, error.status) == ("POST", path, True, 201)
    assert len(sandbox.shop.rows(sandbox.cloud_ids[0], "tags")) == 1


def test_a_kill_reads_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = DotyposOperator(task_id="call", path="branches")
    operator.on_kill()
    operator._hook = DotyposHook()
    monkeypatch.setattr(type(operator._hook), "get_connection", lambda *_: pytest.fail("a signal handler must not"))
    operator.on_kill()
