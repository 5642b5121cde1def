"""Whether what a list lies below exists: an empty list may look like a wrong path."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.errors import DotyposNotFoundError, DotyposResponseError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.retry_table import OTHER_CLOUD
from airflow_provider_dotypos.api.steps import Flow


class Places:
    """What answers have shown to exist: a cloud to this process, what lies in it to this object."""

    def __init__(self, client: DotyposClient) -> None:
        self._client = client
        self._parents: set[str | None] = set()

    def note_parents(self, ids: Iterable[str]) -> None:
        """Note that a list has shown these parents."""
        self._parents.update(ids)

    def check(self, entity: Entity, parent: str | None, *, again: bool = False) -> None:
        """Raise unless what a list lies below exists. What an answer has shown to exist isn't asked for.

        :param again: whether to ask for it all the same.
        :raises DotyposNotFoundError: if it doesn't exist.
        """
        if entity.parent is not None:
            if again or parent not in self._parents:
                above = find_entity(entity.parent.entity)
                self._client.call("GET", f"{above.url_path()}/{parent}", decode=row_of)
                self._parents.add(parent)
        elif entity.in_cloud and (again or not self._client.knows_cloud):
            self.check_cloud()

    def check_cloud(self) -> dict[str, Any]:
        """Return the cloud's row.

        :raises DotyposConfigurationError: if no cloud is named.
        :raises DotyposNotFoundError: if there is no such cloud.
        """
        return self._client.run(ask_cloud(self._client))


def ask_cloud(exchange: Exchange) -> Flow[dict[str, Any]]:
    """Return the flow that reads the cloud's row, see `Places.check_cloud`."""
    cloud_id = exchange.settings.require_cloud_id()
    try:
        row = yield from exchange.flow("GET", f"/clouds/{cloud_id}", decode=functools.partial(_cloud_row, cloud_id))
    except DotyposNotFoundError as error:
        origin = exchange.settings.origin_of(cloud_id)
        raise DotyposNotFoundError(error.refusal, f"There is no cloud {cloud_id}: check {origin}.") from None
    exchange.note_cloud()
    return row


def row_of(answer: Answer) -> dict[str, Any]:
    """Return the row that an answer holds.

    :raises DotyposResponseError: if it holds something else.
    """
    row = answer.json()
    if not isinstance(row, dict):
        raise DotyposResponseError(f"answered {answer.status} with {type(row).__name__} where one row was expected")
    return row


def _cloud_row(cloud_id: int, answer: Answer) -> dict[str, Any]:
    """Return a cloud's row. A proxy in between may answer 200 with an object of its own."""
    row = row_of(answer)
    if str(row.get("id")) != str(cloud_id):
        raise DotyposResponseError(
            f"answered {answer.status} with an object that isn't cloud {cloud_id}",
            reason=OTHER_CLOUD,
        )
    return row
