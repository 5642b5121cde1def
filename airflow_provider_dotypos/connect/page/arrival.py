"""The way back from Dotypos: the state that the browser brings is checked, then the journey concluded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow_provider_dotypos.connect.grant import TIME_TO_DECIDE, read_return
from airflow_provider_dotypos.connect.journey import Failed, HeldElsewhere, NotStored, Target, conclude
from airflow_provider_dotypos.connect.page.seals import BrokenSealError, ExpiredSealError
from airflow_provider_dotypos.connect.page.visitor import Result, Visitor
from airflow_provider_dotypos.connections import audit
from airflow_provider_dotypos.connections.errors import ConnectError

log = logging.getLogger(__name__)

SIGNED_OUT = "Your Airflow session had ended when you came back from Dotypos. Nothing was changed. Connect again."


def open_state(visit: Visitor, sealed: str | None) -> dict[str, Any]:
    """Return the state of a journey that this visitor began.

    :raises ConnectError: if somebody else began it, or the time to decide is over.
    """
    try:
        return visit.open("state", sealed, life=TIME_TO_DECIDE)
    except ExpiredSealError:
        raise ConnectError(
            "Dotypos's page has expired: it stays open for about 15 minutes. Nothing was changed. Connect again."
        ) from None
    except BrokenSealError:
        raise ConnectError(
            "This return from Dotypos doesn't belong to what you began here: another user or another browser began it. "
            "Nothing was changed. Connect again."
        ) from None


def arrive(visit: Visitor, query: Mapping[str, str]) -> tuple[Result, str]:
    """Return how a journey ended, and the journey's id.

    :param query: what the browser brought back.
    :raises ConnectError: if this visitor didn't make the journey, or it is over.
    """
    if not query.get("token") and not query.get("state"):
        # A refusal. Whether one brings the state back isn't known [U].
        raise ConnectError("This return from Dotypos holds no token: no access was given. Nothing was changed.")
    state = open_state(visit, query.get("state"))
    conn_id, journey = str(state["conn_id"]), state["journey"]
    if not audit.note_return(journey, conn_id, visit.user_name):
        raise ConnectError("This return from Dotypos was used before. Nothing was changed.")
    try:
        return _conclude(visit, conn_id, query, state.get("at")), journey
    except ConnectError as error:
        return Failed(conn_id=conn_id, message=str(error)), journey


def _conclude(visit: Visitor, conn_id: str, query: Mapping[str, str], base_url: str | None) -> Result:
    """Return how a journey ended.

    :param base_url: the API base URL that the visitor was shown: the token goes nowhere else.
    """
    grant, connection = read_return(query), visit.find(conn_id)
    result = conclude(grant, Target(connection, visit.user_name, base_url=base_url))
    if not isinstance(result, NotStored):
        return result
    if not result.refused:
        return Failed(conn_id=conn_id, message=result.why)
    log.error("The connection %s can't be stored. %s", conn_id, result.why)
    held_in = f"{connection.held_in}, which refused it"
    return HeldElsewhere(conn_id=conn_id, cloud=result.cloud, grant=result.grant, held_in=held_in)
