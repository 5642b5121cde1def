"""The connector's address, form, signature and link."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_dotypos.api.connector import connector, connector_form, connector_link, connector_signature

VECTOR = "d8ab53e04359e08b305ae9a8f1557efb601b44f5a65cc0d2967324417738639c"


def test_the_signature_is_the_hmac_of_the_timestamp_alone() -> None:
    assert connector_signature("test-secret", 1704123456) == VECTOR


def test_the_form_holds_the_signature_and_never_the_secret() -> None:
    form = connector_form("my-app", "test-secret", "https://example.invalid/cb", timestamp=1704123456, state="s")
    assert form == {
        "client_id": "my-app",
        "timestamp": "1704123456",
        "signature": VECTOR,
        "scope": "*",
        "redirect_uri": "https://example.invalid/cb",
        "state": "s",
    }
    assert "state" not in connector_form("a", "b", "c", timestamp=1)


@pytest.mark.parametrize(
    ("api", "page"),
    [
        ("https://api.dotykacka.cz", "https://admin.dotykacka.cz/client/connect"),
        ("https://proxy.example.invalid/dotypos", "https://admin.dotykacka.cz/client/connect"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765/client/connect"),
        ("http://[::1]:8765/below", "http://[::1]:8765/client/connect"),
        ("http://sandbox:8765", "http://sandbox:8765/client/connect"),
    ],
)
def test_the_connector_is_the_vendors_page_or_the_sandboxs_own(api: str, page: str) -> None:
    assert connector(api) == page


def test_the_legacy_link_has_the_vendors_form() -> None:
    link = connector_link(
        "https://api.dotykacka.cz", "my app", "s&cret", "https://example.invalid/?a=1", state="my-state"
    )
    assert link.startswith("https://admin.dotykacka.cz/client/connect?client_id=")
    assert "scope=*" in link
    assert parse_qs(urlsplit(link).query) == {
        "client_id": ["my app"],
        "client_secret": ["s&cret"],
        "scope": ["*"],
        "redirect_uri": ["https://example.invalid/?a=1"],
        "state": ["my-state"],
    }
