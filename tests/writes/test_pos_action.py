"""POS actions at the sandbox's till: carried out once, whatever becomes of their answers.

`writes/pos_action.py`, `api/till.py`, `api/pos_errors.py`, and what `exchange` does with a busy till.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.pos_codes import CODES, Means
from airflow_provider_dotypos.api.pos_errors import DotyposBusyError
from airflow_provider_dotypos.api.retry_table import BUSY, SILENT
from airflow_provider_dotypos.exceptions import (
    DotyposCancelledError,
    DotyposInputError,
    DotyposNotFoundError,
    DotyposPosActionError,
    DotyposRateLimitError,
    DotyposTillError,
    DotyposUncertainWriteError,
)
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.api import pos
from airflow_provider_dotypos.writes import pos_action
from airflow_provider_dotypos.writes.pos_action import EARLIER, PosCall, PosResult, carry_out, carry_out_patiently
from tests.conftest import NewClient
from tests.stepping import KilledError
from tests.tills import CASH, orders, sent
from tests.tills import branch as branch
from tests.tills import slept as slept
from tests.tills import tea as tea

Act = Callable[..., PosResult]


@pytest.fixture
def act(new_client: NewClient, branch: int, slept: list[float]) -> Act:
    client = new_client()

    def carry_out_at_once(
        action: str, doubt: Any = None, wait: float | None = None, valid_for: float = 25, **fields: Any
    ) -> PosResult:
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        call = PosCall.of(branch, action, fields, valid_for=valid_for)
        if wait is None:
            return client.run(carry_out(client, call, doubt))
        return client.run(carry_out_patiently(client, call, doubt, wait=wait, poll_interval=1))

    return carry_out_at_once


def lose(sandbox: Sandbox, kind: str, when: str, skip: int = 1, **more: Any) -> None:
    """Let the action behind the hello fail."""
    sandbox.faults.append(Fault(kind, when=when, path="/pos-actions", skip=skip, **more))


#: How an action is lost: the failure, and whether the till carries it out before it, after it, or not at all.
LOST = [
    ("404-empty", "before"),
    ("404-empty", "after"),
    ("reset", "before"),
    ("reset", "after"),
    ("500", "after"),
    ("502", "before"),
    ("cut-json", "after"),
    ("html-200", "after"),
    ("404-html", "after"),
    ("404-empty", "late"),
    ("reset", "late"),
]


def test_an_order_is_made_issued_and_paid(sandbox: Sandbox, act: Act, tea: int, branch: int) -> None:
    made = act("order/create", external_id="web-1", items=[{"id": str(tea), "qty": 2}])
    assert (made.status, made.code, made.answer["order"]["price-total"]) == ("done", 0, 80)
    assert act("order/issue", order_id=made.order_id).status == "done"
    paid = act("order/pay", order_id=made.order_id, payment_method_id=CASH)
    assert (paid.order_id, paid.answer["order"]["paid"]) == (made.order_id, True)
    paths = [request.path.rpartition("/")[2] for request in sandbox.requests if request.method == "POST"]
    assert paths == ["token", *["pos-actions"] * 6]  # a hello before each


def test_harmless_actions_are_sent_alone_and_again(sandbox: Sandbox, act: Act) -> None:
    lose(sandbox, "503", "after", skip=0)
    assert act("order/hello").answer["registerStatus"] == "open"
    lose(sandbox, "reset", "before", skip=0)
    assert act("order/list").answer["orders"] == []
    assert sent(sandbox) == []


@pytest.mark.parametrize(
    ("kind", "when", "unit"),
    [(*lost, ("s", "ms")[number % 2]) for number, lost in enumerate(LOST)],
    ids=["-".join(lost) for lost in LOST],
)
class TestALostAnswer:
    """Each action is carried out once, whether its answer is lost before, after, or long before it is carried out."""

    @pytest.fixture(autouse=True)
    def _lose(self, sandbox: Sandbox, act: Act, tea: int, unit: str) -> None:
        sandbox.behaviour = Behaviour(pos_validity=unit)
        self.order = act("order/create", external_id="given", items=[{"id": tea}]).order_id
        sandbox.writes.clear()

    def lose(self, sandbox: Sandbox, kind: str, when: str, skip: int = 1) -> None:
        # What is late comes as soon as its validity has passed, or a little before.
        lose(sandbox, kind, when, skip, **({"seconds": 20.0} if when == "late" else {}))

    def test_of_a_new_order(self, sandbox: Sandbox, act: Act, tea: int, kind: str, when: str) -> None:
        self.lose(sandbox, kind, when)
        result = act("order/create", wait=60, external_id="new", items=[{"id": tea}])
        assert result.status == "done"
        assert [order["externalId"] for order in orders(sandbox)] == ["given", "new"]
        assert sent(sandbox) == ["order/create"]

    def test_of_an_issue_and_a_payment(self, sandbox: Sandbox, act: Act, kind: str, when: str) -> None:
        self.lose(sandbox, kind, when)
        assert act("order/issue", wait=60, order_id=self.order).status == "done"
        self.lose(sandbox, kind, when)
        assert act("order/pay", wait=60, order_id=self.order, payment_method_id=CASH).status == "done"
        assert sent(sandbox) == ["order/issue", "order/pay"]

    def test_of_a_cancellation(self, sandbox: Sandbox, act: Act, kind: str, when: str) -> None:
        empty = act("order/create", external_id="empty").order_id
        self.lose(sandbox, kind, when)
        assert act("order/cancel", wait=60, order_id=empty).status == "done"
        assert sent(sandbox) == ["order/create", "order/cancel"]

    def test_of_a_status_transition(self, sandbox: Sandbox, act: Act, kind: str, when: str) -> None:
        self.lose(sandbox, kind, when)
        move = {"order_id": self.order, "status_transition": "prepare_to_pickup"}
        assert act("order/perform-status-transition", wait=60, **move).status == "done"
        assert sent(sandbox) == ["order/perform-status-transition"]

    def test_of_added_items_is_an_error_and_never_sent_again(
        self, sandbox: Sandbox, act: Act, tea: int, kind: str, when: str
    ) -> None:
        self.lose(sandbox, kind, when)
        with pytest.raises(DotyposUncertainWriteError) as caught:
            act("order/add-item", wait=60, order_id=self.order, items=[{"id": tea}])
        assert caught.value.permanent
        assert "look at the order at the till" in str(caught.value)
        before = [request.path for request in sandbox.requests]
        with pytest.raises(DotyposUncertainWriteError, match="An earlier try"):
            act("order/add-item", EARLIER, order_id=self.order, items=[{"id": tea}])
        assert [request.path for request in sandbox.requests] == before
        assert len(sent(sandbox)) == (when == "after")


def test_a_transition_that_nobody_knows_is_never_sent_again(sandbox: Sandbox, act: Act) -> None:
    order = act("order/create", external_id="x").order_id
    lose(sandbox, "reset", "before")
    with pytest.raises(DotyposUncertainWriteError):
        act("order/perform-status-transition", order_id=order, status_transition="fly")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("lag", [0.0, 40.0])
def test_what_a_dead_try_may_have_sent_is_looked_for_before_anything_is_sent(
    sandbox: Sandbox, act: Act, tea: int, when: str, lag: float
) -> None:
    sandbox.behaviour = Behaviour(commit_lag=lag)
    if when == "after":
        act("order/create", external_id="new", items=[{"id": tea}])
    result = act("order/create", EARLIER, external_id="new", items=[{"id": tea}])
    assert result.status == ("already" if when == "after" else "done")
    assert sent(sandbox) == ["order/create"]


def test_what_a_dead_try_has_sent_comes_late(sandbox: Sandbox, act: Act, tea: int) -> None:
    """It was killed while its action was on the way; the next one begins at once."""
    lose(sandbox, "reset", "late", seconds=24.0)

    def die(*_: Any) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pos_action._Course, "_note_doubt", die)
        with pytest.raises(KilledError):
            act("order/create", external_id="new", items=[{"id": tea}])
    assert orders(sandbox) == []
    assert act("order/create", EARLIER, external_id="new", items=[{"id": tea}]).status == "already"
    assert len(orders(sandbox)) == 1


@pytest.mark.parametrize(
    ("valid_for", "late"),
    [
        (25, 100.0),  # long after it was found not to be there: the till refuses it
        (120, 100.0),  # it may be carried out so late, so nothing is concluded before
    ],
)
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_what_comes_late_comes_once(
    sandbox: Sandbox, act: Act, tea: int, valid_for: float, late: float, unit: str
) -> None:
    sandbox.behaviour = Behaviour(pos_validity=unit)
    lose(sandbox, "reset", "late", seconds=late)
    assert act("order/create", valid_for=valid_for, external_id="new", items=[{"id": tea}]).status == "done"
    sandbox.carry_out_late_requests()
    assert len(orders(sandbox)) == 1


@pytest.mark.parametrize(("asleep", "carried_out_late"), [(10.0, True), (60.0, False)])
def test_a_till_that_falls_asleep_with_the_action_and_wakes_up(
    sandbox: Sandbox, act: Act, monkeypatch: pytest.MonkeyPatch, asleep: float, carried_out_late: bool
) -> None:
    sandbox.device.patience = 0.02
    real, woken = pos._Action.hello, []

    def fall_asleep(action: Any) -> Any:
        sandbox.device.silent = not woken
        return real(action)

    def wake_up(client: DotyposClient, seconds: float) -> None:
        sandbox.shop.advance(max(seconds, asleep) if not woken else seconds)
        if sandbox.device.silent and seconds >= 1:
            woken.append(seconds)
            sandbox.device.wake()

    monkeypatch.setitem(pos._ACTIONS, "order/hello", fall_asleep)
    monkeypatch.setattr(DotyposClient, "sleep", wake_up)
    assert act("order/create", wait=60, external_id="x").status == "done"
    assert [write.late for write in sandbox.writes] == [carried_out_late]
    assert len(orders(sandbox)) == 1


def test_a_payment_of_a_dead_try_is_already_there_and_a_strangers_is_not(sandbox: Sandbox, act: Act, tea: int) -> None:
    order = act("order/create-issue-pay", external_id="x", items=[{"id": tea}], payment_method_id=CASH).order_id
    with pytest.raises(DotyposPosActionError, match="2004: the order is already paid") as caught:
        act("order/pay", order_id=order, payment_method_id=CASH)
    assert (caught.value.code, caught.value.permanent) == (2004, True)
    assert act("order/pay", EARLIER, order_id=order, payment_method_id=CASH).status == "already"


@pytest.mark.parametrize(("action", "costs"), [("order/create", [3, 5, 9]), ("order/pay", [2, 5, 5])])
def test_what_an_action_costs_without_and_with_a_lost_answer(
    sandbox: Sandbox, act: Act, tea: int, slept: list[float], action: str, costs: list[int]
) -> None:
    cost: list[int] = []
    for when in (None, "after", "before"):
        fields: dict[str, Any] = {"external_id": f"lost {when}", "items": [{"id": tea}]}
        if action == "order/pay":
            order = act("order/create-issue", payment_method_id=CASH, **fields)
            fields = {"order_id": order.order_id, "payment_method_id": CASH}
        sandbox.requests.clear()
        if when is not None:
            lose(sandbox, "reset", when)
        assert act(action, **fields).status == "done"
        cost.append(sum("signin" not in request.path for request in sandbox.requests))
    assert cost == costs
    assert sum(slept) < 2 * 90


def test_a_run_that_is_repeated_makes_no_second_order(sandbox: Sandbox, act: Act, tea: int) -> None:
    first, second = (act("order/create", external_id="web-1", items=[{"id": tea}]) for _ in range(2))
    assert (first.status, second.status, second.order_id) == ("done", "already", first.order_id)
    assert len(orders(sandbox)) == 1


def test_a_branch_may_be_written_with_zeros(new_client: NewClient, sandbox: Sandbox, branch: int, slept: Any) -> None:
    client = new_client()
    call = PosCall.of(f"0{branch}", "order/create", {"external-id": "x"})
    assert [client.run(carry_out(client, call)).status for _ in range(2)] == ["done", "already"]


@pytest.mark.parametrize("action", ["order/issue", "order/update"])
def test_a_repeat_that_is_refused_does_not_say_that_the_first_was_not_carried_out(
    sandbox: Sandbox, act: Act, tea: int, action: str
) -> None:
    order = act("order/create", external_id="x", items=[{"id": tea}]).order_id
    lose(sandbox, "reset", "after")
    sandbox.device.codes = [0, 2002]
    with pytest.raises(DotyposUncertainWriteError, match=r"A repeat was refused: .* 2002: there is no such order"):
        act(action, order_id=order)


def test_a_sale_that_was_carried_out_in_part_is_named_and_not_doubled(sandbox: Sandbox, act: Act, tea: int) -> None:
    sale = {"external_id": "x", "items": [{"id": tea}]}
    with pytest.raises(DotyposPosActionError, match=r"2003: .*made, and stays open"):
        act("order/create-issue-pay", **sale, payment_method_id=5)
    with pytest.raises(DotyposPosActionError, match="no second one was made") as caught:
        act("order/create-issue-pay", **sale, payment_method_id=CASH)
    (order,) = orders(sandbox)
    assert caught.value.order_id == str(order["id"])
    assert caught.value.permanent


def test_an_external_id_that_several_orders_have_is_an_error(sandbox: Sandbox, act: Act, branch: int) -> None:
    for _ in range(2):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"externalId": "x", "_branchId": branch})
    with pytest.raises(DotyposInputError, match="was not sent: 2 orders"):
        act("order/create", external_id="x")
    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"externalId": "y", "_branchId": branch + 1})
    assert act("order/create", external_id="y").status == "done"  # the other is another branch's


@pytest.mark.parametrize(("kind", "reason"), [("404-empty", SILENT), ("404-html", SILENT), ("429", BUSY)])
def test_a_till_that_is_not_there_is_waited_for_and_gets_no_action(
    sandbox: Sandbox, act: Act, tea: int, slept: list[float], kind: str, reason: str, branch: int
) -> None:
    sandbox.faults.append(Fault(kind, path="/pos-actions", times=3))
    result = act("order/create", wait=60, external_id="x", items=[{"id": tea}])
    assert result.status == "done"
    assert slept.count(1) == 3
    sandbox.faults.append(Fault(kind, path="/pos-actions", times=3))
    with pytest.raises(DotyposTillError) as caught:
        act("order/cancel", wait=0, order_id=result.order_id)
    assert caught.value.reason == reason
    assert not caught.value.permanent
    assert sent(sandbox) == ["order/create"]


def test_a_till_that_falls_silent_behind_the_action_and_stays_so_leaves_a_doubt(sandbox: Sandbox, act: Act) -> None:
    order = act("order/create", external_id="x").order_id
    sandbox.faults.append(Fault("404-empty", path="/pos-actions", skip=1, times=99))
    with pytest.raises(DotyposTillError) as caught:
        act("order/cancel", order_id=order)
    assert caught.value.doubt is not None
    with pytest.raises(DotyposTillError) as again:
        act("order/cancel", caught.value.doubt, wait=0, order_id=order)
    assert again.value.doubt == caught.value.doubt
    sandbox.faults.clear()
    assert act("order/cancel", caught.value.doubt, order_id=order).status == "done"


def test_a_branch_that_does_not_exist_is_no_silent_till(act: Act, new_client: NewClient) -> None:
    client = new_client()
    with pytest.raises(DotyposNotFoundError, match="There is no branch 5: check branch_id"):
        client.run(carry_out(client, PosCall.of(5, "order/hello")))


def test_other_calls_go_on_beside_a_busy_till(sandbox: Sandbox, act: Act, new_client: NewClient) -> None:
    """The same credentials, so the same gate: a 429 of a list closes it for all."""
    sandbox.faults.append(Fault("429", path="/pos-actions", times=2))
    client = new_client()
    for _ in range(2):
        with pytest.raises(DotyposTillError):
            act("order/hello")
        before = time.monotonic()
        client.call("GET", "branches", decode=lambda answer: answer)
        assert time.monotonic() - before < 1
    gate = client._channel.lane(sandbox.cloud_ids[0]).gate
    assert (gate.refusals, gate.throttled_for) == (0, 0.0)


def test_a_plain_call_of_a_busy_or_silent_till_is_that_tills_matter(
    sandbox: Sandbox, new_client: NewClient, branch: int
) -> None:
    client = new_client()
    for kind, error in (("429", DotyposBusyError), ("404-html", DotyposNotFoundError)):
        sandbox.faults.append(Fault(kind, path="/pos-actions"))
        with pytest.raises(error, match="till"):
            client.call(
                *("POST", f"branches/{branch}/pos-actions"),
                json={"action": "order/pay"},
                decode=lambda answer: answer,
            )
    assert client._channel.lane(sandbox.cloud_ids[0]).gate.refusals == 0


def test_a_429_that_says_for_how_long_is_everybodys(sandbox: Sandbox, act: Act, slept: list[float]) -> None:
    sandbox.faults.append(Fault("429", retry_after="1", path="/pos-actions"))
    assert act("order/hello").status == "done"
    assert any(seconds >= 1 for seconds in slept)
    sandbox.faults.append(Fault("429", retry_after="3600", path="/pos-actions", times=9))
    with pytest.raises(DotyposRateLimitError):
        act("order/hello")


def test_a_silent_till_holds_nobody_up(sandbox: Sandbox, new_client: NewClient, branch: int) -> None:
    client = new_client()
    client.sign_in()
    till = client.twin()
    silent = Fault("hang", path="/pos-actions")
    sandbox.faults.append(silent)

    def ask() -> None:
        with suppress(DotyposCancelledError):
            till.run(carry_out(till, PosCall.of(branch, "order/hello")))

    thread = threading.Thread(target=ask)
    thread.start()
    while silent.times:
        time.sleep(0.001)
    client.call("GET", "branches", decode=lambda answer: answer)
    assert thread.is_alive()
    till.cancel()
    sandbox.stop()  # which ends what hangs
    thread.join()


@pytest.mark.parametrize("action", ["order/issue", "order/add-item"])
def test_each_code(sandbox: Sandbox, act: Act, tea: int, action: str) -> None:
    for code, known in CODES.items():
        order = act("order/create", external_id=f"for {code}", items=[{"id": tea}]).order_id
        fields: dict[str, Any] = {"order_id": order} | ({"items": [{"id": tea}]} if "item" in action else {})
        sandbox.writes.clear()
        sandbox.device.codes = [code]
        if known.means in (Means.DONE, Means.EXPIRED) or (known.means is Means.UNSURE and action == "order/issue"):
            assert act(action, **fields).status == "done"
            assert sent(sandbox) == [action]
        elif known.means is Means.UNSURE:
            with pytest.raises(DotyposUncertainWriteError, match=str(code)):
                act(action, **fields)
        else:
            with pytest.raises(DotyposPosActionError, match=f"{action}: the till answered {code}: ") as caught:
                act(action, **fields)
            assert (caught.value.code, caught.value.permanent) == (code, known.means is not Means.PASSES)
            assert sent(sandbox) == []


def test_a_code_that_nobody_knows_may_mean_that_it_was_done(sandbox: Sandbox, act: Act, tea: int) -> None:
    sandbox.device.codes += [4711]
    assert act("order/create", external_id="x", items=[{"id": tea}]).status == "done"
    sandbox.device.codes += [4711] * 3
    with pytest.raises(DotyposUncertainWriteError, match="4711: a code that this version does not know"):
        act("order/create", external_id="y", items=[{"id": tea}])
    assert sent(sandbox) == ["order/create"]


def test_an_action_that_is_always_late_says_so(sandbox: Sandbox, act: Act) -> None:
    sandbox.device.codes += [1007] * 3
    with pytest.raises(DotyposPosActionError, match=r"1007.*valid_for"):
        act("order/create", external_id="x")


def test_a_till_whose_hello_ignores_validity_may_read_it_in_milliseconds(
    sandbox: Sandbox, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pos._Action.is_late
    monkeypatch.setattr(pos._Action, "is_late", lambda self: self.name != "order/hello" and real(self))
    sandbox.behaviour = Behaviour(pos_validity="ms")
    assert act("order/create", external_id="x").status == "done"


def test_a_gateway_in_trouble_is_no_proof_that_there_is_no_order(sandbox: Sandbox, act: Act) -> None:
    lose(sandbox, "404-empty", "after")
    sandbox.faults.append(Fault("404-empty", path="/orders", skip=1, times=2))  # it is looked for before, too
    assert act("order/create", wait=60, external_id="x").status == "done"
    assert len(orders(sandbox)) == 1


@pytest.mark.parametrize("ahead", [-86_400, 86_400])
def test_the_tills_clock_may_be_off(sandbox: Sandbox, act: Act, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sandbox.shop.now
    monkeypatch.setattr(sandbox.shop, "now", lambda: real() + ahead * 1000)
    lose(sandbox, "404-empty", "late", seconds=30.0)
    assert act("order/create", wait=60, external_id="x").status == "done"
    assert len(orders(sandbox)) == 1


def test_a_till_without_a_clock_gets_no_action(sandbox: Sandbox, act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pos._result
    monkeypatch.setattr(pos, "_result", lambda *args: real(*args) | {"deviceTimestamp": None})
    with pytest.raises(Exception, match="doesn't say what time it is"):
        act("order/create", external_id="x")
    assert orders(sandbox) == []


def test_what_did_not_go_as_it_should_is_in_the_result_and_the_log(
    sandbox: Sandbox, act: Act, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = pos._result
    failed = [{"code": 100007, "description": "the print failed", "localized-description": None}, "?"]
    monkeypatch.setattr(pos, "_result", lambda *args: real(*args) | {"pass-through-errors": failed})
    assert act("order/create", external_id="x").warnings == {"100007": "the print failed"}
    assert "order/create was carried out, but: 100007 the print failed" in caplog.text
