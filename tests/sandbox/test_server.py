"""The server: signing in, tokens, faults, the connector and the controls, over real sockets."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.api.connector import sign
from tests.sandbox.conftest import Api, sign_in


def get(url: str, token: str | None = None) -> requests.Response:
    return requests.get(url, headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=5)


@pytest.mark.parametrize("form", [int, str])
def test_sign_in_takes_the_cloud_as_number_or_text(sandbox: Sandbox, cloud: int, form: type) -> None:
    answer = sign_in(sandbox, form(cloud))
    assert (answer.status_code, list(answer.json())) == (201, ["accessToken"])
    claims = answer.json()["accessToken"].split(".")[1]
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert set(decoded) == {"sub", "iss", "iat", "exp"}
    assert decoded["exp"] - decoded["iat"] == 3600
    assert sandbox.sign_ins == 1


def test_a_wrong_refresh_token_and_a_foreign_cloud_look_alike(sandbox: Sandbox, cloud: int) -> None:
    for answer in (sign_in(sandbox, cloud, token="0" * 32), sign_in(sandbox, sandbox.foreign_cloud_id)):
        assert (answer.status_code, answer.json()["reason"]) == (401, "INVALID_REFRESH_TOKEN")
    assert sandbox.sign_ins == 0


def test_sign_in_wants_its_header_and_json(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/v2/signin/token"
    assert requests.post(url, json={}, timeout=5).json()["reason"] == "INVALID_AUTH_HEADER"
    user = {"Authorization": f"User {sandbox.refresh_token}"}
    assert requests.post(url, data={"_cloudId": 1}, headers=user, timeout=5).status_code == 415
    assert (
        requests.post(url, data="{", headers=user | {"Content-Type": "application/json"}, timeout=5).status_code == 400
    )


def test_a_token_without_a_cloud_may_only_list_clouds(sandbox: Sandbox, cloud: int) -> None:
    token = sign_in(sandbox).json()["accessToken"]
    clouds = get(f"{sandbox.url}/v2/clouds", token)
    assert [int(row["id"]) for row in clouds.json()["data"]] == list(sandbox.cloud_ids)
    assert get(f"{sandbox.url}/v2/clouds/{cloud}", token).json()["reason"] == "CLOUD_FORBIDDEN"


def test_a_token_is_for_one_cloud(sandbox: Sandbox, cloud: int) -> None:
    token = sign_in(sandbox, cloud).json()["accessToken"]
    assert get(f"{sandbox.url}/v2/clouds/{cloud}", token).json()["id"] == str(cloud)
    for other in (sandbox.cloud_ids[1], sandbox.foreign_cloud_id):
        answer = get(f"{sandbox.url}/v2/clouds/{other}/orders", token)
        assert (answer.status_code, answer.json()["reason"]) == (403, "CLOUD_FORBIDDEN")
    assert get(f"{sandbox.url}/v2/clouds/5/orders", token).status_code == 404


def test_an_expired_token_is_403_not_401(sandbox: Sandbox, cloud: int) -> None:
    url = f"{sandbox.url}/v2/clouds/{cloud}/branches"
    token = sign_in(sandbox, cloud).json()["accessToken"]
    assert get(url, token).status_code == 200
    sandbox.expire_tokens()
    assert (get(url, token).status_code, get(url, token).json()["reason"]) == (403, "ACCESS_TOKEN_EXPIRED")
    sandbox.token_lifetime = 0.05
    token = sign_in(sandbox, cloud).json()["accessToken"]
    while (answer := get(url, token)).status_code == 200:
        continue
    assert answer.json()["reason"] == "ACCESS_TOKEN_EXPIRED"


def test_bad_tokens_and_missing_ones(sandbox: Sandbox, cloud: int) -> None:
    url = f"{sandbox.url}/v2/clouds/{cloud}/branches"
    token = sign_in(sandbox, cloud).json()["accessToken"]
    assert get(url).json()["reason"] == "INVALID_AUTH_HEADER"
    for bad in ("nonsense", "a.b.c", token[:-4] + "AAAA"):
        assert (get(url, bad).status_code, get(url, bad).json()["reason"]) == (403, "INVALID_ACCESS_TOKEN")


def test_a_filter_must_be_encoded(sandbox: Sandbox, cloud: int) -> None:
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as raw:
        token = sign_in(sandbox, cloud).json()["accessToken"]
        path = f"/v2/clouds/{cloud}/branches?filter=id|eq|1"
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert b" 400 " in raw.recv(64)


def test_unknown_paths_and_methods(api: Api) -> None:
    assert (api("GET", "order").status_code, api("GET", "order").json()["reason"]) == (404, "NOT_FOUND")
    refused = api("DELETE", "orders/1")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, OPTIONS")
    assert api("PATCH", "products", json={}).status_code == 405
    assert api("OPTIONS", "tags").headers["Allow"] == "GET, POST, OPTIONS"


def test_etags_spare_unchanged_answers(api: Api, sandbox: Sandbox, cloud: int) -> None:
    first = api("GET", "branches")
    again = api("GET", "branches", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    one = api("GET", f"branches/{first.json()['data'][0]['id']}")
    assert one.headers["ETag"] != first.headers["ETag"]
    sandbox.shop.update(cloud, "branches", int(one.json()["id"]), {"name": "New"})
    assert api("GET", "branches", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_behaviour_may_change_while_running(api: Api, sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(numbers="number")
    assert isinstance(api("GET", "branches").json()["data"][0]["id"], int)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("429", 429),
        ("500", 500),
        ("502-html", 502),
        ("503", 503),
        ("html-200", 200),
        ("redirect", 302),
        ("403-html", 403),
        ("404-empty", 404),
    ],
)
def test_faults_that_answer(api: Api, sandbox: Sandbox, kind: str, status: int) -> None:
    sandbox.faults.append(Fault(kind, retry_after="7"))
    answer = api("GET", "branches", allow_redirects=False)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert api("GET", "branches").status_code == 200


@pytest.mark.parametrize("kind", ["reset", "reset-body", "short-body"])
def test_faults_that_break_the_connection(api: Api, sandbox: Sandbox, kind: str) -> None:
    sandbox.faults.append(Fault(kind))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        api("GET", "branches")
    assert api("GET", "branches").status_code == 200


@pytest.mark.parametrize("path", ["branches", "orders"])
def test_json_that_is_cut_off(api: Api, sandbox: Sandbox, path: str) -> None:
    sandbox.faults.append(Fault("cut-json"))
    answer = api("GET", path)
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["Content-Length"])
    with pytest.raises(ValueError):  # noqa: PT011
        answer.json()


def test_a_dripping_answer_arrives_in_the_end(api: Api, sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("drip", interval=0.0005))
    assert api("GET", "branches").json()["data"]


def test_a_hanging_request(api: Api, sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("hang"))
    with pytest.raises(requests.ReadTimeout):
        api("GET", "branches", timeout=0.1)


def test_stop_cuts_hanging_and_dripping_requests_off() -> None:
    broken = []

    def hang(url: str) -> None:
        try:
            requests.get(url, timeout=20)
        except requests.RequestException as error:
            broken.append(error)

    with Sandbox() as sandbox:
        sandbox.faults += [Fault("hang"), Fault("drip", interval=1)]
        threads = [threading.Thread(target=hang, args=(f"{sandbox.url}/v2/clouds",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        while any(fault.times for fault in sandbox.faults):
            assert all(thread.is_alive() for thread in threads)
        started = time.monotonic()
    for thread in threads:
        thread.join(5)
    assert len(broken) == 2
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(("kind", "total"), [("empty", "0"), ("emptied", "3")])
def test_faults_that_take_a_lists_rows_away(api: Api, sandbox: Sandbox, kind: str, total: str) -> None:
    for _ in range(3):
        sandbox.shop.insert(sandbox.cloud_ids[0], "tables", {})
    sandbox.faults.append(Fault(kind, path="/tables"))
    found = api("GET", "tables").json()
    assert (found["data"], found["totalItemsOnPage"], found["totalItemsCount"]) == ([], "0", total)
    assert len(api("GET", "tables").json()["data"]) == 3


def test_faults_choose_their_requests(api: Api, sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("503", path="/branches", method="GET", skip=1, times=2))
    assert api("GET", "taxes").status_code == 200
    assert [api("GET", "branches").status_code for _ in range(4)] == [200, 503, 503, 200]


def test_the_log_tells_what_was_asked(api: Api, sandbox: Sandbox, cloud: int) -> None:
    api("GET", "taxes", params={"filter": "name|like|%", "limit": 5})
    sandbox.faults.append(Fault("reset"))
    with pytest.raises(requests.ConnectionError):
        api("GET", "taxes")
    signed_in, listed, broken = sandbox.requests
    assert (signed_in.method, signed_in.status) == ("POST", 201)
    assert listed.path == f"/v2/clouds/{cloud}/taxes"
    assert listed.query == {"filter": "name|like|%", "limit": "5"}
    assert listed.headers["accept-encoding"]
    assert broken.status == 0


def test_latency_and_a_wrong_date(api: Api, sandbox: Sandbox) -> None:
    sandbox.latency, sandbox.date_offset = 0.05, 3600
    started = time.time()
    answer = api("GET", "taxes")
    assert time.time() - started > 0.05
    assert 3500 < parsedate_to_datetime(answer.headers["Date"]).timestamp() - started < 3700


def test_the_connection_is_what_airflow_takes(sandbox: Sandbox) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[1])
    assert f"{connection['host']}:{connection['port']}" == sandbox.url
    assert connection["extra"] == {
        "refresh_token": sandbox.refresh_token,
        "cloud_id": str(sandbox.cloud_ids[1]),
    }


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
        return requests.post(f"{sandbox.url}/client/connect/v2", data=self.fields(sandbox, **changes), timeout=5)

    def decided(self, sandbox: Sandbox, page: str, decision: str) -> requests.Response:
        visit = page.partition('name="visit" value="')[2].partition('"')[0]
        return requests.post(
            f"{sandbox.url}/client/connect/decision",
            data={"visit": visit, "cloud": sandbox.cloud_ids[1], "decision": decision},
            allow_redirects=False,
            timeout=5,
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
        page = requests.post(f"{sandbox.url}/client/connect/v2", data=data, timeout=5)
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
        assert "Allow" in requests.get(url, params=fields, timeout=5).text
        assert "Unknown client" in requests.get(url, params=fields | {"client_secret": "x"}, timeout=5).text


class TestControls:
    def test_state_and_advance(self, sandbox: Sandbox) -> None:
        url = f"{sandbox.url}/_sandbox"
        before = sandbox.shop.now()
        state = requests.post(f"{url}/advance", json={"seconds": 3600}, timeout=5).json()
        assert sandbox.shop.now() - before >= 3_600_000
        assert state["rows"][str(sandbox.cloud_ids[0])]["branches"] == 1
        assert requests.get(f"{url}/state", timeout=5).json()["behaviour"]["ties"] == "stable"
        assert requests.post(f"{url}/advance", json={"seconds": -1}, timeout=5).status_code == 400

    def test_behaviour_and_faults(self, sandbox: Sandbox, api: Api) -> None:
        url = f"{sandbox.url}/_sandbox"
        requests.post(f"{url}/behaviour", json={"ties": "shuffled"}, timeout=5)
        assert sandbox.behaviour.ties == "shuffled"
        assert requests.post(f"{url}/behaviour", json={"ties": "x"}, timeout=5).status_code == 400
        assert requests.post(f"{url}/behaviour", json={"knots": "x"}, timeout=5).status_code == 400
        requests.post(f"{url}/faults", json={"kind": "503", "times": 2}, timeout=5)
        assert api("GET", "branches").status_code == 503
        requests.delete(f"{url}/faults", timeout=5)
        assert api("GET", "branches").status_code == 200
        log = requests.get(f"{url}/requests", timeout=5).json()
        assert [entry["status"] for entry in log] == [201, 503, 200]

    def test_other_web_pages_cannot_call_them(self, sandbox: Sandbox) -> None:
        url = f"{sandbox.url}/_sandbox/faults"
        assert (
            requests.post(url, data='{"kind":"503"}', headers={"Content-Type": "text/plain"}, timeout=5).status_code
            == 415
        )
