"""Each journey to Dotypos and back is told in Airflow's audit log, which also lets each step be taken only once.

The log is a place that all API servers share: a journey's line is turned from "gone" to "back" by a single UPDATE, and
whoever finds no line to turn comes too late.
"""

from __future__ import annotations

import json
from typing import cast

from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import CursorResult, update

GONE = "dotypos_connect_gone"
BACK = "dotypos_connect_back"
ANSWERED = "dotypos_connect_answered"
STORED = "dotypos_connect_stored"


def begin(journey: str, conn_id: str, user: str) -> None:
    """Note that a user goes to Dotypos to connect a connection.

    :param journey: a random id.
    """
    _note(GONE, user, conn_id=conn_id, journey=journey)


def end(journey: str, conn_id: str) -> bool:
    """Note that a user came back, and return whether this is the first time."""
    return _turn(journey, conn_id, GONE, BACK)


def answer(journey: str, conn_id: str) -> bool:
    """Note that the question that a journey ended with was answered, and return whether this is the first time."""
    return _turn(journey, conn_id, BACK, ANSWERED)


def stored(conn_id: str, cloud_id: int, user: str) -> None:
    """Note that a connection was given a token."""
    _note(STORED, user, conn_id=conn_id, cloud_id=cloud_id)


def _turn(journey: str, conn_id: str, before: str, after: str) -> bool:
    line = update(Log).where(Log.event == before, Log.extra == _extra(conn_id=conn_id, journey=journey))
    with create_session() as session:
        turned = cast("CursorResult[object]", session.execute(line.values(event=after)))
        return bool(turned.rowcount == 1)


def _note(event: str, user: str, **extra: object) -> None:
    with create_session() as session:
        session.add(Log(event=event, owner=user, owner_display_name=user, extra=_extra(**extra)))


def _extra(**extra: object) -> str:
    return json.dumps(extra, sort_keys=True)
