"""How far a watcher has got, kept in its asset's state store (Airflow 3.3)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from typing import Any

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.watch import State
from airflow_provider_dotypos.triggers.trouble import Trouble

log = logging.getLogger(__name__)

#: Seconds after which a state store is asked again that couldn't answer.
_AGAIN = 30.0


class KeptState:
    """A watcher's state in the state store of its asset.

    :param trigger: the watcher, as Airflow has prepared it.
    :param asset: the asset's name; ``None`` if it watches only one.
    :param watched: what tells this watcher's state from that of others on the same asset.
    :ivar is_new: whether the store has said that nothing was ever kept.
    """

    def __init__(self, trigger: Any, asset: str | None, watched: object) -> None:
        digest = hashlib.sha256(json.dumps(watched).encode()).hexdigest()[:16]
        self._key = f"dotypos_watch_{digest}"
        self._trouble = Trouble(
            f"The state of the watcher of asset {asset!r}",
            "can't be read or kept. A restart before it can would repeat events.",
            "can be kept again.",
        )
        self._store = self._open(trigger, asset)
        self.is_new = False

    async def read(self) -> State | None:
        """Return the state; ``None`` if none is kept, or that of another version.

        Without an answer nobody knows from where to go on. So this waits for one.
        """
        while self._store is not None:
            try:
                text = await self._store.aget(self._key)
            except ValueError:
                self._store = None
                log.warning("A trigger that watches several assets keeps no state: give it asset=, the name of one.")
            except Exception as error:  # the database may be busy
                self._trouble.note(DotyposError(type(error).__name__), _AGAIN)
                await asyncio.sleep(_AGAIN)
            else:
                self._trouble.end()
                self.is_new = text is None
                return State.decode(text)
        return None

    async def write(self, state: State) -> None:
        """Keep a state. If that fails, the next one covers it, and a start before that repeats events."""
        if self._store is None:
            return
        try:
            await self._store.aset(self._key, state.encode())
        except Exception as error:  # whatever it is: nothing is lost
            self._trouble.note(DotyposError(type(error).__name__), _AGAIN)
        else:
            self._trouble.end()

    def _open(self, trigger: Any, asset: str | None) -> Any | None:
        try:
            return _compat.watcher_store(trigger, asset)
        except LookupError:
            log.warning("The trigger watches no asset %r, so it keeps no state: name its asset by asset=.", asset)
            return None
