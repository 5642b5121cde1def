"""``DotyposPosActionOperator`` by Airflow's own task runner: tries, retries, deferrals (`operators/pos_action.py`).

And the same action by the hook (`hooks/pos_actions.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.exceptions import DotyposInputError, DotyposTillError, DotyposUncertainWriteError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.pos_action import DotyposPosActionOperator
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.triggers.pos_action import DotyposTillTrigger
from tests.task_runs import Ending, Supervisor, run_task, supervised
from tests.tills import CASH, orders, sent
from tests.tills import branch as branch
from tests.tills import slept as slept
from tests.tills import tea as tea

pytestmark = pytest.mark.usefixtures("connection", "slept")

NewTask = Callable[..., DotyposPosActionOperator]


@pytest.fixture
def task(branch: int) -> NewTask:
    def make(action: str, fields: Any = None, **arguments: Any) -> DotyposPosActionOperator:
        with DAG("tills", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
            arguments = {"branch_id": branch, "deferrable": False, "retries": 2, "poll_interval": 1} | arguments
            return DotyposPosActionOperator(task_id="act", action=action, fields=fields, **arguments)

    return make


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with supervised() as supervisor:
        yield supervisor


def plain(kwargs: Any) -> dict[str, Any]:
    """Return the values that stand in the database."""
    stored = json.loads(json.dumps(kwargs))
    return dict(stored.get("__var", stored))  # 3.1 says of what type they are


def resume(task: DotyposPosActionOperator, deferral: Ending, status: str = "over") -> Ending:
    """Go on as the triggerer has the task go on: by what stands in the database."""
    assert deferral.state == "deferred"
    kwargs = plain(deferral.message.next_kwargs) | {"event": {"status": status}}
    return run_task(task, next_method="execute_complete", next_kwargs=kwargs)


def test_a_sale_from_templates(sandbox: Sandbox, task: NewTask, supervisor: Supervisor, tea: int) -> None:
    fields = {"external-id": "{{ run_id }}", "payment-method-id": str(CASH), "items": [{"id": str(tea)}]}
    sale = task("order/create-issue-pay", fields, response_filter=lambda answer: answer["order"]["price-total"])
    assert run_task(sale).state == "success"
    (order,) = orders(sandbox)
    expected = {"status": "done", "order_id": str(order["id"]), "code": 0, "warnings": {}, "answer": 40}
    assert supervisor.result == expected
    assert (order["externalId"], order["paid"]) == ("run", True)


def test_fields_may_be_json_text_and_what_it_says_is_checked(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor
) -> None:
    assert run_task(task("order/create", '{"external-id": "{{ run_id }}"}')).state == "success"
    ending = run_task(task("order/create", '{"external-id": "{{ run_id }};"}'))
    assert (ending.state, "external-id must not hold" in str(ending.error)) == ("failed", True)


def test_a_cloud_that_is_a_task_s_result_of_none_is_not_the_connections(sandbox: Sandbox, task: NewTask) -> None:
    act = task("order/list", cloud_id="{{ nothing }}")
    act.cloud_id = None
    with pytest.raises(fail_exception(), match="cloud_id is empty: its template rendered to nothing"):
        act.execute({})
    assert sent(sandbox) == []


def test_no_answer_is_in_the_result_without_a_filter(task: NewTask, supervisor: Supervisor) -> None:
    run_task(task("order/create", {"external-id": "x", "note": "for Ada Lovelace"}))
    assert supervisor.result.keys() == {"status", "order_id", "code", "warnings"}


def test_a_filter_that_fails_does_not_let_the_action_come_again(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor
) -> None:
    ending = run_task(task("order/create", {"external-id": "x"}, response_filter=lambda answer: answer["total"]))
    assert (ending.state, "mend response_filter" in str(ending.error)) == ("failed", True)
    assert sent(sandbox) == ["order/create"]


@pytest.mark.parametrize("kind", ["404-empty", "429"])
def test_a_silent_or_busy_till_holds_no_slot(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor, branch: int, kind: str
) -> None:
    sandbox.faults.append(Fault(kind, path="/pos-actions", times=2))
    act = task("order/create", {"external-id": "x"}, deferrable=True)
    deferral = run_task(act)
    assert deferral.message.classpath == "airflow_provider_dotypos.triggers.pos_action.DotyposTillTrigger"
    trigger = DotyposTillTrigger(**plain(deferral.message.trigger_kwargs))
    assert (trigger.branch_id, trigger.poll_interval) == (str(branch), 1)
    again = resume(act, deferral)  # it was there for a moment
    assert resume(act, again).state == "success"
    assert sent(sandbox) == ["order/create"]


def test_a_worker_waits_itself_if_the_triggerer_can_not(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor, slept: list[float]
) -> None:
    sandbox.faults.append(Fault("404-empty", path="/pos-actions", times=4))
    act = task("order/create", {"external-id": "x"}, deferrable=True)
    assert resume(act, run_task(act), status="unable").state == "success"
    assert slept.count(1) == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_till_that_falls_silent_behind_an_action_is_settled_after_the_deferral(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor, when: str
) -> None:
    sandbox.faults.append(Fault("404-empty", when=when, path="/pos-actions", skip=1))
    act = task("order/create", {"external-id": "x"}, deferrable=True)
    assert resume(act, run_task(act)).state == "success"
    assert supervisor.result["status"] == "done"
    assert sent(sandbox) == ["order/create"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_till_that_stays_silent_is_left_to_retries(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor, deferrable: bool
) -> None:
    sandbox.faults.append(Fault("404-empty", path="/pos-actions", times=9))
    act = task("order/create", {"external-id": "x"}, wait=0, deferrable=deferrable)
    ending = run_task(act)
    assert (ending.state, type(ending.error)) == ("up_for_retry", DotyposTillError)
    assert "Switch it on. (connection 'dotypos_default')" in str(ending.error)
    sandbox.faults.clear()
    assert run_task(act, try_number=2).state == "success"
    assert sent(sandbox) == ["order/create"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_try_has_sent_in_vain_the_next_one_settles(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor, when: str
) -> None:
    sandbox.faults.append(Fault("404-empty", when=when, path="/pos-actions", skip=1))
    sandbox.faults.append(Fault("404-empty", path="/pos-actions", skip=1))
    act = task("order/create", {"external-id": "x"}, wait=0)
    ending = run_task(act)
    assert (ending.state, "was sent, and may have been carried out" in str(ending.error)) == ("up_for_retry", True)
    sandbox.faults.clear()
    assert run_task(act, try_number=2).state == "success"
    assert supervisor.result["status"] == ("already" if when == "after" else "done")
    assert sent(sandbox) == ["order/create"]


class TestAddedItems:
    """Nothing decides whether items were added: Airflow's retries send none, and a person who clears the task does."""

    @pytest.fixture
    def add(self, task: NewTask, supervisor: Supervisor, tea: int) -> DotyposPosActionOperator:
        run_task(task("order/create", {"external-id": "x"}))
        return task("order/add-item", {"order-id": supervisor.result["order_id"], "items": [{"id": tea}]}, wait=0)

    def test_a_lost_answer(self, sandbox: Sandbox, add: DotyposPosActionOperator) -> None:
        sandbox.faults.append(Fault("reset", when="after", path="/pos-actions", skip=1))
        ending = run_task(add)
        assert (ending.state, "look at the order at the till" in str(ending.error)) == ("failed", True)
        assert sent(sandbox) == ["order/create", "order/add-item"]

    def test_a_worker_that_died(self, sandbox: Sandbox, add: DotyposPosActionOperator) -> None:
        ending = run_task(add, try_number=2)
        assert (ending.state, "An earlier try of this task may have sent it" in str(ending.error)) == ("failed", True)
        assert sent(sandbox) == ["order/create"]
        assert run_task(add, try_number=3, cleared=2).state == "success"
        assert run_task(add, try_number=4, cleared=2).state == "failed"
        assert sent(sandbox) == ["order/create", "order/add-item"]

    def test_a_till_that_is_not_there(self, sandbox: Sandbox, add: DotyposPosActionOperator) -> None:
        sandbox.faults.append(Fault("404-empty", path="/pos-actions"))
        ending = run_task(add)
        assert (ending.state, "was not carried out" in str(ending.error)) == ("failed", True)
        assert "clear the task to send it again" in str(ending.error)
        assert sent(sandbox) == ["order/create"]

    def test_a_task_that_was_put_off_has_sent_nothing(
        self, sandbox: Sandbox, add: DotyposPosActionOperator, supervisor: Supervisor
    ) -> None:
        sandbox.faults.append(Fault("429", retry_after="3600", path="/pos-actions", times=9))
        assert run_task(add).state == "up_for_reschedule"
        sandbox.faults.clear()
        supervisor.first_reschedule = datetime.now(timezone.utc)
        assert run_task(add).state == "success"


