"""The addresses that deliveries go to: what they say, and what keeps them secret."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.webhooks import (
    PAYLOADS,
    DeliveryAddress,
    delivery_path,
    delivery_token,
    read_delivery_path,
)

TOKEN = "0123456789abcdef" * 4


def settings(refresh_token: str = "refresh", secret: str | None = None) -> Settings:
    return Settings.from_fields(extra={"refresh_token": refresh_token, "webhook_secret": secret, "cloud_id": 5})


def test_a_token_is_64_hex_digits_and_of_one_cloud_and_list_alone() -> None:
    tokens = {delivery_token(settings(), cloud, entity) for cloud in (1, 11) for entity in PAYLOADS}
    assert len(tokens) == 2 * len(PAYLOADS)
    assert all(len(token) == 64 and set(token) <= set("0123456789abcdef") for token in tokens)


def test_it_is_the_same_for_every_process_and_version() -> None:
    """Webhooks that are registered hold it: another way to make it would cut them off."""
    assert delivery_token(settings(), 5, "orders") == (
        "fc6c266fbfda6f09bbfd3feb9cac9e9456630a54bf7880fbaef68fd73cec083d"
    )
    assert delivery_token(settings(secret="sixteen-letters."), 5, "orders") == (
        "893393302578dbbbc417047f2e68f5a6b18bdcd47b59e1924d79397d74c6778b"
    )


def test_it_changes_with_the_refresh_token_unless_the_connection_has_a_webhook_secret() -> None:
    def of(refresh_token: str, secret: str | None = None) -> str:
        return delivery_token(settings(refresh_token, secret), 5, "orders")

    assert of("old") != of("new")
    assert of("old", "sixteen-letters.") == of("new", "sixteen-letters.")
    assert of("old", "sixteen-letters.") != of("old", "sixteen-letters!")
    assert of("sixteen-letters.") != of("old", "sixteen-letters.")


@pytest.mark.parametrize("entity", PAYLOADS)
def test_a_path_is_read_as_it_was_made(entity: str) -> None:
    address = DeliveryAddress("dotypos_default.2-x", 2147483647, entity, TOKEN)
    assert address.path == delivery_path(*address)
    assert read_delivery_path(address.path) == address


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        f"/dotypos_default/5/orders/{TOKEN}/",
        f"/dotypos_default/5/orders/{TOKEN[:-1]}",
        f"/dotypos_default/5/orders/{TOKEN.upper()}",
        f"/dotypos_default/0/orders/{TOKEN}",
        f"/dotypos_default/\uff15/orders/{TOKEN}",
        f"/dotypos_default/5/branches/{TOKEN}",
        f"/dotypos_default/5/orders\n/{TOKEN}",
        f"/dotypos_default/5/orders/{TOKEN}\n",
        f"/a/b/5/orders/{TOKEN}",
        f"/../5/orders/{TOKEN}",
        f"//5/orders/{TOKEN}",
        f"/{'x' * 201}/5/orders/{TOKEN}",
        f"dotypos_default/5/orders/{TOKEN}",
    ],
)
def test_another_path_is_no_deliverys(path: str) -> None:
    assert read_delivery_path(path) is None
