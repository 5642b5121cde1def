"""One POS action, carried out once: what is sent to a till, and what settles a lost answer.

**Before anything is sent** a hello shows that the till is there, and its clock. So a till that is off never gets an
action, and each action ends ``valid_for`` seconds later by that clock: the till refuses it then.

**A lost answer** (a silent till, a cut connection, an answer that can't be read, a code that says nothing) leaves a
doubt. It is settled once the till answers again and its clock shows that the action can't come any more:

==============  ====================================================================================================
evidence        what settles it
==============  ====================================================================================================
a code          it is sent again: *already paid* and the like say that it was done
the same        it is sent again: that leaves what one call leaves
an external id  ``settle`` seconds later an order is looked up by it: it is there, or the action is sent again
a status        ``settle`` seconds later the order is read: it has the status, or the action is sent again
nothing         it is never sent again, and the doubt is an error
==============  ====================================================================================================

**Why a crash doubles nothing.** Of a process that died nothing is remembered but that it may have sent (``EARLIER``).
Whatever it sent was valid for ``valid_for`` seconds from before this hello on. So the same waits and the same evidence
settle it. An action without evidence isn't sent then. Assumed: a till that answers has passed on to the cloud what it
did, ``settle`` seconds later [A].

**A new order** is looked up by its external id before it is sent for the first time, too. So a run that is repeated as
a whole makes no second one, once the cloud shows the first. Two runs that send it within `settle` seconds make two.

https://docs.api.dotypos.com/pos-actions/
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from airflow_provider_dotypos.api.entities import find_list, id_text
from airflow_provider_dotypos.api.errors import (
    DotyposInputError,
    DotyposUncertainWriteError,
    DotyposWriteError,
)
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.overrides import read_seconds
from airflow_provider_dotypos.api.places import ask_cloud, row_of
from airflow_provider_dotypos.api.pos_actions import (
    LONGEST_VALIDITY,
    TRANSITIONS,
    Evidence,
    PosAction,
    checked_fields,
    find_action,
)
from airflow_provider_dotypos.api.pos_codes import Means, code_of
from airflow_provider_dotypos.api.pos_errors import DotyposPosActionError, DotyposTillError, Doubt
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.api.till import Till, TillAnswer, ask_till, greet, refusal
from airflow_provider_dotypos.api.window import LONGEST_SETTLE
from airflow_provider_dotypos.writes.look_up import look_up

log = logging.getLogger(__name__)

#: Seconds for which an action is valid: a till has 21 to answer [D].
VALID_FOR = 25.0

#: Seconds until the cloud shows what a till has done [A].
SETTLE = 60.0

#: How often an action is sent in all.
MOST_SENDS = 3

#: Seconds to wait for a silent or busy till, and between two questions whether it is there.
WAIT, POLL_INTERVAL = 600.0, 60.0

#: What isn't known when an earlier try may have sent the action.
EARLIER = Doubt("An earlier try of this task may have sent it", ours=False)


class PosCall(NamedTuple):
    """An action to be carried out at the till of a branch.

    :param branch_id: the branch.
    :param action: what to do.
    :param fields: its fields, as they are sent.
    :param valid_for: seconds after which the till may no longer carry it out.
    :param settle: seconds until the cloud shows what a till has done.
    """

    branch_id: str
    action: PosAction
    fields: Mapping[str, Any]
    valid_for: float
    settle: float

    @classmethod
    def of(
        cls,
        branch_id: object,
        action: object,
        fields: Mapping[str, Any] | None = None,
        *,
        valid_for: float | timedelta = VALID_FOR,
        settle: float | timedelta = SETTLE,
    ) -> PosCall:
        """Return a call whose parts are checked.

        :raises DotyposInputError: if one is wrong.
        """
        known = find_action(action)
        valid_for = read_seconds(valid_for, "valid_for", least=1.0, most=LONGEST_VALIDITY)
        settle = read_seconds(settle, "settle", most=LONGEST_SETTLE)
        branch = str(int(id_text(branch_id, "branch_id")))  # 05 is 5, also where orders name their branch
        return cls(branch, known, checked_fields(known, fields or {}), valid_for, settle)

    @property
    def evidence(self) -> Evidence:
        """What says whether it was carried out: nothing, if the fields lack what to look for."""
        evidence = self.action.evidence
        if evidence is Evidence.EXTERNAL_ID and not self.fields.get("external-id"):
            return Evidence.NOTHING
        if evidence is Evidence.STATUS and self.fields["status-transition"] not in TRANSITIONS:
            return Evidence.NOTHING
        return evidence

    @property
    def is_decided(self) -> bool:
        """Whether something says afterwards if it was carried out."""
        return self.evidence is not Evidence.NOTHING

    @property
    def path(self) -> str:
        """The path that it is sent to, for errors."""
        return f"branches/{self.branch_id}/pos-actions"


class PosResult(msgspec.Struct, frozen=True):
    """What became of an action.

    :param status: ``done``: it was carried out by this call. ``already``: that was so before this call sent anything.
    :param order_id: the order that it is about, as text; ``None`` if the till names none.
    :param code: the till's last result code; ``None`` if the cloud's rows settled it.
    :param warnings: what didn't go as it should all the same, by code: a print that failed, for instance.
    :param answer: all that the till has answered; empty if the cloud's rows settled it.
    """

    status: str
    order_id: str | None
    code: int | None = None
    warnings: Mapping[str, str] = {}
    answer: Mapping[str, Any] = {}

    def plain(self) -> dict[str, Any]:
        """Return it as a dict of plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def carry_out_patiently(
    exchange: Exchange,
    call: PosCall,
    doubt: Doubt | None = None,
    *,
    wait: float = WAIT,
    poll_interval: float = POLL_INTERVAL,
) -> Flow[PosResult]:
    """Return the flow that carries an action out, and waits for its till.

    :param doubt: what isn't known from before.
    :param wait: seconds to wait for a silent or busy till.
    :param poll_interval: seconds between two questions whether it is there.
    :raises DotyposTillError: if it isn't there by then. Its ``doubt`` says what was sent.
    :raises DotyposUncertainWriteError: if nothing says whether the action was carried out.
    """
    deadline = time.monotonic() + wait
    known = False
    while True:
        try:
            return (yield from carry_out(exchange, call, doubt, known=known))
        except DotyposTillError as error:
            if time.monotonic() + poll_interval > deadline:
                raise
            log.warning("%s Asking again in %.0f s.", error, poll_interval)
            doubt, known = error.doubt, True
        yield Sleep(poll_interval)


