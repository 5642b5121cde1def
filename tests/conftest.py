"""What several tests share: a sandbox, clients to it, and a place to write."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

# Before anything imports Airflow: it makes its home, and a configuration in it, when it is imported.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))

import pytest
from hypothesis import HealthCheck, settings

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.sandbox.errors import RefusedError
from tests.scheduling import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.scheduling import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from tests.temporary import use_memory

# How long an example takes, or is made, says more of the machine than of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

#: Long enough for what passes, short enough for a test of what doesn't.
SHORT = Patience(faults=3.0, throttling=6.0)

#: Where Airflow keeps what it masks: of the SDK, and of the rest.
MASKERS = tuple(f"airflow.{part}_shared.secrets_masker.secrets_masker" for part in ("sdk.", ""))

NewClient = Callable[..., DotyposClient]


def pytest_configure() -> None:
    use_memory()


@pytest.fixture(autouse=True)
def _secrets_are_forgotten() -> Iterator[None]:
    """Forget the secrets that a test had masked. With each new one, Airflow compiles the pattern of all anew."""
    maskers = [sys.modules[name]._secrets_masker() for name in MASKERS if name in sys.modules]
    known = [(masker, set(masker.patterns), masker.replacer) for masker in maskers]
    yield
    for masker, patterns, replacer in known:
        masker.patterns, masker.replacer = patterns, replacer


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(shop=Shop.empty()) as running:
        yield running


@pytest.fixture
def driver() -> type[DotyposClient]:
    """What performs calls; tests of both drivers override it."""
    return DotyposClient


@pytest.fixture
def new_client(sandbox: Sandbox, driver: type[DotyposClient]) -> Iterator[NewClient]:
    """Make clients to the sandbox; they share tokens as clients of one process do, and nothing with other tests."""
    channel.forget_tokens()
    made: list[DotyposClient] = []

    def make(patience: Patience = SHORT, **fields: object) -> DotyposClient:
        extra = {"refresh_token": sandbox.refresh_token, "cloud_id": sandbox.cloud_ids[0], "timeout": 5, **fields}
        settings = Settings.from_fields(host=extra.pop("host", sandbox.url), extra=extra)
        made.append(driver(settings, patience=patience))
        return made[-1]

    yield make
    for client in made:
        client.close()
    channel.forget_tokens()


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, RefusedError], None]:
    """Let the sandbox refuse some lists."""
    answered = lists.page

    def refusing(names: str, refusal: RefusedError) -> None:
        def page(shop: Shop, cloud_id: int, entity: str, *args: Any, **more: Any) -> lists.Page:
            if entity in names.split() or names == "all":
                raise refusal
            return answered(shop, cloud_id, entity, *args, **more)

        monkeypatch.setattr(lists, "page", page)

    return refusing
