"""What goes to the connector, and what comes back from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.connector import connector_signature
from airflow_provider_dotypos.connect.grant import Application, read_return
from airflow_provider_dotypos.connections.errors import ConnectError

SECRET = "5ecbe77e5ecbe77e"


def test_the_way_out_is_signed_and_does_not_hold_the_secret() -> None:
    out = Application("my-app", SECRET).sign_form("https://airflow.example.invalid/dotypos/callback", "the-state")

    assert (out.method, out.action) == ("post", "https://admin.dotykacka.cz/client/connect/v2")
    assert out.fields["signature"] == connector_signature(SECRET, int(out.fields["timestamp"]))
    assert SECRET not in str(dict(out.fields))


def test_the_legacy_way_holds_the_secret_in_its_fields_and_in_no_repr() -> None:
    application = Application("my app", SECRET, "http://127.0.0.1:8765")
    out = application.sign_form("https://airflow.example.invalid/?a=1&b=2", "a+b/=", legacy=True)

    assert (out.method, out.action) == ("get", "http://127.0.0.1:8765/client/connect")
    assert out.fields == {
        "client_id": "my app",
        "client_secret": SECRET,
        "scope": "*",
        "redirect_uri": "https://airflow.example.invalid/?a=1&b=2",
        "state": "a+b/=",
    }
    assert SECRET not in repr((application, out))


def test_a_token_and_its_cloud_are_read() -> None:
    grant = read_return({"token": " fa4e70cefa4e70ce ", "cloudid": "310101001", "state": "x"})

    assert (grant.refresh_token, grant.cloud_id) == ("fa4e70cefa4e70ce", 310101001)
    assert grant.extra == {"refresh_token": "fa4e70cefa4e70ce", "cloud_id": "310101001", "cloud_name": None}
    assert "fa4e70ce" not in repr(grant)


@pytest.mark.parametrize("query", [{}, {"error": "access_denied"}, {"token": "", "cloudid": "1"}], ids=str)
def test_no_token_is_a_refusal(query: dict[str, str]) -> None:
    with pytest.raises(ConnectError, match="gave no access"):
        read_return(query)


@given(st.text(min_size=1), st.text())
def test_what_comes_back_is_used_as_it_is_or_refused_without_repeating_it(token: str, cloud_id: str) -> None:
    query = {"token": token, "cloudid": cloud_id}
    try:
        grant = read_return(query)
    except ConnectError:
        with pytest.raises(ConnectError) as refused:
            read_return(query)
        assert "Connect again" in str(refused.value)
    else:
        assert 0 < grant.cloud_id < 2**31
        assert grant.refresh_token == token.strip()


@pytest.mark.parametrize(
    "query",
    [
        {"token": "fa4e70ce fa4e70ce", "cloudid": "310101001"},
        {"token": "<script>alert(1)</script>\n", "cloudid": "<b>"},
        {"token": "fa4e70cefa4e70ce", "cloudid": "0"},
        {"token": "fa4e70cefa4e70ce", "cloudid": ""},
        {"token": "fa4e70cefa4e70ce"},
    ],
    ids=str,
)
def test_what_can_not_be_used_is_told_without_repeating_it(query: dict[str, str]) -> None:
    with pytest.raises(ConnectError, match="not a refresh token and a cloud's number") as refused:
        read_return(query)
    assert query["token"].strip() not in str(refused.value)
