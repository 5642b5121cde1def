"""Rounds of random failures, lags and deaths around POS actions: each is carried out once (`writes/pos_action.py`)."""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.exceptions import DotyposError, DotyposUncertainWriteError
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.pos_action import EARLIER, PosCall, PosResult, carry_out, carry_out_patiently
from tests.conftest import NewClient
from tests.tills import CASH
from tests.tills import branch as branch
from tests.tills import slept as slept
from tests.tills import tea as tea

ROUNDS = 60
KINDS = ("404-empty", "401-empty", "reset", "500", "502", "503", "cut-json", "closed", "429", "html-200")


class Round:
    """One action, with what happens to it drawn from a seed."""

    def __init__(self, sandbox: Sandbox, client: DotyposClient, branch: int, tea: int, seed: int) -> None:
        self.random = random.Random(seed)
        self._sandbox = sandbox
        self._client = client
        sandbox.behaviour = Behaviour()
        sandbox.faults.clear()
        order = self._order(branch, f"order {seed}", tea)
        empty = self._order(branch, f"empty {seed}")
        new = {"external-id": f"new {seed}", "items": [{"id": tea}]}
        fields: dict[str, dict[str, Any]] = {
            "order/create": new,
            "order/create-issue-pay": new | {"payment-method-id": CASH},
            "order/split": {
                "order-id": order["order"]["id"],
                "external-id": f"new {seed}",
                "split-items": [{"id": order["items"][0]["id"], "qty": 1}],
            },
            "order/issue": {"order-id": order["order"]["id"]},
            "order/issue-and-pay": {"order-id": order["order"]["id"], "payment-method-id": CASH},
            "order/cancel": {"order-id": empty["order"]["id"]},
            "order/perform-status-transition": {
                "order-id": order["order"]["id"],
                "status-transition": "prepare_to_pickup",
            },
        }
        action = self.random.choice([*fields])
        self.call = PosCall.of(branch, action, fields[action])
        sandbox.writes.clear()
        sandbox.behaviour = Behaviour(
            pos_validity=self.random.choice(["s", "ms"]), commit_lag=self.random.choice((0.0, 2.0, 10.0))
        )
        for _ in range(self.random.randrange(5)):
            kind = self.random.choice(KINDS)
            # A till that is busy hasn't done it. A list that is twice empty, as a gateway has it, is believed to be so.
            when = "before" if kind == "429" else self.random.choice(("before", "after", "late"))
            anywhere = kind != "404-empty" and self.random.random() < 0.2
            sandbox.faults.append(
                Fault(
                    kind,
                    when=when,
                    path="" if anywhere else "/pos-actions",
                    skip=self.random.randrange(4),
                    seconds=self.random.uniform(0, 40) if when == "late" else 0,
                )
            )

    def run(self) -> PosResult:
        """Carry the action out, as Airflow does: by tries that may die at any step, until one ends for good."""
        doubt = None
        while True:
            if self.random.random() < 0.4:
                self._die_at(self.random.randrange(1, 12), doubt)
            else:
                flow = carry_out_patiently(self._client, self.call, doubt, wait=120, poll_interval=1)
                try:
                    return self._client.run(flow)
                except DotyposError as error:
                    if error.permanent:
                        raise
            doubt = EARLIER

    @property
    def carried_out(self) -> int:
        """How often the till has carried it out."""
        self._sandbox.carry_out_late_requests()
        return sum(write.entity == self.call.action.name for write in self._sandbox.writes)

    def _order(self, branch: int, name: str, *products: int) -> Any:
        items = [{"id": product, "qty": 3} for product in products]
        call = PosCall.of(branch, "order/create", {"external-id": name, "items": items})
        return self._client.run(carry_out(self._client, call)).answer

    def _die_at(self, last: int, doubt: Any) -> None:
        """Perform the flow's first steps, and leave it."""
        with closing(carry_out(self._client, self.call, doubt)) as flow:
            try:
                step = next(flow)
                for _ in range(last):
                    try:
                        result = self._client._perform(step)
                    except DotyposError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(result)
            except (StopIteration, DotyposError):
                return  # it had ended before


@pytest.mark.parametrize("seed", range(4))
def test_each_action_is_carried_out_once_whatever_happens(
    sandbox: Sandbox, new_client: NewClient, branch: int, tea: int, slept: list[float], seed: int
) -> None:
    client = new_client()
    endings: dict[str, int] = {}
    for number in range(ROUNDS // 4):
        drawn = Round(sandbox, client, branch, tea, seed * 1000 + number)
        try:
            ending = drawn.run().status
            assert drawn.carried_out == 1, (seed, number)
        except DotyposUncertainWriteError:
            ending = "uncertain"
            assert drawn.carried_out <= 1, (seed, number)
        endings[ending] = endings.get(ending, 0) + 1
    assert endings["done"] + endings.get("already", 0) > ROUNDS // 4 * 0.8, endings