def test_a_payment_of_a_task_that_was_put_off_is_settled(
    sandbox: Sandbox, task: NewTask, supervisor: Supervisor, tea: int
) -> None:
    run_task(task("order/create", {"external-id": "x", "items": [{"id": tea}]}))
    fields = {"order-id": supervisor.result["order_id"], "payment-method-id": CASH}
    pay = task("order/issue-and-pay", fields)
    sandbox.faults.append(Fault("reset", when="after", path="/pos-actions", skip=1))
    sandbox.faults.append(Fault("429", retry_after="3600", path="/pos-actions", skip=1, times=9))
    assert run_task(pay).state == "up_for_reschedule"
    sandbox.faults.clear()
    supervisor.first_reschedule = datetime.now(timezone.utc)
    assert run_task(pay).state == "success"
    assert supervisor.result["status"] == "already"
    assert sent(sandbox) == ["order/create", "order/issue-and-pay"]


def test_a_fiscal_document_is_warned_of(
    task: NewTask, supervisor: Supervisor, tea: int, caplog: pytest.LogCaptureFixture
) -> None:
    run_task(task("order/create", {"external-id": "x", "items": [{"id": tea}]}))
    assert "fiscal" not in caplog.text
    run_task(task("order/issue", {"order-id": supervisor.result["order_id"]}))
    assert "order/issue issues a fiscal document. Nothing can undo that." in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "order/paye"}, "did you mean 'order/pay'"),
        ({"action": "{{ var.value.action }}"}, "action must be a POS action"),
        ({"fields": {}}, "external-id is missing"),
        ({"fields": "external-id"}, "fields is text, but not that of a JSON object"),
        ({"branch_id": "Praha"}, "branch_id is a whole number"),
        ({"wait": -1}, "wait must be seconds, 0 or more"),
        ({"wait": "10"}, "wait must be seconds"),
        ({"wait": float("inf")}, "wait must be seconds, 0 or more"),
        ({"wait": 10**400}, "wait must be seconds, 0 or more, or a timedelta, not a very large int"),
        ({"poll_interval": 0}, "poll_interval must be seconds, 1 or more"),
        ({"valid_for": timedelta(days=1)}, "valid_for must be seconds, 1 to 3600"),
        ({"settle": float("nan")}, "settle must be seconds, 0 to"),
        ({"deferrable": "yes"}, "deferrable must be True or False"),
        ({"response_filter": "id"}, "response_filter must be a function"),
        ({"cloud_id": "abc"}, "cloud_id must be the cloud's number"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be the id"),
    ],
    ids=str,
)
def test_bad_literals_are_refused_when_the_dag_is_parsed(arguments: Any, message: str) -> None:
    good = {"branch_id": 5, "action": "order/create", "fields": {"external-id": "x"}}
    with pytest.raises(DotyposInputError, match=message):
        DotyposPosActionOperator(task_id="act", **good | arguments)


