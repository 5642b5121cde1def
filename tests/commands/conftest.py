"""A cloud with a day of orders, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.cli import main
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox, Shop
from airflow_provider_dotypos.sandbox.api.tokens import Tokens
from tests.ui.airflow_server import database_like_new


@pytest.fixture(scope="session")
def server() -> Iterator[Sandbox]:
    """One server for all these tests: to stop one takes a fifth of a second."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(server: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox as if new, with a shop of its own, that the default connection leads to."""
    channel.forget_tokens()
    server.shop = Shop.generate(days=1, orders_per_day=60)
    server.tokens = Tokens(server.shop.cloud_ids)
    server.behaviour = Behaviour()
    server.date_offset = 0.0
    server.faults.clear()
    server.requests.clear()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(server.connection()))
    return server


@pytest.fixture
def migrated(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[None]:
    """A metadata database to look into, which holds nothing."""
    with database_like_new(tmp_path_factory.getbasetemp(), tmp_path):
        yield


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.out)
        return found


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run
