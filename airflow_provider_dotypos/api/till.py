"""Calls that go through to a till: whether it is there, what time it has, and what it answers.

A till that doesn't answer within 21 seconds is a 404, and one that is busy with an action of this application is a 429
[D]. Both are about this till alone.

**The till's clock.** An action has a ``validity``, after which the till refuses it. It counts by the till's clock,
which ``order/hello`` shows. Its unit is unknown [U]: "Unix time" [D2], and milliseconds as one client says [C1]. In the
wrong unit an action would be valid for ever, or never. So the hello itself holds a validity that has passed if it is
read in milliseconds, and hasn't if it is read in seconds. A refusal shows the clock as well.

https://docs.api.dotypos.com/pos-actions/
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposNotFoundError, DotyposResponseError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.places import row_of
from airflow_provider_dotypos.api.pos_codes import Means, code_of
from airflow_provider_dotypos.api.pos_errors import DotyposBusyError, DotyposPosActionError, DotyposTillError
from airflow_provider_dotypos.api.redaction import redact
from airflow_provider_dotypos.api.retry_table import BUSY, NOT_JSON, PASSES, SILENT
from airflow_provider_dotypos.api.steps import Flow

#: A till has 21 seconds to answer [D]; a client waits for 25 [C1].
ANSWER_TIMEOUT = 30.0

#: In seconds it is in the year 2100. In milliseconds it was in February 1970.
_FAR = 4_102_444_800

_LONGEST_MESSAGE = 300


class TillAnswer(NamedTuple):
    """What a till has answered.

    :param code: its result code.
    :param body: all of it.
    """

    code: int
    body: Mapping[str, Any]

    @property
    def now(self) -> int | None:
        """The time by the till's clock (epoch ms)."""
        return _number(self.body.get("deviceTimestamp"))

    @property
    def order_id(self) -> str | None:
        """The order that it is about."""
        order = self.body.get("order")
        number = _number(order.get("id")) if isinstance(order, Mapping) else None
        return None if number is None else str(number)

    @property
    def warnings(self) -> dict[str, str]:
        """What didn't go as it should, by code, although the action was carried out."""
        errors = self.body.get("pass-through-errors")
        named = [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
        return {str(error.get("code"))[:20]: str(error.get("description"))[:_LONGEST_MESSAGE] for error in named}


class Till(NamedTuple):
    """A till that has just answered.

    :param clock: the time by its clock when it did (epoch ms).
    :param at: the same moment by ours (monotonic seconds).
    :param in_milliseconds: whether it reads a validity in milliseconds.
    """

    clock: int
    at: float
    in_milliseconds: bool

    def now(self) -> int:
        """Return the time by its clock (epoch ms)."""
        return self.clock + int((time.monotonic() - self.at) * 1000)

    def validity(self, moment: int) -> int:
        """Return a moment (epoch ms) as it reads a validity. It never ends later than the moment."""
        return moment if self.in_milliseconds else moment // 1000


def greet(exchange: Exchange, branch_id: str, *, known: bool = False) -> Flow[Till]:
    """Return the flow that asks a till for its clock. It changes nothing.

    :param known: whether the branch is known to exist.
    :raises DotyposTillError: if the till is silent or busy.
    :raises DotyposNotFoundError: if there is no such branch.
    :raises DotyposPosActionError: if the till takes no actions at all.
    """
    hello = {"action": "order/hello", "validity": _FAR}
    answer = yield from ask_till(exchange, branch_id, hello, harmless=True, known=known)
    code = code_of(answer.code)
    if code.means not in (Means.DONE, Means.EXPIRED):
        raise refusal("order/hello", answer)
    if answer.now is None:
        raise DotyposResponseError(
            f"The till of branch {branch_id} doesn't say what time it is, so no action can be kept from being late. "
            "Update Dotypos on the till."
        )
    return Till(answer.now, time.monotonic(), code.means is Means.EXPIRED)


def ask_till(
    exchange: Exchange, branch_id: str, body: Mapping[str, Any], *, harmless: bool = False, known: bool = False
) -> Flow[TillAnswer]:
    """Return the flow that sends a till an action.

    :param harmless: whether it changes nothing, so that it can be sent again.
    :param known: whether the branch is known to exist.
    :raises DotyposTillError: if the till is silent or busy. The error's ``sent`` says whether it may have got a harmful
        action.
    :raises DotyposUncertainWriteError: if the answer to a harmful action was lost.
    :raises DotyposWriteError: if that answer can't be read.
    """
    path = f"branches/{branch_id}/pos-actions"
    try:
        answer: TillAnswer = yield from exchange.flow(
            *("POST", path),
            json=body,
            decode=_read_answer,
            timeout=ANSWER_TIMEOUT,
            harmless=harmless,
        )
    except DotyposNotFoundError:
        if not known:
            yield from _check_branch(exchange, branch_id)
        raise DotyposTillError(
            f"The till of branch {branch_id} doesn't answer: it is off, or has no network. Switch it on.",
            reason=SILENT,
            sent=not harmless,
        ) from None
    except DotyposBusyError as error:
        raise DotyposTillError(f"The till of branch {branch_id} is busy. {error.cure}", reason=BUSY) from None
    return answer


def refusal(action: str, answer: TillAnswer) -> DotyposPosActionError:
    """Return the error of an action that a till has refused."""
    code = code_of(answer.code)
    message = answer.body.get("message")
    said = f' ("{redact(message)[:_LONGEST_MESSAGE]}")' if isinstance(message, str) and message else ""
    return DotyposPosActionError(
        f"{action}: the till answered {answer.code}: {code.meaning}{said}.{' ' if code.cure else ''}{code.cure}",
        action=action,
        code=answer.code,
        order_id=answer.order_id,
        reason=PASSES if code.means is Means.PASSES else None,
    )


def _check_branch(exchange: Exchange, branch_id: str) -> Flow[None]:
    """Raise unless there is a branch: a silent till is a 404 as well."""
    path = f"{find_entity('branches').url_path()}/{branch_id}"
    for again in (True, False):
        try:
            yield from exchange.flow("GET", path, decode=row_of)
            return
        except DotyposNotFoundError as error:
            if not (again and error.refusal.empty):  # a gateway in trouble answers like this, too: it is asked twice
                raise DotyposNotFoundError(error.refusal, f"There is no branch {branch_id}: check branch_id.") from None


def _read_answer(answer: Answer) -> TillAnswer:
    """Return what a till has answered.

    :raises DotyposResponseError: if it isn't an answer of a till's.
    """
    body = answer.json()
    if isinstance(body, Mapping):
        code = _number(body.get("code", body.get("resultCode")))
        if code is not None:
            return TillAnswer(code, body)
    raise DotyposResponseError(f"answered {answer.status} without a result code of a till", reason=NOT_JSON)


def _number(value: object) -> int | None:
    """Return a whole number, which tills send as a number [D], and the rest of the API as text."""
    text = str(value)
    return int(text) if not isinstance(value, bool) and text.lstrip("-").isdecimal() else None
