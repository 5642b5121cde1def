"""Waiting that takes no time."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.api import retry
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.window import Clocks


def sleep_at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let clients sleep no time at all, while the clocks that they know go on as if they had.

    :return: the seconds that they have slept, sleep by sleep.
    """
    slept: list[float] = []
    real = Exchange.clocks

    def clocks(self: Exchange) -> Clocks:
        return real(self).earlier(-sum(slept))

    monkeypatch.setattr(Exchange, "clocks", clocks)
    monkeypatch.setattr(DotyposClient, "sleep", lambda self, seconds: slept.append(seconds))
    return slept


def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls be tried again after a moment, or after what a server asked for. How long they wait is tested alone."""
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 0.01)
