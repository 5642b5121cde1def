"""POS actions as tasks: carried out once by the till of a branch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.body import read_text
from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError, DotyposUnreadableAnswerError
from airflow_provider_dotypos.api.overrides import describe, read_seconds
from airflow_provider_dotypos.api.pos_actions import LONGEST_VALIDITY, checked_fields, find_action
from airflow_provider_dotypos.api.pos_errors import DotyposPosActionError, DotyposTillError, Doubt
from airflow_provider_dotypos.api.window import LONGEST_SETTLE
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, given, literals, refuse_empty
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures, decision

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.writes.pos_action import PosCall, PosResult


class DotyposPosActionOperator(BaseOperator):
    """Have the till of a branch carry out an action once.

    Before each action the till is asked for its clock, so that the action ends `valid_for` seconds later: a till that
    was off can't act late. A till that is silent or busy is waited for, with ``deferrable=True`` without a worker slot.

    A lost answer is settled where something decides: an order with the external id, the order's status, or a code of
    the till such as *already paid*. So the task can be retried and cleared. Nothing decides about ``order/add-item``,
    ``order/prepare-next-course`` and an ``order/split`` without an external id. Of these a lost answer is an error, and
    what an earlier try may have sent isn't sent by Airflow's retries. Clear the task to send it again.

    Actions with ``issue`` in their names issue a fiscal document, which can't be undone.

    :param branch_id: the branch. (templated)
    :param action: such as ``order/create``.
    :param fields: the action's fields, in the API's form (``{"order-id": 5}``), or JSON text of them. A new order needs
        an ``external-id``: one that the cloud shows already isn't made again. Two tasks that send it within a minute
        can make two orders. Defaults to none. (templated)
    :param response_filter: makes ``answer`` of the task's result from what the till has answered. Defaults to none,
        because an answer may hold personal data.
    :param wait: how long to wait for a till that is silent or busy. Defaults to 10 minutes.
    :param poll_interval: seconds between two questions whether it is there. Each is a request. Defaults to 60.
    :param valid_for: seconds after which the till may no longer carry the action out, 1 to 3600. Defaults to 25.
    :param settle: seconds until the cloud shows what a till has done. Defaults to 60.
    :param deferrable: whether to wait in the triggerer, without a worker slot. Defaults to Airflow's ``[operators]
        default_deferrable``.
    :param cloud_id: the cloud. Defaults to the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: ``{"status", "order_id", "code", "warnings"}``, and ``answer`` with a `response_filter`. ``status`` is
        ``done``, or ``already`` if that was so before this try sent anything. ``code`` and ``answer`` are ``None`` if
        the cloud's rows settled it.
    :raises AirflowFailException: if a retry can't help: the till refuses the action, has carried out a part of it, or
        nothing says whether it was carried out.

    https://docs.api.dotypos.com/pos-actions/
    """

    template_fields: Sequence[str] = ("branch_id", "fields", "cloud_id", "dotypos_conn_id")
    template_fields_renderers = {"fields": "json"}  # noqa: RUF012 (as Airflow declares it)
    ui_color = "#ffe3c2"

    def __init__(
        self,
        *,
        branch_id: int | str,
        action: str,
        fields: Mapping[str, Any] | str | None = None,
        response_filter: Callable[[Any], Any] | None = None,
        wait: timedelta | float = timedelta(minutes=10),
        poll_interval: timedelta | float = 60.0,
        valid_for: timedelta | float = 25.0,
        settle: timedelta | float = 60.0,
        deferrable: bool = _compat.default_deferrable(),
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.branch_id = branch_id
        self.action = action
        self.fields = fields
        self.response_filter = response_filter
        self.wait = wait
        self.poll_interval = poll_interval
        self.valid_for = valid_for
        self.settle = settle
        self.deferrable = deferrable
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._given = given(self, ("cloud_id",))
        self._hook: DotyposHook | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> dict[str, Any]:
        """Carry the action out, and return what became of it. A wait for the till may be left to the triggerer."""
        with airflow_failures(self.dotypos_conn_id, context):
            call = self._call()
            until = time.time() + read_seconds(self.wait, "wait")
            return self._carry_out(call, self._doubt(call, context), until, deferrable=self.deferrable)

    def execute_complete(
        self, context: Context, event: Any = None, *, doubt: Mapping[str, Any] | None = None, until: float = 0.0
    ) -> dict[str, Any]:
        """Go on after the triggerer. If that couldn't ask, the worker waits for the till itself.

        :param doubt: what isn't known of what was sent before.
        :param until: how long to wait for the till (epoch seconds).
        """
        with airflow_failures(self.dotypos_conn_id, context):
            known = None if doubt is None else msgspec.convert(doubt, Doubt)
            unable = isinstance(event, Mapping) and event.get("status") == "unable"
            return self._carry_out(self._call(), known, until, deferrable=self.deferrable and not unable)

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _call(self) -> PosCall:
        from airflow_provider_dotypos.writes.pos_action import PosCall

        refuse_empty(self, ("cloud_id",), self._given)
        return PosCall.of(
            self.branch_id,
            self.action,
            self._read_fields(),
            valid_for=self.valid_for,
            settle=self.settle,
        )

    def _doubt(self, call: PosCall, context: Context) -> Doubt | None:
        """Return what isn't known as this try begins: whether an earlier one has sent the action.

        Where nothing decides, a person who clears the task has looked, and a try that gave its slot back has sent
        nothing.
        """
        from airflow_provider_dotypos.writes.pos_action import EARLIER

        if call.is_decided:
            repeated = _airflow.try_number(context) > 1 or _airflow.first_put_off(context) is not None
        else:
            repeated = _airflow.is_retry(context)
        return EARLIER if repeated else None

    def _carry_out(self, call: PosCall, doubt: Doubt | None, until: float, *, deferrable: bool) -> dict[str, Any]:
        """Carry the action out.

        :param until: how long to wait for the till (epoch seconds).
        :param deferrable: whether the triggerer is to wait.
        """
        from airflow_provider_dotypos.writes.pos_action import carry_out_patiently

        wait = 0.0 if deferrable else max(0.0, until - time.time())
        poll_interval = read_seconds(self.poll_interval, "poll_interval", least=1.0)
        self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id)
        with closing(self._hook):
            client = self._hook.get_conn()
            try:
                flow = carry_out_patiently(client, call, doubt, wait=wait, poll_interval=poll_interval)
                return self._result(call, client.run(flow))
            except DotyposTillError as error:
                if deferrable and time.time() < until:
                    self._leave_to_triggerer(call, error, until, poll_interval)
                raise _with_doubt(call, error) from None
            except DotyposError as error:
                raise _without_retries(call, error) from None

    def _leave_to_triggerer(self, call: PosCall, error: DotyposTillError, until: float, poll_interval: float) -> None:
        """Defer until the till answers."""
        self.log.warning("%s The triggerer waits for it.", error)
        from airflow_provider_dotypos.triggers.pos_action import DotyposTillTrigger

        trigger = DotyposTillTrigger(
            branch_id=call.branch_id,
            until=until,
            cloud_id=self.cloud_id,
            dotypos_conn_id=self.dotypos_conn_id,
            poll_interval=poll_interval,
        )
        doubt = None if error.doubt is None else msgspec.to_builtins(error.doubt)
        self.defer(trigger=trigger, method_name="execute_complete", kwargs={"doubt": doubt, "until": until})

    def _result(self, call: PosCall, result: PosResult) -> dict[str, Any]:
        """Return the task's result."""
        self.log.info("%s: %s (order %s).", self.action, result.status, result.order_id)
        plain = result.plain()
        answer = plain.pop("answer")
        if self.response_filter is None:
            return plain
        try:
            return plain | {"answer": self.response_filter(answer) if answer else None}
        except Exception as error:
            raise DotyposUnreadableAnswerError(
                f"{self.action} is done, but response_filter could not make a result of the till's answer "
                f"({type(error).__name__}). Don't repeat the action; mend response_filter.",
                method="POST",
                path=call.path,
                status=200,
            ) from error

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        action = find_action(self.action)
        read_seconds(self.wait, "wait")
        read_seconds(self.poll_interval, "poll_interval", least=1.0)
        read_seconds(self.valid_for, "valid_for", least=1.0, most=LONGEST_VALIDITY)
        read_seconds(self.settle, "settle", most=LONGEST_SETTLE)
        if not isinstance(self.deferrable, bool):
            raise DotyposInputError(f"deferrable must be True or False, not {describe(self.deferrable)}")
        if self.response_filter is not None and not callable(self.response_filter):
            raise DotyposInputError(f"response_filter must be a function, not a {type(self.response_filter).__name__}")
        if "branch_id" in arguments:
            id_text(self.branch_id, "branch_id")
        if "fields" in arguments:
            checked_fields(action, self._read_fields())

    def _read_fields(self) -> Any:
        fields = self.fields or {}
        return msgspec.json.decode(read_text(fields, "fields")) if isinstance(fields, str) else fields


def _with_doubt(call: PosCall, error: DotyposTillError) -> DotyposError:
    """Return what ends a try in which the till was waited for in vain. A retry settles what was sent."""
    if error.doubt is not None and error.doubt.ours:
        error.args = (f"{call.action.name} was sent, and may have been carried out. A retry settles that. {error}",)
    return _without_retries(call, error)


def _without_retries(call: PosCall, error: DotyposError) -> DotyposError:
    """Return what ends a try of an action that nothing decides about: Airflow's retries wouldn't know what was sent."""
    if call.is_decided or decision(error).action != "default":
        return error
    return DotyposPosActionError(
        f"{call.action.name} was not carried out: {error} Airflow's retries don't send it, as nothing would show "
        "whether an earlier try has; clear the task to send it again.",
        action=call.action.name,
    )
