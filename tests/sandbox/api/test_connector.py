"""The connector's page: api/connector."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.api.connector import sign
from tests.patience import PATIENCE
from tests.sandbox.conftest import sign_in


class TestConnector:
    def fields(self, sandbox: Sandbox, offset: int = 0, **changes: str) -> dict[str, str]:
        timestamp = str(int(time.time()) + offset)
        return {
            "client_id": sandbox.client_id,
            "timestamp": timestamp,
            "signature": sign(sandbox.client_secret, timestamp),
            "scope": "*",
            "redirect_uri": "http://127.0.0.1:9/back?x=1",
            "state": "<s&>",
        } | changes

    def opened(self, sandbox: Sandbox, **changes: str) -> requests.Response:
        return requests.post(f"{sandbox.url}/client/connect/v2", data=self.fields(sandbox, **changes), timeout=PATIENCE)

    def decided(self, sandbox: Sandbox, page: str, decision: str) -> requests.Response:
        visit = page.partition('name="visit" value="')[2].partition('"')[0]
        return requests.post(
            f"{sandbox.url}/client/connect/decision",
            data={"visit": visit, "cloud": sandbox.cloud_ids[1], "decision": decision},
            allow_redirects=False,
            timeout=PATIENCE,
        )

    def test_the_signature_is_the_documented_one(self) -> None:
        vector = "d8ab53e04359e08b305ae9a8f1557efb601b44f5a65cc0d2967324417738639c"
        assert sign("test-secret", "1704123456") == vector

    def test_allowing_brings_back_a_token_for_the_chosen_cloud(self, sandbox: Sandbox) -> None:
        page = self.opened(sandbox)
        assert page.status_code == 200
        back = self.decided(sandbox, page.text, "allow")
        assert back.status_code == 302
        query = parse_qs(urlsplit(back.headers["Location"]).query)
        assert set(query) == {"x", "token", "cloudid", "state"}
        assert (query["cloudid"], query["state"]) == ([str(sandbox.cloud_ids[1])], ["<s&>"])
        (token,) = query["token"]
        assert sign_in(sandbox, sandbox.cloud_ids[1], token).status_code == 201
        assert sign_in(sandbox, sandbox.cloud_ids[0], token).status_code == 401
        assert self.decided(sandbox, page.text, "allow").status_code == 403  # each visit decides once

    def test_denying_brings_back_an_error(self, sandbox: Sandbox) -> None:
        back = self.decided(sandbox, self.opened(sandbox).text, "deny")
        assert parse_qs(urlsplit(back.headers["Location"]).query)["error"] == ["access_denied"]

    def test_a_wrong_signature_or_client(self, sandbox: Sandbox) -> None:
        for changes in ({"signature": "0" * 64}, {"client_id": "other"}):
            assert "Unknown client application" in self.opened(sandbox, **changes).text

    def test_a_wrong_clock(self, sandbox: Sandbox) -> None:
        data = self.fields(sandbox, offset=-75)
        page = requests.post(f"{sandbox.url}/client/connect/v2", data=data, timeout=PATIENCE)
        assert "check the time settings on your device" in page.text

    def test_whoever_takes_too_long_starts_again(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        page = self.opened(sandbox).text
        monkeypatch.setattr("airflow_provider_dotypos.sandbox.api.connector.TIME_TO_DECIDE", -1)
        assert "has expired" in self.decided(sandbox, page, "allow").text

    def test_nothing_is_reflected_unescaped(self, sandbox: Sandbox) -> None:
        page = self.opened(sandbox, redirect_uri="http://<script>alert(1)</script>/")
        assert "<script>" not in page.text
        assert self.opened(sandbox, redirect_uri="javascript:alert(1)").status_code == 400

    def test_the_legacy_way(self, sandbox: Sandbox) -> None:
        url = f"{sandbox.url}/client/connect"
        fields = self.fields(sandbox) | {"client_secret": sandbox.client_secret}
        assert "Allow" in requests.get(url, params=fields, timeout=PATIENCE).text
        assert "Unknown client" in requests.get(url, params=fields | {"client_secret": "x"}, timeout=PATIENCE).text
