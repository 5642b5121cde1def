"""Whose webhook an address shows, and which addresses Dotypos can deliver to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.addresses import Addresses
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.webhooks import read_delivery_path
from airflow_provider_dotypos.provider_info import WEBHOOKS_PATH

HERE = "https://airflow.example.com/team"
SANDBOX = "http://127.0.0.1:8765"


def addresses(
    base_url: str | None = HERE, conn_id: str = "dotypos_default", refresh_token: str = "refresh", host: str = ""
) -> Addresses:
    settings = Settings.from_fields(host=host, extra={"refresh_token": refresh_token, "cloud_id": 5})
    return Addresses(settings, conn_id, base_url, lambda token: None)


def test_an_address_holds_the_connection_the_cloud_the_list_and_a_token() -> None:
    address = addresses().of("orders")
    base, _, rest = address.partition(WEBHOOKS_PATH)
    delivery = read_delivery_path(rest)
    assert base == HERE
    assert delivery is not None
    assert delivery[:3] == ("dotypos_default", 5, "orders")


def test_every_token_is_handed_over_to_be_masked() -> None:
    tokens: list[str] = []
    masking = Addresses(addresses().settings, "dotypos_default", HERE, tokens.append)
    assert masking.of("orders").endswith(tokens[-1])
    masking.read(masking.of("products"))
    assert len(set(tokens)) == 2


@pytest.mark.parametrize(
    ("base_url", "same"),
    [
        ("https://airflow.example.com/", "https://airflow.example.com"),
        (" HTTPS://Airflow.Example.com:443/team/ ", "https://airflow.example.com/team"),
        ("https://airflow.example.com:8443", "https://airflow.example.com:8443"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
    ],
)
def test_a_base_url_has_one_form(base_url: str, same: str) -> None:
    assert addresses(base_url).of("orders").partition(WEBHOOKS_PATH)[0] == same


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        (None, r"^nothing says where .* set \[api\] base_url"),
        ("", r"^nothing says where"),
        ("airflow.example.com", r"^base_url must look like https://"),
        ("ftp://airflow.example.com", r"^base_url must look like https://"),
        ("https://", r"^base_url must look like https://"),
        ("https://airflow.example.com:port", r"^base_url must look like https://"),
        ("https://airflow.example.com:99999", r"^base_url must look like https://"),
        ("https://[::1", r"^base_url must look like https://"),
        ("https://air flow.example.com", r"^base_url must look like https://"),
        ("https://ada:s3cret@airflow.example.com", r"^base_url must look like https://"),
        ("https://airflow.example.com/?a=b", r"^base_url must look like https://"),
        (5, r"^base_url must look like https://"),
        ("http://airflow.example.com", r"^base_url must start with https://"),
        ("http://localhost:8080", r"^Dotypos can't reach localhost, .* set \[api\] base_url"),
        ("https://127.0.0.1", r"^Dotypos can't reach 127\.0\.0\.1"),
        ("https://[::1]:8080", r"^Dotypos can't reach ::1"),
    ],
)
def test_where_dotypos_can_not_deliver_is_refused_with_a_cure(base_url: str, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message) as refused:
        addresses(base_url).of("orders")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("base_url", ["http://localhost:8080", "http://airflow:8080", "http://127.0.0.1:8080/x"])
def test_a_sandbox_delivers_by_http_too(base_url: str) -> None:
    assert addresses(base_url, host=SANDBOX).of("orders").startswith(base_url)


@pytest.mark.parametrize("conn_id", ["a/b", "..", ".hidden", "a b", "žižkov", "x" * 201, "a#b", "a%2Fb"])
def test_an_id_that_an_address_can_not_hold_is_refused_with_a_cure(conn_id: str) -> None:
    with pytest.raises(DotyposInputError, match="Copy the connection under such an id"):
        addresses(conn_id=conn_id).of("orders")


def test_todays_address_is_current() -> None:
    known = addresses().read(addresses("https://airflow.example.com:443/team/").of("orders"))
    assert known == (f"{HERE}{WEBHOOKS_PATH}/dotypos_default/5/orders/***", "current", "orders")


@pytest.mark.parametrize("form", [" {}/", "{}\n"])
def test_a_form_of_the_apis_own_is_known_too(form: str) -> None:
    url = addresses().of("orders").replace("https://airflow", "HTTPS://AIRFLOW")
    assert addresses().read(form.format(url)).state == "current"


@pytest.mark.parametrize(("base_url", "conn_id"), [(HERE, "dotypos-webhooks"), (f"{HERE}{WEBHOOKS_PATH}", "shop")])
def test_the_name_of_our_path_elsewhere_in_an_address_changes_nothing(base_url: str, conn_id: str) -> None:
    """An address that isn't known for ours is registered anew by each try."""
    ours = addresses(base_url, conn_id)
    assert ours.read(ours.of("orders")).state == "current"


def test_with_a_former_token_it_is_outdated_and_below_another_base_url_elsewhere() -> None:
    renewed = addresses().read(addresses(refresh_token="before").of("orders"))
    assert (renewed.state, renewed.entity) == ("outdated", "orders")
    moved = addresses().read(addresses("https://old.example.com").of("orders"))
    assert moved == (f"https://old.example.com{WEBHOOKS_PATH}/dotypos_default/5/orders/***", "elsewhere", "orders")


@pytest.mark.parametrize(
    "other",
    [
        addresses("https://staging.example.com", refresh_token="another"),
        addresses(conn_id="dotypos_other"),
    ],
    ids=["another Airflow with a connection of the same id", "another connection"],
)
def test_one_like_ours_isnt_ours(other: Addresses) -> None:
    known = addresses().read(other.of("orders"))
    assert (known.state, known.entity) == ("other", None)
    assert known.shown.endswith("/orders/***")


def test_another_cloud_isnt_ours() -> None:
    address = addresses().of("orders").replace("/5/", "/6/")
    assert addresses().read(address).state == "other"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example.com/services/secret?token=secret#secret", "https://hooks.example.com/…"),
        ("https://user:secret@hooks.example.com:8443", "https://hooks.example.com:8443/…"),
        (f"https://user:secret@airflow.example.com{WEBHOOKS_PATH}/secret", "https://airflow.example.com/…"),
        ("secret", "unreadable"),
        ("https://[secret", "unreadable"),
        ("None", "unreadable"),
    ],
)
def test_of_anothers_address_the_host_alone_is_shown(url: str, shown: str) -> None:
    assert addresses().read(url) == (shown, "other", None)


@given(st.text(max_size=40), st.booleans())
def test_any_text_can_be_an_address_and_none_shows_our_token(text: str, after_ours: bool) -> None:
    ours = addresses().of("orders")
    url = ours + text if after_ours else text + ours[len(HERE) :]
    known = addresses().read(url)
    assert ours[-64:] not in known.shown
    if after_ours and any(character.isalnum() for character in text):
        assert known.state == "other"
