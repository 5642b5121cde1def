"""Waiting for one change, on the triggerer's loop: what a deferred sensor leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.retry_table import CURABLE_BY_NO_RETRY
from airflow_provider_dotypos.api.watch import State, Watch
from airflow_provider_dotypos.api.window import instant
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.hooks.failures import decision
from airflow_provider_dotypos.triggers.errors import DotyposTriggerError
from airflow_provider_dotypos.triggers.subscriptions import subscribe


class DotyposEntityTrigger(BaseTrigger):
    """Wait until a row of a list has changed, and send one event.

    It shares the polls of all watchers and sensors of the list. After a triggerer that has died, another one asks from
    the same time on, so nothing is lost.

    :param entity: the list's name in the API's paths, such as ``orders``.
    :param since: changes from here on count: ISO 8601 text with an offset.
    :param filter: conditions in the API's grammar, such as ``paid|eq|true``. Defaults to none.
    :param deleted: whether deleted rows count. Defaults to ``False``.
    :param cloud_id: the cloud, in place of the connection's.
    :param dotypos_conn_id: the Airflow connection.
    :param poll_interval: seconds between two polls. Defaults to 60.
    :raises DotyposInputError: if the list can't be watched like this.
    """

    def __init__(
        self,
        *,
        entity: str,
        since: str,
        filter: str = "",
        deleted: bool = False,
        cloud_id: int | None = None,
        dotypos_conn_id: str = "dotypos_default",
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entity = entity
        self.since = since
        self.filter = filter
        self.deleted = deleted
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self.poll_interval = poll_interval
        check_conn_id(dotypos_conn_id)
        self._begun = State.begin(instant(since, "since"))
        # A time that lies in the future, by the server's clock, is nothing that a state goes on from.
        self._watch = replace(Watch.of(entity, filter, deleted=deleted), since=self._begun.since)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the trigger again elsewhere."""
        names = ("entity", "since", "filter", "deleted", "cloud_id", "dotypos_conn_id", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event: what has changed, or why that can't be known."""
        event: _Changed | _Failed
        try:
            event = _Changed(await self._payload())
        except DotyposError as error:
            action, at = decision(error)
            event = _Failed(str(error.args[0]), action == "fail", at)
        yield TriggerEvent(msgspec.to_builtins(event))  # type: ignore[no-untyped-call]

    async def _payload(self) -> dict[str, Any]:
        """Return what has changed, once something has."""
        async with subscribe(
            self.dotypos_conn_id, self.cloud_id, self._watch, self._begun, poll_interval=self.poll_interval
        ) as subscription:
            while (step := await subscription.next()).change is None:
                pass
        return step.change.payload(step.cloud_id, self.entity)


class _Changed(msgspec.Struct, tag_field="status", tag="changed"):
    """The event of a change."""

    payload: dict[str, Any]


class _Failed(msgspec.Struct, tag_field="status", tag="failed"):
    """The event of an error.

    :param message: with its cure, and without the connection, which the task adds.
    :param permanent: whether the task is to fail at once.
    :param retry_at: when the task is to run again, if it is to give its slot back.
    """

    message: str
    permanent: bool
    retry_at: datetime | None


def read_event(event: object) -> dict[str, Any]:
    """Return what has changed, as the event of a `DotyposEntityTrigger` says.

    :raises DotyposTriggerError: if the trigger has failed, or that isn't an event of such a trigger.
    """
    try:
        read = msgspec.convert(event, _Changed | _Failed)
    except msgspec.ValidationError:
        raise DotyposTriggerError(
            f"The task was resumed with an unknown event, {type(event).__name__}. Workers and triggerers may run "
            "different versions of this provider: install the same on both, and clear the task."
        ) from None
    if isinstance(read, _Failed):
        reason = CURABLE_BY_NO_RETRY if read.permanent else None
        raise DotyposTriggerError(read.message, reason=reason, retry_at=read.retry_at)
    return read.payload
