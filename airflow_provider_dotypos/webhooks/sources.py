"""Whose deliveries they are: the connections that addresses name, remembered for a minute.

Anybody may ask, so neither memory nor questions to the database grow with what is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from airflow_provider_dotypos._airflow import has_teams
from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.errors import WrongConnectionError

#: Seconds for which an answer is remembered.
LIFE = 60.0

#: Seconds after which a connection is read again for a token that it refuses: its secret may be new.
DOUBT = 5.0

#: Seconds for which an answer is waited for: a database whose host is gone lets one wait for minutes.
PATIENCE = 10.0

#: Seconds for which nobody asks again after a failure.
REST = 5.0

#: Most connections that are remembered. Only those that exist count, so nobody can push them out.
MOST_KNOWN = 1_000

#: Most ids that are remembered as no connection's.
MOST_UNKNOWN = 100

#: Most unknown ids that are looked up at once; one more is allowed each second.
LOOK_UPS = 20


class Source(NamedTuple):
    """A connection that deliveries name.

    :param teams: the teams that it belongs to, as Airflow's asset manager wants them; ``None`` without teams.
    """

    settings: Settings
    teams: frozenset[str] | None = None


class LookUpError(Exception):
    """Airflow can't be asked for connections at the moment."""


def find_source(conn_id: str) -> Source | None:
    """Return a connection as Airflow holds it; ``None`` if it can't have deliveries."""
    try:
        connection = stored.find(conn_id)
        settings = None if connection is None else connection.settings()
    except (WrongConnectionError, DotyposConfigurationError):
        return None
    if settings is None or not has_teams():
        return None if settings is None else Source(settings)
    team = stored.find_team(conn_id)
    return Source(settings, frozenset() if team is None else frozenset({team}))


class _Answer(NamedTuple):
    source: Source | None
    at: float


class Sources:
    """The connections that were asked for.

    :param look_up: asks Airflow for one. It may raise anything.
    :param clock: seconds, never set back.
    """

    def __init__(
        self, look_up: Callable[[str], Awaitable[Source | None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: dict[str, _Answer] = {}
        self._unknown: dict[str, _Answer] = {}
        self._asked: dict[str, asyncio.Task[Source | None]] = {}
        self._left, self._left_at = float(LOOK_UPS), clock()
        self._rests_until = clock()

    async def find(self, conn_id: str, *, life: float = LIFE) -> Source | None:
        """Return a connection; ``None`` if it doesn't exist, or if too many are asked for that don't.

        :param life: seconds after which it is looked up again.
        :raises LookUpError: if it isn't known, and Airflow can't be asked.
        """
        answer = self._known.get(conn_id) or self._unknown.get(conn_id)
        if answer is not None and self._clock() - answer.at < life:
            return answer.source
        if conn_id not in self._asked:
            known = self._known.get(conn_id)
            if self._clock() < self._rests_until:
                return _unless_missing(known)
            # Those that exist are asked for whatever others ask: they are few, and each at most once in a life.
            if known is None and not self._may_ask():
                return None
            self._asked[conn_id] = asyncio.create_task(self._ask(conn_id, known))
            self._asked[conn_id].add_done_callback(_take_notice)
        asked = self._asked[conn_id]
        # One who leaves doesn't end the look-up that others wait for.
        done, _ = await asyncio.wait([asked], timeout=PATIENCE)
        if not done:
            self._rests_until = self._clock() + REST
            return _unless_missing(self._known.get(conn_id))
        return asked.result()

    async def _ask(self, conn_id: str, known: _Answer | None) -> Source | None:
        try:
            source = await self._look_up(conn_id)
        except Exception:  # whatever a database or a secrets backend raises
            self._rests_until = self._clock() + REST
            return _unless_missing(known)
        finally:
            del self._asked[conn_id]
        self._known.pop(conn_id, None)
        self._unknown.pop(conn_id, None)
        answers, most = (self._unknown, MOST_UNKNOWN) if source is None else (self._known, MOST_KNOWN)
        answers[conn_id] = _Answer(source, self._clock())
        if len(answers) > most:
            del answers[next(iter(answers))]
        return source

    def _may_ask(self) -> bool:
        now = self._clock()
        self._left, self._left_at = min(LOOK_UPS, self._left + now - self._left_at), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _take_notice(asked: asyncio.Task[Source | None]) -> None:
    """Take a failure that nobody waits for any more: the loop would log it with what a database said."""
    if not asked.cancelled():
        asked.exception()


def _unless_missing(known: _Answer | None) -> Source | None:
    if known is None:
        raise LookUpError
    return known.source
