"""Webhooks at Dotypos: a list's is registered once, whatever becomes of an answer, and nobody else's is touched.

The list of webhooks decides, never the answer to a write. So a lost answer is settled by looking, and two that register
at once see the same webhooks and keep the same one.

https://docs.api.dotypos.com/others/webhook
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_dotypos.api.addresses import Addresses, AddressState
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_list
from airflow_provider_dotypos.api.errors import (
    DotyposConflictError,
    DotyposError,
    DotyposNotFoundError,
    DotyposPermissionError,
    DotyposUncertainWriteError,
    DotyposUnreadableAnswerError,
    DotyposValidationError,
)
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.webhooks import PAYLOADS

log = logging.getLogger(__name__)

_METHOD, _VERSION = "POST", "V1"

#: What lies at this Airflow's address.
_HERE: tuple[AddressState, ...] = ("current", "outdated")

#: What says more of a refusal than that the token may not do this.
_KNOWN_REASONS = ("CLOUD_FORBIDDEN", "LICENSE_UPGRADE_REQUIRED")

_NOT_ALLOWED = (
    "The token may not manage webhooks: the user who connected the cloud needs the right to, in Dotypos's "
    "administration. Give it to that user, or connect the cloud again as one who has it."
)


@dataclass(frozen=True)
class Webhook:
    """A webhook of a cloud. It doesn't hold its address, which is a secret.

    :param entity: the list whose changes it delivers; ``None`` for what no list shows, such as points.
    :param payload: what it delivers, in the API's words, such as ``ORDERBEAN``.
    :param method: ``POST``, or ``GET`` for a ping without content.
    :param warehouse_id: the warehouse whose changes it delivers, if it is one warehouse's.
    :param url: its address for people: of one like ours without its token, of another its host alone.
    :param state: ``current``: it delivers to this connection. ``outdated``: it has its address, but a former token, or
        another payload. ``elsewhere``: it has today's token, but another base URL. ``other``: it is somebody else's.
    """

    id: str
    entity: str | None
    payload: str
    method: str
    warehouse_id: str | None
    url: str
    state: AddressState


class _Wanted(NamedTuple):
    """A webhook that should exist.

    :param warehouse_id: whose changes it delivers, where each warehouse has its own.
    """

    entity: str
    warehouse_id: str | None

    def is_met_by(self, webhook: Webhook) -> bool:
        # A webhook without a warehouse delivers those of all [A].
        delivers = webhook.state == "current" and webhook.entity == self.entity
        return delivers and webhook.warehouse_id in (None, self.warehouse_id)


class Registrar:
    """Registers and removes the webhooks by which a cloud delivers to one connection.

    :param addresses: where they deliver.
    """

    def __init__(self, client: DotyposClient, addresses: Addresses) -> None:
        self._client = client
        self._reader = Reader(client)
        self._addresses = addresses

    def find_all(self) -> list[Webhook]:
        """Return the cloud's webhooks, the oldest first.

        :raises DotyposPermissionError: if the token may not read them.
        """
        with _permitted():
            webhooks = [self._webhook(row) for row in self._reader.rows("webhooks")]
        return sorted(webhooks, key=lambda webhook: (len(webhook.id), webhook.id))

    def register(self, entities: Iterable[str]) -> dict[str, list[str]]:
        """Make the cloud deliver the changes of some lists, and return the ids of the webhooks that do, by lists.

        Outdated webhooks of these lists are removed. Those elsewhere may be another Airflow's, and are only named.

        :raises DotyposInputError: if there is no address that Dotypos can deliver to.
        :raises DotyposError: if one still doesn't show in the cloud's list.
        """
        names = list(entities)
        ids, left = self._ensure(names)
        of_these = [webhook for webhook in left if webhook.entity in names]
        self.remove_ids(webhook.id for webhook in of_these if webhook.state in _HERE)
        for webhook in of_these:
            if webhook.state == "elsewhere":
                log.warning(
                    "Webhook %s delivers %s to %s with this connection's secret. Unless another Airflow uses the "
                    "connection, remove it.",
                    *(webhook.id, webhook.entity, webhook.url),
                )
        return ids

    def sync(self, entities: Iterable[str]) -> dict[str, list[str]]:
        """Make the cloud deliver to this connection the changes of these lists alone; see `register`.

        All other webhooks with this connection's secret are removed, also those elsewhere.
        """
        ids, left = self._ensure(list(entities))
        self.remove_ids(webhook.id for webhook in left if webhook.state != "other")
        return ids

    def remove(self, entities: Iterable[str]) -> list[str]:
        """Remove the webhooks that deliver, or would, the changes of some lists here, and return their ids.

        :raises DotyposInputError: if nothing says where here is.
        """
        self._addresses.require_base_url()
        names = set(entities)
        return self.remove_ids(
            webhook.id for webhook in self.find_all() if webhook.entity in names and webhook.state in _HERE
        )

    def remove_ids(self, ids: Iterable[str]) -> list[str]:
        """Remove webhooks of any origin, and return the ids of those that existed.

        :raises DotyposError: if one still shows in the cloud's list.
        """
        removed: list[str] = []
        unsettled: dict[str, DotyposError] = {}
        for id in ids:
            try:
                with _permitted():
                    self._client.call("DELETE", f"webhooks/{id}", decode=_ignore)
            except DotyposNotFoundError:  # somebody else has removed it meanwhile
                continue
            except (DotyposUncertainWriteError, DotyposUnreadableAnswerError) as error:
                unsettled[id] = error
            removed.append(id)
        shown = {webhook.id for webhook in self.find_all()} if unsettled else set()
        for id in shown & unsettled.keys():
            raise _unsettled(f"webhook {id} still exists", unsettled[id])
        if removed:
            log.info("Removed webhooks of %s: %s.", self._reader.cloud, ", ".join(removed))
        return removed

    def _ensure(self, entities: list[str]) -> tuple[dict[str, list[str]], list[Webhook]]:
        """Register what is missing of some lists. Return the ids of the webhooks that deliver, and all others."""
        urls = {entity: self._addresses.of(entity) for entity in entities}
        wanted = [webhook for entity in entities for webhook in self._wanted(entity)]
        webhooks = self.find_all()
        missing = [webhook for webhook in wanted if not any(map(webhook.is_met_by, webhooks))]
        lost = {webhook: self._post(webhook, urls[webhook.entity]) for webhook in missing}
        if missing:
            webhooks = self.find_all()
        ids: dict[str, list[str]] = {entity: [] for entity in entities}
        for webhook in wanted:
            first = next(filter(webhook.is_met_by, webhooks), None)
            if first is None:
                raise _unsettled(f"the webhook of {webhook.entity} isn't among the cloud's", lost.get(webhook))
            if first.id not in ids[webhook.entity]:
                ids[webhook.entity].append(first.id)
            if webhook in lost:
                log.info("Registered webhook %s for %s of %s.", first.id, webhook.entity, self._reader.cloud)
        kept = {id for own in ids.values() for id in own}
        return ids, [webhook for webhook in webhooks if webhook.id not in kept]

    def _wanted(self, entity: str) -> list[_Wanted]:
        above = find_list(entity).parent
        if above is None:
            return [_Wanted(entity, None)]
        # Stock movements are delivered by warehouse [D].
        wanted = [_Wanted(entity, str(row["id"])) for row in self._reader.rows(above.entity)]
        if not wanted:
            log.warning("%s has no %s, so nothing delivers %s.", self._reader.cloud, above.entity, entity)
        return wanted

    def _post(self, wanted: _Wanted, url: str) -> DotyposError | None:
        """Register a webhook; return the error that leaves open whether it exists now."""
        body = {
            "_cloudId": self._reader.cloud_id,
            "method": _METHOD,
            "url": url,
            "payloadEntity": PAYLOADS[wanted.entity].name,
            "payloadVersion": _VERSION,
        }
        if wanted.warehouse_id is not None:
            body["_warehouseId"] = wanted.warehouse_id
        try:
            with _permitted():
                self._client.call("POST", "webhooks", json=body, decode=_ignore)
        except (DotyposUncertainWriteError, DotyposUnreadableAnswerError, DotyposConflictError) as error:
            return error
        except DotyposValidationError as error:
            shown = self._addresses.read(url).shown
            raise DotyposValidationError(
                error.refusal, f"Dotypos checks an address by a pattern of its own: can it be reached at {shown}?"
            ) from None
        return None

    def _webhook(self, row: dict[str, Any]) -> Webhook:
        payload, warehouse_id = str(row.get("payloadEntity")), row.get("_warehouseId")
        entity = next((each.entity for each in PAYLOADS.values() if each.name == payload), None)
        address = self._addresses.read(str(row.get("url")))
        delivers = (row.get("method"), row.get("payloadVersion"), entity) == (_METHOD, _VERSION, address.entity)
        return Webhook(
            id=str(row.get("id")),
            entity=entity,
            payload=payload,
            method=str(row.get("method")),
            warehouse_id=None if warehouse_id is None else str(warehouse_id),
            url=address.shown,
            state="outdated" if address.state == "current" and not delivers else address.state,
        )


@contextmanager
def _permitted() -> Iterator[None]:
    """Have a refusal of webhooks say who may manage them."""
    try:
        yield
    except DotyposPermissionError as error:
        if error.refusal.empty or error.reason in _KNOWN_REASONS:
            raise
        raise DotyposPermissionError(error.refusal, _NOT_ALLOWED) from None


def _ignore(answer: Answer) -> None:
    """Make nothing of an answer: the list of webhooks says what has come of a write."""


def _unsettled(state: str, error: DotyposError | None) -> DotyposError:
    """Return the error of a write whose outcome the list of webhooks doesn't show. The next run looks again first."""
    what = "the list doesn't show what was answered" if error is None else str(error)
    return DotyposError(
        f"{state[0].upper()}{state[1:]}. That may change yet. Run this again: it looks before it sends anything. What "
        f"happened: {what}"
    )
