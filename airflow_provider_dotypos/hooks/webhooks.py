"""The webhooks of a connection, for the hook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.addresses import Addresses
from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.webhooks import check_lists
from airflow_provider_dotypos.hooks.failures import named_errors

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.registration import Registrar

#: Ids of webhooks, by the lists whose changes they deliver.
IdsByList: TypeAlias = dict[str, list[str]]

Ids: TypeAlias = list[str]


class Webhooks:
    """The webhooks by which a cloud delivers its changes to this Airflow.

    A webhook is this Airflow's if its address begins with the base URL and holds the connection's id and the cloud.
    Others are never touched, unless `sync` finds this connection's own token in them, or they are removed by their id.

    Each method may be called again whatever became of the last call: it looks first. A POST whose outcome is unknown is
    settled by looking, too, and never sent again.

    :param conn_id: the Airflow connection.
    :param get_client: returns its client.

    https://docs.api.dotypos.com/others/webhook
    """

    def __init__(self, conn_id: str, get_client: Callable[[], DotyposClient]) -> None:
        self._conn_id = conn_id
        self._get_client = get_client

    def list(self, *, base_url: str | None = None) -> list[dict[str, Any]]:
        """Return all webhooks of the cloud, without what is secret in their addresses. It takes one request.

        Each has ``id``, ``entity`` (the list), ``payload`` (in the API's words), ``method``, ``warehouse_id``, ``url``
        (without its token, of others' the host alone) and ``state``: ``current`` delivers to this connection;
        ``outdated`` would, but the secret has changed since; ``elsewhere`` delivers with this connection's secret below
        another base URL, a former one or another Airflow's; ``other`` is somebody else's.

        :param base_url: the address at which Dotypos reaches this Airflow, or what puts deliveries into a queue for it.
            Defaults to ``[api] base_url``.
        :raises DotyposPermissionError: if the token may not read them.
        """
        with named_errors(self._conn_id):
            return [asdict(webhook) for webhook in self._registrar(base_url).find_all()]

    def address(self, entity: str, base_url: str | None = None) -> str:
        """Return the address at which this Airflow receives a list's changes. It is a secret: who has it can deliver.

        :param entity: the list, such as ``orders``.
        :param base_url: the address at which Dotypos reaches this Airflow, or what puts deliveries into a queue for it.
            Defaults to ``[api] base_url``.
        :raises DotyposInputError: if Dotypos delivers no changes of the list, or can't deliver there.
        """
        with named_errors(self._conn_id):
            (name,) = check_lists([entity])
            return self._addresses(base_url).of(name)

    def register(self, entities: str | Sequence[str], *, base_url: str | None = None) -> IdsByList:
        """Make the cloud deliver the changes of some lists to this Airflow, and return the webhooks' ids by lists.

        Webhooks that are registered already stay. Those whose address holds the token of a former secret are replaced.
        ``warehouse-products`` has one webhook for each warehouse.

        :param entities: the lists: ``orders``, ``products``, ``reservations``, ``customers``, ``warehouse-products``.
        :param base_url: the address at which Dotypos reaches this Airflow, or what puts deliveries into a queue for it.
            Defaults to ``[api] base_url``.
        :raises DotyposInputError: if Dotypos delivers no changes of a list, or can't deliver there.
        :raises DotyposPermissionError: if the token may not manage webhooks.
        :raises DotyposError: if one still doesn't show in the cloud's list. Call it again.
        """
        with named_errors(self._conn_id):
            return self._registrar(base_url).register(check_lists(entities))

    def sync(self, entities: str | Sequence[str], base_url: str | None = None) -> IdsByList:
        """Make the cloud deliver to this connection the changes of these lists alone; see `register`.

        All its other webhooks are removed, also those below another base URL: after a move, or when the connection is
        no other Airflow's.

        :param entities: the lists; an empty list removes all webhooks of this connection.
        :param base_url: the address at which Dotypos reaches this Airflow, or what puts deliveries into a queue for it.
            Defaults to ``[api] base_url``.
        """
        with named_errors(self._conn_id):
            return self._registrar(base_url).sync(check_lists(entities))

    def remove(self, which: str | int | Iterable[str], *, base_url: str | None = None) -> Ids:
        """Remove this Airflow's webhooks by their lists, or any one by its id, and return the ids of those removed.

        :param which: lists, as one text with commas or several, or the id of a webhook.
        :param base_url: the address at which Dotypos reaches this Airflow, or what puts deliveries into a queue for it.
            Defaults to ``[api] base_url``.
        :raises DotyposPermissionError: if the token may not manage webhooks.
        :raises DotyposError: if one still shows in the cloud's list. Call it again.
        """
        with named_errors(self._conn_id):
            registrar = self._registrar(base_url)
            if isinstance(which, int) or (isinstance(which, str) and which.strip().lstrip("-").isdecimal()):
                return registrar.remove_ids([id_text(which, "the id of a webhook")])
            return registrar.remove(check_lists(which if isinstance(which, str) else [*which]))

    def _registrar(self, base_url: str | None) -> Registrar:
        from airflow_provider_dotypos.api.registration import Registrar

        return Registrar(self._get_client(), self._addresses(base_url))

    def _addresses(self, base_url: str | None) -> Addresses:
        place = _airflow.base_url() if base_url is None else base_url
        return Addresses(self._get_client().settings, self._conn_id, place, _airflow.mask_secret)
