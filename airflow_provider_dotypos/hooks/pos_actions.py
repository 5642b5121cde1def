"""The hook's POS actions: what is sent to the till of a branch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_dotypos.api.overrides import read_seconds
from airflow_provider_dotypos.api.pos_errors import DotyposTillError
from airflow_provider_dotypos.hooks.part import HookPart


class PosCalls(HookPart):
    """POS actions. A part of ``DotyposHook``."""

    def pos_action(
        self,
        branch_id: int | str,
        action: str,
        fields: Mapping[str, Any] | None = None,
        *,
        wait: float | timedelta = 600.0,
        poll_interval: float | timedelta = 60.0,
        valid_for: float | timedelta = 25.0,
        settle: float | timedelta = 60.0,
        repeated: bool = False,
    ) -> dict[str, Any]:
        """Have the till of a branch carry out an action once, and return its result.

        A hello comes before each action, and costs a request. A lost answer is settled where something decides: an
        order with the external id, the order's status, or a code of the till such as *already paid*. Otherwise it is an
        error, and nothing is sent again.

        :param branch_id: the branch.
        :param action: such as ``order/create``; ``airflow_provider_dotypos.api.pos_actions.ACTIONS`` lists them. One
            that issues a fiscal document can't be undone.
        :param fields: the action's fields, in the API's form: ``{"order-id": 5}``. New orders need an ``external-id``:
            one that the cloud shows already isn't made again. Two calls within a minute can make two orders.
        :param wait: seconds, or a ``timedelta``, to wait for a till that is silent or busy. Defaults to 600.
        :param poll_interval: seconds between two questions whether it is there. Defaults to 60.
        :param valid_for: seconds after which the till may no longer carry it out, 1 to 3600. Defaults to 25.
        :param settle: seconds until the cloud shows what a till has done. Defaults to 60.
        :param repeated: whether the action may have been sent before, by a task that was killed. It is settled before
            anything is sent. Defaults to ``False``.
        :return: ``status`` (``done``, or ``already``: before anything was sent), ``order_id``, the till's result
            ``code``, its ``warnings``, and its whole ``answer``, in which numbers are numbers. ``code`` is ``None`` and
            ``answer`` empty if the cloud's rows settled it. An answer may hold personal data.
        :raises DotyposInputError: if there is no such action, or its fields can't be sent.
        :raises DotyposTillError: if the till isn't there for `wait` seconds. Nothing was carried out.
        :raises DotyposPosActionError: if the till refuses the action, or has carried out a part of it.
        :raises DotyposUncertainWriteError: if nothing says whether it was carried out.

        https://docs.api.dotypos.com/pos-actions/
        """
        from airflow_provider_dotypos.writes.pos_action import EARLIER, PosCall, carry_out_patiently, uncertain

        with self._errors():
            call = PosCall.of(branch_id, action, fields, valid_for=valid_for, settle=settle)
            seconds = {
                "wait": read_seconds(wait, "wait"),
                "poll_interval": read_seconds(poll_interval, "poll_interval", least=1.0),
            }
            client = self.get_conn()
            try:
                result = client.run(carry_out_patiently(client, call, EARLIER if repeated else None, **seconds))
            except DotyposTillError as error:
                if error.doubt is None or not error.doubt.ours:
                    raise
                raise uncertain(call, f"{error.doubt.why}, and now: {error}") from None
        return result.plain()
