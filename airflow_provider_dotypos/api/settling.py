"""Waiting until the ends of windows have settled, by the clock here and by the server's, as its answers show it."""

from __future__ import annotations

import logging
import time

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.window import iso, seconds_until_settled

log = logging.getLogger(__name__)


class Settling:
    """Waits until the ends of windows have settled. Threads may share it."""

    def __init__(self, client: DotyposClient) -> None:
        self._client = client
        # By the ends of windows: `settle`, and when the first request left by which the end had settled (monotonic).
        self._settle: dict[int, float] = {}
        self._settled_at: dict[int, float] = {}

    def meet(self) -> None:
        """Sign in, unless an answer has shown the server's clock already. The sign-in shows it.

        It costs no request, as the first call would sign in otherwise.

        :raises DotyposError: if signing in fails.
        """
        if self._client.clocks().server is None:
            self._client.sign_in()

    def wait_for(self, until: int, settle: float) -> None:
        """Wait until a window's end has settled by the clocks that are known, and look at the next answers' clock.

        :param until: the end, in epoch milliseconds.
        :param settle: seconds that a change may need to show in the API.
        """
        self.meet()
        self._settle[until] = settle
        self._wait(until, seconds_until_settled(until, self._client.clocks(), settle))

    def counts(self, until: int, left: float) -> bool:
        """Return whether a window's end had settled when a request left. If it hadn't, wait: ask again then.

        Once a request's answer has shown that it had, later requests aren't looked at.

        :param left: when the request left (monotonic seconds).
        """
        settle, settled_at = self._settle.get(until), self._settled_at.get(until)
        if settle is None or (settled_at is not None and left >= settled_at):
            return True
        then = self._client.clocks().earlier(time.monotonic() - left)
        seconds = seconds_until_settled(until, then, settle)
        if seconds <= 0:
            self._settled_at[until] = left
            return True
        self._wait(until, seconds)
        return False

    def latest(self, settle: float) -> int:
        """Return the latest second that has settled, in epoch milliseconds, by the earlier of both clocks."""
        return int(self._client.now().timestamp() - settle) * 1000

    def _wait(self, until: int, seconds: float) -> None:
        if seconds > 1:
            log.info("Waiting %.0f s until changes up to %s show in the API.", seconds, iso(until))
        self._client.sleep(seconds)
