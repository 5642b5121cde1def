"""``hook.webhooks``: what a DAG author calls, by a connection and Airflow's configuration."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.exceptions import DotyposError, DotyposInputError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.webhooks import Webhooks
from airflow_provider_dotypos.sandbox import Fault, Sandbox

HERE = "https://airflow.example.com"


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    secrets: list[str] = []
    monkeypatch.setattr(_airflow, "mask_secret", secrets.append)
    return secrets


@pytest.fixture
def webhooks(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, masked: list[str]) -> Webhooks:
    channel.forget_tokens()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(sandbox.cloud_ids[0])))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", HERE)
    return DotyposHook().webhooks


def test_registering_listing_and_removing(sandbox: Sandbox, webhooks: Webhooks) -> None:
    ids = webhooks.register("orders, products")
    assert webhooks.register(["orders", "products"]) == ids
    shown = webhooks.list()
    assert [(each["id"], each["entity"], each["state"]) for each in shown] == [
        (*ids["orders"], "orders", "current"),
        (*ids["products"], "products", "current"),
    ]
    assert json.loads(json.dumps(shown)) == shown  # XCom takes it
    assert webhooks.sync("orders") == {"orders": ids["orders"]}
    assert webhooks.remove(int(ids["orders"][0])) == ids["orders"]
    assert webhooks.remove(ids["orders"][0]) == []
    assert webhooks.remove("orders") == []
    assert webhooks.list() == []


def test_what_is_registered_is_the_address_and_its_token_is_masked(
    sandbox: Sandbox, webhooks: Webhooks, masked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhooks.register("orders")
    address = webhooks.address("orders")
    assert [row["url"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "webhooks")] == [address]
    assert address.startswith(f"{HERE}/dotypos-webhooks/dotypos_default/{sandbox.cloud_ids[0]}/orders/")
    token = address.rpartition("/")[2]
    assert token in masked
    assert token not in json.dumps(webhooks.list())
    assert token not in caplog.text
    assert "Registered webhook" in caplog.text


def test_a_base_url_of_ones_own_takes_the_place_of_airflows(sandbox: Sandbox, webhooks: Webhooks) -> None:
    other = "https://hooks.example.com/airflow"
    assert webhooks.address("orders", other).startswith(f"{other}/dotypos-webhooks/")
    webhooks.register("orders", base_url=other)
    assert [each["state"] for each in webhooks.list(base_url=other)] == ["current"]
    assert [each["state"] for each in webhooks.list()] == ["elsewhere"]
    webhooks.sync(["orders"])
    assert [each["state"] for each in webhooks.list()] == ["current"]


@pytest.mark.parametrize("which", ["order", ["orders", "branches"], [5], None, " ", ""])
def test_a_list_that_isnt_delivered_is_refused_unsent(sandbox: Sandbox, webhooks: Webhooks, which: object) -> None:
    with pytest.raises(DotyposInputError, match=r"entities"):
        webhooks.sync(which)  # type: ignore[arg-type]
    assert not sandbox.requests


def test_the_nearest_list_is_named(webhooks: Webhooks) -> None:
    with pytest.raises(DotyposInputError, match=r"no changes of 'order' \(did you mean 'orders'\?\).*polling"):
        webhooks.address("order")


@pytest.mark.parametrize("which", ["-", "5.5", True, "5 6"])
def test_what_is_neither_list_nor_id_removes_nothing(sandbox: Sandbox, webhooks: Webhooks, which: object) -> None:
    with pytest.raises(DotyposInputError):
        webhooks.remove(which)  # type: ignore[arg-type]
    assert not sandbox.requests


def test_errors_name_the_connection(sandbox: Sandbox, webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    with pytest.raises(DotyposInputError, match=r"set \[api\] base_url.*connection 'dotypos_default'"):
        webhooks.register("orders")
    sandbox.faults.append(Fault("reset", method="POST", path="/webhooks"))
    with pytest.raises(DotyposError, match=r"Run this again.*connection 'dotypos_default'"):
        webhooks.register("orders", base_url=HERE)
