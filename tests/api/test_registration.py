"""Webhooks are registered once, whatever becomes of an answer, and nobody else's are touched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.addresses import Addresses
from airflow_provider_dotypos.api.errors import (
    DotyposError,
    DotyposInputError,
    DotyposPermissionError,
    DotyposValidationError,
)
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.registration import Registrar
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.sandbox.errors import RefusedError
from tests.conftest import NewClient

HERE = "https://airflow.example.com"

NewRegistrar = Callable[..., Registrar]


@pytest.fixture
def new_registrar(new_client: NewClient) -> NewRegistrar:
    def make(base_url: str | None = HERE, conn_id: str = "dotypos_default", **fields: object) -> Registrar:
        client = new_client()
        settings = replace(client.settings, **fields)
        return Registrar(client, Addresses(settings, conn_id, base_url, lambda token: None))

    return make


@pytest.fixture
def registrar(new_registrar: NewRegistrar) -> Registrar:
    return new_registrar()


def rows(sandbox: Sandbox) -> list[dict[str, Any]]:
    return sandbox.shop.rows(sandbox.cloud_ids[0], "webhooks")


def add(sandbox: Sandbox, url: str, **fields: object) -> str:
    """Register a webhook as another program does."""
    row = {"method": "POST", "payloadEntity": "ORDERBEAN", "payloadVersion": "V1", "url": url, **fields}
    return str(sandbox.shop.insert(sandbox.cloud_ids[0], "webhooks", row)["id"])


def add_warehouse(sandbox: Sandbox) -> int:
    id: int = sandbox.shop.insert(sandbox.cloud_ids[0], "warehouses", {"name": "cellar"})["id"]
    return id


def sent(sandbox: Sandbox) -> list[str]:
    """What has been asked for since the last time, sign-ins apart."""
    methods = [request.method for request in sandbox.requests if "signin" not in request.path]
    sandbox.requests.clear()
    return methods


def test_twice_registered_is_once_registered(sandbox: Sandbox, registrar: Registrar) -> None:
    first = registrar.register(["orders", "products"])
    assert sent(sandbox) == ["GET", "POST", "POST", "GET"]
    assert registrar.register(["orders", "products"]) == first
    assert sent(sandbox) == ["GET"]
    assert [(row["payloadEntity"], row["payloadVersion"], row["method"]) for row in rows(sandbox)] == [
        ("ORDERBEAN", "V1", "POST"),
        ("PRODUCT", "V1", "POST"),
    ]
    assert first == {"orders": [str(rows(sandbox)[0]["id"])], "products": [str(rows(sandbox)[1]["id"])]}


@pytest.mark.parametrize("kind", ["short-body", "reset-body", "cut-json", "empty"])
def test_an_answer_that_is_lost_is_settled_by_looking(sandbox: Sandbox, registrar: Registrar, kind: str) -> None:
    sandbox.faults.append(Fault(kind, method="POST", path="/webhooks"))
    ids = registrar.register(["orders"])
    assert ids == {"orders": [str(row["id"]) for row in rows(sandbox)]}
    assert sent(sandbox).count("POST") == 1
    assert len(rows(sandbox)) == 1


@pytest.mark.parametrize("status", [500, 503, 409])
def test_a_write_that_is_done_and_answered_as_failed_is_found_by_its_address(
    sandbox: Sandbox, registrar: Registrar, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    send = Transport.send

    def failing(self: Transport, request: Request) -> Answer:
        answer = send(self, request)
        if request.method == "POST" and request.path.endswith("/webhooks"):
            return replace_status(answer, status)
        return answer

    monkeypatch.setattr(Transport, "send", failing)
    assert registrar.register(["orders"]) == {"orders": [str(row["id"]) for row in rows(sandbox)]}
    assert len(rows(sandbox)) == 1
    assert sent(sandbox).count("POST") == 1


def replace_status(answer: Answer, status: int) -> Answer:
    return Answer(status, answer.headers, b'{"message": "failed"}')


@pytest.mark.parametrize("kind", ["reset", "500", "502-html", "403-empty"])
def test_one_that_may_come_yet_isnt_sent_again_but_looked_for_by_the_next_run(
    sandbox: Sandbox, registrar: Registrar, kind: str
) -> None:
    sandbox.faults.append(Fault(kind, method="POST", path="/webhooks"))
    with pytest.raises(DotyposError, match=r"^The webhook of orders isn't among.*Run this again") as unsettled:
        registrar.register(["orders"])
    assert not unsettled.value.permanent
    assert sent(sandbox).count("POST") == 1
    assert len(registrar.register(["orders"])["orders"]) == len(rows(sandbox)) == 1


def test_what_a_server_denies_to_have_is_not_sent_for_ever(
    sandbox: Sandbox, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.shop, "insert", lambda cloud, entity, row: row | {"id": 1})
    with pytest.raises(DotyposError, match="the list doesn't show what was answered"):
        registrar.register(["orders"])
    assert sent(sandbox).count("POST") == 1


def test_two_that_register_at_once_keep_one(
    sandbox: Sandbox, new_registrar: NewRegistrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, both_have_looked = Transport.send, threading.Barrier(2)

    def together(self: Transport, request: Request) -> Answer:
        if request.method == "POST" and request.path.endswith("/webhooks"):
            both_have_looked.wait(10)
        return send(self, request)

    monkeypatch.setattr(Transport, "send", together)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda each: each.register(["orders"]), [new_registrar(), new_registrar()]))
    assert sent(sandbox).count("POST") == 2
    assert [str(row["id"]) for row in rows(sandbox)] == results[0]["orders"] == results[1]["orders"]


def test_a_second_one_of_ours_is_removed(sandbox: Sandbox, registrar: Registrar) -> None:
    first = registrar.register(["orders"])
    add(sandbox, rows(sandbox)[0]["url"])
    assert registrar.register(["orders"]) == first
    assert len(rows(sandbox)) == 1


@pytest.mark.parametrize("call", ["register", "sync"])
def test_an_outdated_address_is_replaced_and_never_missing(
    sandbox: Sandbox, new_registrar: NewRegistrar, call: str
) -> None:
    old = new_registrar(refresh_token="before").register(["orders"])
    sent(sandbox)
    new = getattr(new_registrar(), call)(["orders"])
    assert new != old
    assert [str(row["id"]) for row in rows(sandbox)] == new["orders"]
    assert [method for method in sent(sandbox) if method != "GET"] == ["POST", "DELETE"]


def test_one_elsewhere_with_our_token_may_be_another_airflows_so_only_syncing_removes_it(
    sandbox: Sandbox, new_registrar: NewRegistrar, caplog: pytest.LogCaptureFixture
) -> None:
    """Two Airflows may share a connection. One that has moved syncs."""
    (elsewhere,) = new_registrar("https://old.example.com").register(["orders"])["orders"]
    (here,) = new_registrar().register(["orders"])["orders"]
    assert f"Webhook {elsewhere} delivers orders to https://old.example.com/dotypos-webhooks/" in caplog.text
    assert new_registrar().remove(["orders"]) == [here]
    assert [str(row["id"]) for row in rows(sandbox)] == [elsewhere]
    (here,) = new_registrar().sync(["orders"])["orders"]
    assert [str(row["id"]) for row in rows(sandbox)] == [here]


def test_registering_leaves_other_lists_alone_and_syncing_removes_them(
    sandbox: Sandbox, new_registrar: NewRegistrar
) -> None:
    registrar = new_registrar()
    registrar.register(["orders", "products"])
    new_registrar(refresh_token="before").register(["customers"])
    registrar.register(["orders"])
    assert {row["payloadEntity"] for row in rows(sandbox)} == {"ORDERBEAN", "PRODUCT", "CUSTOMER"}
    registrar.sync(["orders"])
    assert {row["payloadEntity"] for row in rows(sandbox)} == {"ORDERBEAN"}
    registrar.sync([])
    assert rows(sandbox) == []


def test_nobody_elses_webhooks_are_touched(sandbox: Sandbox, new_registrar: NewRegistrar) -> None:
    registrar = new_registrar()
    add(sandbox, "https://shop.example.com/hook?token=secret")
    add(sandbox, "https://airflow.example.com/other/hook")
    new_registrar(conn_id="dotypos_other").register(["orders"])
    new_registrar("https://staging.example.com", refresh_token="of staging").register(["orders"])
    others = [row["id"] for row in rows(sandbox)]
    registrar.register(["orders"])
    registrar.sync(["products"])
    registrar.remove(["orders", "products"])
    registrar.sync([])
    assert [row["id"] for row in rows(sandbox)] == others


CALLS = st.tuples(
    st.sampled_from(["register", "sync", "remove"]),
    st.sampled_from([("orders",), ("products",), ("orders", "customers")]),
    st.sampled_from([HERE, "https://staging.example.com"]),
    st.sampled_from(["secret", "former"]),
    st.sampled_from([("POST", "reset"), ("POST", "reset-body"), ("POST", "500"), ("POST", "502-html"), ("GET", "empty"),
                     ("DELETE", "reset"), ("DELETE", "short-body"), ("DELETE", "500"), None, None]),
    st.integers(0, 1),
)  # fmt: skip


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(CALLS, max_size=6))
def test_whatever_becomes_of_answers_one_more_sync_makes_it_right(
    sandbox: Sandbox, new_registrar: NewRegistrar, calls: list[Any]
) -> None:
    for row in [*rows(sandbox)]:
        sandbox.shop.delete(sandbox.cloud_ids[0], "webhooks", row["id"])
    sandbox.faults.clear()
    other = add(sandbox, "https://shop.example.com/hook")
    for call, entities, base_url, refresh_token, fault, skip in calls:
        if fault is not None:
            sandbox.faults.append(Fault(fault[1], method=fault[0], path="/webhooks", skip=skip))
        sandbox.requests.clear()
        with suppress(DotyposError):
            getattr(new_registrar(base_url, refresh_token=refresh_token), call)(entities)
        assert sent(sandbox).count("POST") <= len(entities), "no POST is repeated"
    sandbox.faults.clear()
    # One for each that has registered: nobody takes away what only another one can know as its own.
    for base_url, refresh_token in ((HERE, "former"), ("https://staging.example.com", "former")):
        new_registrar(base_url, refresh_token=refresh_token).sync([])
    right = new_registrar().sync(["orders", "products"])
    sent(sandbox)
    assert new_registrar().sync(["orders", "products"]) == right
    assert sent(sandbox) == ["GET"]
    assert {str(row["id"]) for row in rows(sandbox)} == {other, *right["orders"], *right["products"]}


def test_removing_is_by_list_or_by_id_and_may_be_repeated(sandbox: Sandbox, registrar: Registrar) -> None:
    ids = registrar.register(["orders", "products"])
    other = add(sandbox, "https://shop.example.com/hook")
    assert registrar.remove(["orders"]) == ids["orders"]
    assert registrar.remove(["orders"]) == []
    assert registrar.remove_ids([other]) == [other]
    assert registrar.remove_ids([other]) == []
    assert [str(row["id"]) for row in rows(sandbox)] == ids["products"]


@pytest.mark.parametrize("kind", ["short-body", "reset-body"])
def test_a_removal_whose_answer_is_lost_is_settled_by_looking(
    sandbox: Sandbox, registrar: Registrar, kind: str
) -> None:
    ids = registrar.register(["orders"])["orders"]
    sandbox.faults.append(Fault(kind, method="DELETE", path="/webhooks"))
    assert registrar.remove(["orders"]) == ids
    assert rows(sandbox) == []


def test_a_removal_that_may_come_yet_is_left_to_the_next_run(sandbox: Sandbox, registrar: Registrar) -> None:
    registrar.register(["orders"])
    sandbox.faults.append(Fault("reset", method="DELETE", path="/webhooks"))
    with pytest.raises(DotyposError, match=r"^Webhook \d+ still exists.*Run this again") as unsettled:
        registrar.remove(["orders"])
    assert not unsettled.value.permanent
    registrar.remove(["orders"])
    assert rows(sandbox) == []


def test_stock_is_delivered_by_warehouse(sandbox: Sandbox, registrar: Registrar) -> None:
    cloud = sandbox.cloud_ids[0]
    first, second = sandbox.shop.rows(cloud, "warehouses")[0]["id"], add_warehouse(sandbox)
    ids = registrar.register(["warehouse-products"])["warehouse-products"]
    assert [(row["payloadEntity"], row["_warehouseId"]) for row in rows(sandbox)] == [
        ("STOCKLOG", first),
        ("STOCKLOG", second),
    ]
    assert registrar.register(["warehouse-products"]) == {"warehouse-products": ids}
    third = add_warehouse(sandbox)
    sandbox.shop.delete(cloud, "warehouses", first)
    assert registrar.register(["warehouse-products"])["warehouse-products"][0] == ids[1]
    assert {row["_warehouseId"] for row in rows(sandbox)} == {second, third}


def test_a_cloud_without_warehouses_delivers_no_stock_and_the_log_says_so(
    sandbox: Sandbox, registrar: Registrar, caplog: pytest.LogCaptureFixture
) -> None:
    for row in [*sandbox.shop.rows(sandbox.cloud_ids[0], "warehouses")]:
        sandbox.shop.delete(sandbox.cloud_ids[0], "warehouses", row["id"])
    assert registrar.register(["warehouse-products"]) == {"warehouse-products": []}
    assert "has no warehouses, so nothing delivers warehouse-products." in caplog.text


def test_where_the_api_keeps_no_warehouse_one_delivers_the_stock_of_all(
    sandbox: Sandbox, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = sandbox.shop.insert
    add_warehouse(sandbox)
    monkeypatch.setattr(sandbox.shop, "insert", lambda *at, **_: insert(*at[:2], at[2] | {"_warehouseId": None}))
    ids = registrar.register(["warehouse-products"])
    assert len(rows(sandbox)) == 1
    assert registrar.register(["warehouse-products"]) == ids


def test_a_list_of_them_shows_whose_they_are_and_no_secret(sandbox: Sandbox, new_registrar: NewRegistrar) -> None:
    registrar = new_registrar()
    cloud = sandbox.cloud_ids[0]
    registrar.register(["orders"])
    new_registrar(refresh_token="before").register(["products"])
    add(sandbox, "https://shop.example.com/hook?token=secret", payloadEntity="POINTSLOG", method="GET")
    shown = registrar.find_all()
    ours = f"{HERE}/dotypos-webhooks/dotypos_default/{cloud}"
    assert [(each.entity, each.payload, each.method, each.url, each.state) for each in shown] == [
        ("orders", "ORDERBEAN", "POST", f"{ours}/orders/***", "current"),
        ("products", "PRODUCT", "POST", f"{ours}/products/***", "outdated"),
        (None, "POINTSLOG", "GET", "https://shop.example.com/…", "other"),
    ]
    assert all(row["url"][-20:] not in repr(shown) for row in rows(sandbox))


def test_a_ping_or_another_payload_at_our_address_doesnt_count_as_the_lists(
    sandbox: Sandbox, registrar: Registrar
) -> None:
    registrar.register(["orders"])
    url = rows(sandbox)[0]["url"]
    registrar.remove(["orders"])
    add(sandbox, url, method="GET")
    add(sandbox, url, payloadEntity="PRODUCT")
    assert not [webhook for webhook in registrar.find_all() if webhook.state == "current"]
    registrar.register(["orders"])
    assert [(row["method"], row["payloadEntity"]) for row in rows(sandbox)] == [
        ("POST", "PRODUCT"),
        ("POST", "ORDERBEAN"),
    ]


@pytest.mark.parametrize(("method", "call"), [("GET", "find_all"), ("POST", "register"), ("DELETE", "remove")])
def test_who_may_not_manage_webhooks_learns_whom_to_ask(
    sandbox: Sandbox, registrar: Registrar, monkeypatch: pytest.MonkeyPatch, method: str, call: str
) -> None:
    if method == "DELETE":
        registrar.register(["orders"])
    send = Transport.send

    def refusing(self: Transport, request: Request) -> Answer:
        if request.method == method and "/webhooks" in request.path:
            return Answer(403, {}, b'{"reason": "ACCESS_DENIED", "message": "no"}')
        return send(self, request)

    monkeypatch.setattr(Transport, "send", refusing)
    with pytest.raises(DotyposPermissionError, match="The token may not manage webhooks: the user who connected"):
        getattr(registrar, call)(*([] if call == "find_all" else [["orders"]]))


def test_a_known_reason_keeps_its_own_cure(
    sandbox: Sandbox, registrar: Registrar, refuse: Callable[[str, RefusedError], None]
) -> None:
    refuse("webhooks", RefusedError(403, "LICENSE_UPGRADE_REQUIRED", "no"))
    with pytest.raises(DotyposPermissionError, match="upgrade it"):
        registrar.find_all()


def test_an_address_that_dotypos_refuses_is_shown_without_its_token(
    sandbox: Sandbox, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Transport.send
    urls: list[str] = []

    def refusing(self: Transport, request: Request) -> Answer:
        if request.method == "POST" and request.path.endswith("/webhooks"):
            body = (request.body or b"").decode()
            urls.append(body.partition('"url":"')[2].partition('"')[0])
            return Answer(400, {}, b'{"violations": [{"fieldName": "url", "message": "%s"}]}' % urls[0].encode())
        return send(self, request)

    monkeypatch.setattr(Transport, "send", refusing)
    with pytest.raises(DotyposValidationError, match=r"can it be reached at https://airflow.*orders/\*\*\*") as refused:
        registrar.register(["orders"])
    assert len(urls[0].rpartition("/")[2]) == 64
    assert urls[0].rpartition("/")[2] not in str(refused.value)


def test_where_nothing_can_be_delivered_nothing_is_sent(sandbox: Sandbox, new_registrar: NewRegistrar) -> None:
    with pytest.raises(DotyposInputError, match="nothing says where"):
        new_registrar(None).register(["orders"])
    assert not sandbox.requests


def test_without_a_base_url_nothing_is_removed_as_nothing_says_whose_it_is(
    sandbox: Sandbox, new_registrar: NewRegistrar
) -> None:
    new_registrar().register(["orders"])
    with pytest.raises(DotyposInputError, match="nothing says where"):
        new_registrar(None).remove(["orders"])
    assert [webhook.state for webhook in new_registrar(None).find_all()] == ["elsewhere"]