def test_templates_are_checked_when_they_are_rendered(sandbox: Sandbox, task: NewTask, supervisor: Supervisor) -> None:
    made = task("order/create", {"external-id": "{{ run_id }}"}, branch_id="{{ run_id }}")
    ending = run_task(made)
    assert (ending.state, "branch_id is a whole number" in str(ending.error)) == ("failed", True)
    assert not sandbox.requests


def test_a_kill_reads_no_connection(monkeypatch: pytest.MonkeyPatch, task: NewTask) -> None:
    operator = task("order/hello")
    operator.on_kill()
    operator._hook = DotyposHook()
    monkeypatch.setattr(type(operator._hook), "get_connection", lambda *_: pytest.fail("a signal handler must not"))
    operator.on_kill()


class TestTheHook:
    def test_it_returns_plain_values(self, branch: int, tea: int) -> None:
        made = DotyposHook().pos_action(branch, "order/create", {"external-id": "x", "items": [{"id": tea}]})
        assert json.loads(json.dumps(made)) == made
        assert (made["status"], made["answer"]["order"]["external-id"]) == ("done", "x")

    def test_it_waits_for_the_till(self, sandbox: Sandbox, branch: int, slept: list[float]) -> None:
        sandbox.faults.append(Fault("404-empty", path="/pos-actions", times=2))
        hello = DotyposHook().pos_action(branch, "order/hello", wait=timedelta(minutes=5), poll_interval=7)
        assert hello["answer"]["timezone"] == "Europe/Prague"
        assert slept.count(7) == 2

    def test_what_was_sent_in_vain_is_uncertain_until_it_is_repeated(self, sandbox: Sandbox, branch: int) -> None:
        sandbox.faults.append(Fault("404-empty", when="after", path="/pos-actions", skip=1))
        with pytest.raises(DotyposUncertainWriteError, match=r"and now: .*dotypos_default"):
            DotyposHook().pos_action(branch, "order/create", {"external-id": "x"}, wait=0)
        again = DotyposHook().pos_action(branch, "order/create", {"external-id": "x"}, repeated=True)
        assert again["status"] == "already"
        assert sent(sandbox) == ["order/create"]

    def test_a_till_that_is_not_there(self, sandbox: Sandbox, branch: int) -> None:
        sandbox.faults.append(Fault("429", path="/pos-actions"))
        with pytest.raises(DotyposTillError, match="is busy") as caught:
            DotyposHook().pos_action(branch, "order/hello", wait=0)
        assert caught.value.connection == "dotypos_default"

    def test_bad_arguments(self, branch: int) -> None:
        for arguments in ({"wait": -1}, {"poll_interval": 0}, {"valid_for": 0}, {"settle": None}):
            with pytest.raises(DotyposInputError, match="must be seconds"):
                DotyposHook().pos_action(branch, "order/hello", **arguments)
