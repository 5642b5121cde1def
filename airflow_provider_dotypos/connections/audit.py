"""Airflow's audit log: a line for each step of a journey, for each edit and for each change of webhooks.

All API servers share this log. So a journey's ticket is a line of its own there, and a single UPDATE turns it from one
step to the next, which makes each step unique. A request that finds no ticket to turn comes too late.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

#: What people read in the audit log.
GONE = "dotypos_connect_gone"
BACK = "dotypos_connect_back"
STORED = "dotypos_connect_stored"
MADE = "dotypos_connect_made"
CHANGED = "dotypos_connect_changed"
REGISTERED = "dotypos_webhooks_registered"
REMOVED = "dotypos_webhooks_removed"

#: The ticket's steps.
_OUT, _HOME, _ANSWERED = (f"dotypos_connect_ticket_{step}" for step in ("out", "home", "answered"))


def note_departure(journey: str, conn_id: str, user: str) -> None:
    """Note that a user goes to Dotypos to connect a connection.

    :param journey: a random id.
    """
    with create_session() as session:
        _note(session, GONE, user, conn_id=conn_id)
        _note(session, _OUT, user, conn_id=conn_id, journey=journey)


def note_return(journey: str, conn_id: str, user: str) -> bool:
    """Note that a user came back, and return whether this is the first time."""
    with create_session() as session:
        first = _turn_ticket(session, _OUT, _HOME, journey, conn_id)
        if first:
            _note(session, BACK, user, conn_id=conn_id)
        return first


def note_answer(journey: str, conn_id: str) -> bool:
    """Note that a journey's question is answered, and return whether this is the first time."""
    with create_session() as session:
        return _turn_ticket(session, _HOME, _ANSWERED, journey, conn_id)


def note_stored(conn_id: str, cloud_id: int, user: str) -> None:
    """Note that a connection was given a token."""
    with create_session() as session:
        _note(session, STORED, user, conn_id=conn_id, cloud_id=cloud_id)


def note_edit(session: Session, event: str, conn_id: str, fields: Mapping[str, object], user: str) -> None:
    """Note an edit of a connection, in the transaction that makes it.

    :param event: ``MADE`` or ``CHANGED``.
    :param fields: what became of each field; holds no secret.
    """
    _note(session, event, user, conn_id=conn_id, fields=dict(fields))


def note_webhooks(event: str, conn_id: str, entity: str, ids: Sequence[str], user: str) -> None:
    """Note that a user has set up a connection's webhooks.

    :param event: ``REGISTERED`` or ``REMOVED``.
    :param entity: the list whose changes they deliver.
    :param ids: the webhooks'.
    """
    with create_session() as session:
        _note(session, event, user, conn_id=conn_id, entity=entity, ids=list(ids))


def _turn_ticket(session: Session, before: str, after: str, journey: str, conn_id: str) -> bool:
    ticket = update(Log).where(Log.event == before, Log.extra == _extra(conn_id=conn_id, journey=journey))
    turned = cast("CursorResult[object]", session.execute(ticket.values(event=after)))
    return bool(turned.rowcount == 1)


def _note(session: Session, event: str, user: str, **extra: object) -> None:
    session.add(Log(event=event, owner=user, owner_display_name=user, extra=_extra(**extra)))


def _extra(**extra: object) -> str:
    return json.dumps(extra, sort_keys=True)