def uncertain(call: PosCall, why: str) -> DotyposUncertainWriteError:
    """Return the error of an action of which nothing says whether it was carried out.

    :param why: what happened.
    """
    return DotyposUncertainWriteError(
        f"{call.action.name} may or may not have been carried out by the till of branch {call.branch_id}. Before you "
        f"repeat it, look at the order at the till. What happened: {why}",
        method="POST",
        path=call.path,
    )


def carry_out(exchange: Exchange, call: PosCall, doubt: Doubt | None = None, *, known: bool = False) -> Flow[PosResult]:
    """Return the flow that carries an action out, if its till is there (see above).

    :param doubt: what isn't known from before.
    :param known: whether the branch is known to exist.
    :raises DotyposTillError: if the till is silent or busy. Its ``doubt`` is what the next call needs to know.
    :raises DotyposUncertainWriteError: if nothing says whether the action was carried out.
    :raises DotyposPosActionError: if the till refuses it, or has carried out a part of it.
    """
    return (yield from _Course(exchange, call, doubt, known).flow())


class _Course:
    """The way of one action, from hello to its result."""

    def __init__(self, exchange: Exchange, call: PosCall, doubt: Doubt | None, known: bool) -> None:
        self._exchange = exchange
        self._call = call
        self._doubt = doubt
        self._known = known
        self._sent = doubt.sent if doubt else 0
        self._in_milliseconds = False

    def flow(self) -> Flow[PosResult]:
        call = self._call
        if call.evidence is Evidence.HARMLESS:
            body = {"action": call.action.name, **call.fields}
            answer = yield from ask_till(self._exchange, call.branch_id, body, harmless=True, known=self._known)
            if code_of(answer.code).means is Means.DONE:
                return self._result(answer)
            raise refusal(call.action.name, answer)
        try:
            return (yield from self._steps())
        except DotyposTillError as error:
            error.doubt = self._doubt
            raise

    def _steps(self) -> Flow[PosResult]:
        call = self._call
        if self._doubt is None and call.evidence is Evidence.EXTERNAL_ID:
            order = yield from self._find_order()
            if order is not None:
                return self._created(order, "already")
        while True:
            if self._doubt is not None:
                result = yield from self._settled(self._doubt)
                if result is not None:
                    return result
                if self._sent >= MOST_SENDS:
                    raise uncertain(call, self._doubt.why)
            result = yield from self._send()
            if result is not None:
                return result

    def _greet(self) -> Flow[Till]:
        till = yield from greet(self._exchange, self._call.branch_id, known=self._known)
        self._known = True
        return till

    def _send(self) -> Flow[PosResult | None]:
        """Send the action once, if the till is there; return its result, or ``None`` if it is to be sent again."""
        call = self._call
        till = yield from self._greet()
        till = till._replace(in_milliseconds=till.in_milliseconds or self._in_milliseconds)
        ends = till.now() + int(call.valid_for * 1000)
        body = {
            "action": call.action.name,
            **call.fields,
            "validity": till.validity(ends),
        }
        if call.action.fiscal:
            log.warning("%s issues a fiscal document. Nothing can undo that.", call.action.name)
        self._sent += 1
        try:
            answer = yield from ask_till(self._exchange, call.branch_id, body, known=True)
        except DotyposTillError as error:
            if error.sent:
                self._note_doubt(str(error), ends)
            raise
        except DotyposWriteError as error:
            self._note_doubt(str(error), ends)
            return None
        means = code_of(answer.code).means
        if means is Means.DONE:
            return self._result(answer)
        if self._doubt is not None and answer.code in call.action.done_by:
            return self._result(answer, "done" if self._doubt.ours else "already")
        if means is Means.UNSURE:
            self._note_doubt(str(refusal(call.action.name, answer)), ends)
            return None
        if means is Means.EXPIRED and self._sent < MOST_SENDS:
            # A till that finds the action late before it is, counts in milliseconds.
            self._in_milliseconds = self._in_milliseconds or (answer.now is not None and answer.now < ends)
            return None
        refused = refusal(call.action.name, answer)
        if self._doubt is not None and self._doubt.ours and means is not Means.PASSES and not self._is_looked_up:
            raise uncertain(call, f"{self._doubt.why} A repeat was refused: {refused}")
        raise refused

    @property
    def _is_looked_up(self) -> bool:
        """Whether the cloud's rows settle a doubt, so that nothing is sent again that was carried out."""
        return self._call.evidence in (Evidence.EXTERNAL_ID, Evidence.STATUS)

    def _settled(self, doubt: Doubt) -> Flow[PosResult | None]:
        """Wait until what was sent can't come any more, and return its result; ``None`` if it is to be sent again."""
        call = self._call
        if call.evidence is Evidence.NOTHING:
            raise uncertain(call, doubt.why)
        till = yield from self._greet()
        ends = doubt.valid_until if doubt.valid_until is not None else till.now() + int(call.valid_for * 1000)
        if (late := ends - till.now()) >= 0:
            yield Sleep(late / 1000 + 1)  # the till may have waited in its last second
        if not self._is_looked_up:
            return None
        yield Sleep(call.settle)
        status = "done" if doubt.ours else "already"
        if call.evidence is Evidence.STATUS:
            return (yield from self._by_status(status))
        order = yield from self._find_order()
        return None if order is None else self._created(order, status)

    def _note_doubt(self, why: str, ends: int) -> None:
        """Note that the action was sent, and that it isn't known what came of it.

        :raises DotyposUncertainWriteError: if nothing will ever say that.
        """
        if not self._call.is_decided:
            raise uncertain(self._call, why) from None
        log.warning("%s was sent, and whether it was carried out isn't known yet: %s", self._call.action.name, why)
        self._doubt = Doubt(why, True, ends, self._sent)

    def _look_orders_up(self) -> Flow[list[dict[str, Any]]]:
        """Look up the orders with the action's external id, of any branch."""
        external_id = self._call.fields["external-id"]
        shown = yield from look_up(self._exchange, find_list("orders"), "externalId", [external_id])
        return shown.get(external_id, [])

    def _find_order(self) -> Flow[Mapping[str, Any] | None]:
        """Look the action's order up by its external id."""
        rows = yield from self._look_orders_up()
        if not rows and self._doubt is not None:
            # It would be sent again, and a gateway that finds no server looks like an empty list.
            yield from ask_cloud(self._exchange)
            rows = yield from self._look_orders_up()
        orders = [row for row in rows if str(row.get("_branchId")) == self._call.branch_id]
        if len(orders) > 1:
            what = f"{len(orders)} orders of branch {self._call.branch_id} have this external-id"
            if self._doubt is not None:
                raise uncertain(self._call, f"{self._doubt.why}, and {what}")
            raise DotyposInputError(f"{self._call.action.name} was not sent: {what}; give one of its own")
        return orders[0] if orders else None

    def _created(self, order: Mapping[str, Any], status: str) -> PosResult:
        """Return the result of an action whose order is there.

        :raises DotyposPosActionError: if the order isn't in the state that the action was to bring it to.
        """
        action, order_id = self._call.action, str(order.get("id"))
        if order.get("paid") is not True and action.fiscal:
            rest = "order/issue-and-pay, or order/pay if it is issued" if action.pays else "order/issue"
            raise DotyposPosActionError(
                f"{action.name}: order {order_id} has this external-id and isn't paid, so no second one was made. Look "
                f"at it at the till, and do by {rest} what is missing. Code 2005 says that it was issued before.",
                action=action.name,
                order_id=order_id,
            )
        return PosResult(status, order_id)

    def _by_status(self, status: str) -> Flow[PosResult | None]:
        """Read the order's status; return the result if it is the one that the transition leads to."""
        order_id = str(self._call.fields["order-id"])
        order = yield from self._exchange.flow("GET", f"orders/{order_id}", decode=row_of)
        reached = order.get("status") == TRANSITIONS[self._call.fields["status-transition"]]
        return PosResult(status, order_id) if reached else None

    def _result(self, answer: TillAnswer, status: str = "done") -> PosResult:
        for code, description in answer.warnings.items():
            log.warning("%s was carried out, but: %s %s", self._call.action.name, code, description)
        order_id = answer.order_id or (str(self._call.fields["order-id"]) if "order-id" in self._call.fields else None)
        return PosResult(status, order_id, answer.code, answer.warnings, answer.body)
