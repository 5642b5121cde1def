"""The webhooks of a connection, set up or taken down by a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos.api.addresses import parse_base_url
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.overrides import describe
from airflow_provider_dotypos.api.webhooks import check_lists
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, literals
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures

if TYPE_CHECKING:
    from airflow.sdk import Context

_STATES = ("present", "absent")


class DotyposWebhookOperator(BaseOperator):
    """Have a cloud deliver the changes of some lists to this Airflow, or no longer.

    Where all is as it should be, a run costs one request. Webhooks of these lists that were registered with a former
    secret are replaced. Those of other lists, other connections, other Airflows and other programs are left alone. A
    retry does no harm: the task looks first, and never repeats a POST whose outcome is unknown.

    The API server must receive them (``[dotypos] webhooks = True``), or a queue in front of Airflow.

    :param entities: the lists, as one text with commas or as several: ``orders``, ``products``, ``reservations``,
        ``customers``, ``warehouse-products``. The last has one webhook for each warehouse. (templated)
    :param state: ``present`` or ``absent``. Defaults to ``present``. (templated)
    :param base_url: the https address at which Dotypos reaches this Airflow, or what puts deliveries into a queue for
        it. Defaults to ``[api] base_url``. (templated)
    :param cloud_id: the cloud. Defaults to the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: the ids of the webhooks that deliver each list; with ``absent``, of those that were removed.
    :raises AirflowFailException: if a retry can't help: a list that Dotypos doesn't deliver, a base URL that it can't
        deliver to, a token that may not manage webhooks.

    https://docs.api.dotypos.com/others/webhook
    """

    template_fields: Sequence[str] = ("entities", "state", "base_url", "cloud_id", "dotypos_conn_id")
    ui_color = "#ffe3c2"

    def __init__(
        self,
        *,
        entities: str | Sequence[str],
        state: str = "present",
        base_url: str | None = None,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.entities = entities
        self.state = state
        self.base_url = base_url
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._hook: DotyposHook | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> dict[str, list[str]] | list[str]:
        """Register or remove the webhooks, and return their ids."""
        with airflow_failures(self.dotypos_conn_id, context):
            _check_state(self.state)
            entities = check_lists(self.entities)
            self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id)
            with closing(self._hook):
                if self.state == "present":
                    return self._hook.webhooks.register(entities, base_url=self.base_url)
                return self._hook.webhooks.remove(entities, base_url=self.base_url)

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        if "state" in arguments:
            _check_state(self.state)
        if arguments.get("base_url") is not None:  # otherwise Airflow's configuration says it
            parse_base_url(self.base_url)
        if "entities" in arguments and not check_lists(self.entities):
            raise DotyposInputError("entities names no list")


def _check_state(state: object) -> None:
    if state not in _STATES:
        raise DotyposInputError(f"state must be {' or '.join(_STATES)}, not {describe(state)}")
