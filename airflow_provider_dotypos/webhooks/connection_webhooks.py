"""The webhooks of one connection, for a person who looks at them and sets them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.addresses import Addresses
from airflow_provider_dotypos.api.check import new_client
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.api.registration import Registrar, Webhook
from airflow_provider_dotypos.api.webhooks import PAYLOADS, check_lists
from airflow_provider_dotypos.connections import audit
from airflow_provider_dotypos.connections.stored import StoredConnection
from airflow_provider_dotypos.webhooks.history import last_deliveries


@dataclass(frozen=True)
class ListRow:
    """A list, and the webhooks that deliver its changes here.

    :param webhooks: those at this Airflow's address.
    :param named: whether Airflow knows the list's asset, so that a delivery can start something.
    :param last_delivery: when something was last delivered (UTC).
    """

    entity: str
    payload: str
    webhooks: Sequence[Webhook]
    named: bool
    last_delivery: datetime | None

    @property
    def current(self) -> Sequence[Webhook]:
        """Those that deliver."""
        return [webhook for webhook in self.webhooks if webhook.state == "current"]

    @property
    def outdated(self) -> bool:
        """Whether one is refused here, as its token is a former one."""
        return len(self.current) < len(self.webhooks)


@dataclass(frozen=True)
class Overview:
    """What a cloud delivers.

    :param cloud: for people.
    :param elsewhere: webhooks with this connection's secret below another base URL.
    :param others: those of other programs.
    """

    cloud: str
    lists: Sequence[ListRow]
    elsewhere: Sequence[Webhook]
    others: Sequence[Webhook]


class ConnectionWebhooks:
    """Shows, registers and removes the webhooks by which a cloud delivers to one connection.

    :param user: who does, for the audit log.
    :raises DotyposConfigurationError: if a field of the connection is missing or unusable.
    """

    def __init__(self, connection: StoredConnection, user: str) -> None:
        self._conn_id = connection.conn_id
        self._user = user
        self._settings = connection.settings()
        self._cloud_id = self._settings.require_cloud_id()
        self._addresses = Addresses(self._settings, connection.conn_id, _airflow.base_url(), _airflow.mask_secret)
        self._registrar = Registrar(new_client(self._settings, _airflow.mask_secret), self._addresses)

    @property
    def problem(self) -> str | None:
        """Why nothing can be registered, as far as this Airflow's own address is to blame."""
        try:
            self._addresses.of(next(iter(PAYLOADS)))
        except DotyposInputError as error:
            return str(error)
        return None

    def register(self, entity: str) -> bool:
        """Make the cloud deliver a list's changes to this Airflow, and return whether there is anything that does."""
        (name,) = check_lists([entity])
        ids = self._registrar.register([name])[name]
        audit.note_webhooks(audit.REGISTERED, self._conn_id, name, ids, self._user)
        return bool(ids)

    def remove(self, entity: str) -> None:
        """Remove the webhooks that deliver a list's changes to this Airflow."""
        ids = self._registrar.remove(check_lists([entity]))
        audit.note_webhooks(audit.REMOVED, self._conn_id, entity, ids, self._user)

    def remove_elsewhere(self, id: str) -> None:
        """Remove a webhook with this connection's secret that delivers to another address."""
        elsewhere = {webhook.id: webhook for webhook in self._registrar.find_all() if webhook.state == "elsewhere"}
        if id in elsewhere:
            ids = self._registrar.remove_ids([id])
            audit.note_webhooks(audit.REMOVED, self._conn_id, str(elsewhere[id].entity), ids, self._user)

    def overview(self) -> Overview:
        """Return what the cloud delivers. It takes one request, and a sign-in."""
        webhooks = self._registrar.find_all()
        uris = {entity: list_uri(self._settings.base_url, self._cloud_id, entity) for entity in PAYLOADS}
        deliveries = last_deliveries(uris.values())
        here = [webhook for webhook in webhooks if webhook.state in ("current", "outdated")]
        return Overview(
            cloud=self._settings.cloud,
            lists=[
                ListRow(
                    entity,
                    payload.name,
                    [webhook for webhook in here if webhook.entity == entity],
                    named=uris[entity] in deliveries,
                    last_delivery=deliveries.get(uris[entity]),
                )
                for entity, payload in PAYLOADS.items()
            ],
            elsewhere=[webhook for webhook in webhooks if webhook.state == "elsewhere"],
            others=[webhook for webhook in webhooks if webhook.state == "other"],
        )
