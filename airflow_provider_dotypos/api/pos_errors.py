"""Errors of POS actions: calls that go through to a till.

https://docs.api.dotypos.com/pos-actions/
"""

from __future__ import annotations

import msgspec

from airflow_provider_dotypos.api.errors import DotyposApiError, DotyposError


class DotyposBusyError(DotyposApiError):
    """429 of a POS action: another one is under way at the same till. Nothing was carried out."""

    cure = "Another POS action of this application is under way at the till, and there is room for one at a time. Wait."


class Doubt(msgspec.Struct, frozen=True):
    """What isn't known of a POS action: whether a till has carried out what was sent.

    :param why: what happened, as a sentence.
    :param ours: whether this very call has sent it. Otherwise an earlier try of the task may have.
    :param valid_until: until when the till may still carry it out, in milliseconds by the till's clock. ``None``:
        until the action that is sent next would end.
    :param sent: how many times it was sent by this call.
    """

    why: str
    ours: bool = True
    valid_until: int | None = None
    sent: int = 0


class DotyposTillError(DotyposError):
    """A till doesn't take actions now: it is silent (off, or without a network), or busy with another action.

    :ivar doubt: what isn't known of an action that was sent before; ``None`` if nothing was sent.
    """

    def __init__(self, message: str, *, reason: str, sent: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.sent = sent
        self.doubt: Doubt | None = None


class DotyposPosActionError(DotyposError):
    """A till has refused a POS action, or has carried out a part of it.

    :ivar action: such as ``order/pay``.
    :ivar code: the result code of the till; ``None`` if the state of the order says so.
    :ivar order_id: the order that it is about, as text, if it is known.
    :ivar reason: that the refusal passes by itself, as ``retry_table`` knows it; otherwise ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        action: str,
        code: int | None = None,
        order_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.action = action
        self.code = code
        self.order_id = order_id
        self.reason = reason
