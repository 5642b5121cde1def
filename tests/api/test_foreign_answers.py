"""Refusals that aren't Dotypos's own: something in between answered, and that passes."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import check
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.refusals import is_foreign
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.api.drivers import DRIVERS
from tests.conftest import NewClient

GATEWAYS = ["400-html", "401-html", "403-html", "404-html", "405-html", "421-html", "499-html", "501-html"]
#: One empty refusal at the sign-in is no word of Dotypos's either; nor is a 403 that says nothing.
PATIENT = Patience(20, 20)
HASTY = Patience(0.1, 0.1)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> object:
    return DRIVERS[request.param]


def calls(sandbox: Sandbox, path: str) -> int:
    return sum(request.path.endswith(path) for request in sandbox.requests)


def post(client: DotyposClient) -> object:
    return client.call("POST", "tags", json=[{"name": "vegan", "display": True}], decode=Answer.json)


@pytest.mark.parametrize("kind", GATEWAYS)
@pytest.mark.parametrize("path", ["branches", "/clouds/", "signin"], ids=["list", "cloud", "sign-in"])
def test_a_gateways_page_is_waited_out(sandbox: Sandbox, new_client: NewClient, kind: str, path: str) -> None:
    sandbox.faults.append(Fault(kind, path=path))
    reader = Reader(new_client(PATIENT))
    assert reader.check_cloud()["id"] == str(sandbox.cloud_ids[0])
    assert list(reader.rows("branches"))


@pytest.mark.parametrize("kind", ["403-empty", "404-empty"])
def test_a_sign_in_that_says_nothing_is_tried_again(sandbox: Sandbox, new_client: NewClient, kind: str) -> None:
    sandbox.faults.append(Fault(kind, path="signin"))
    assert list(Reader(new_client(PATIENT)).rows("branches"))


@pytest.mark.parametrize("kind", GATEWAYS)
def test_the_error_says_who_answered_and_what_to_do(sandbox: Sandbox, new_client: NewClient, kind: str) -> None:
    sandbox.faults.append(Fault(kind, path="branches", times=1000))
    with pytest.raises(errors.DotyposResponseError) as caught:
        list(Reader(new_client(HASTY)).rows("branches"))
    error = caught.value
    assert not error.permanent
    assert error.status == int(kind[:3])
    for part in (f"answered {kind[:3]} with text/html", "something between this machine and Dotypos", "gave up after"):
        assert part in str(error)


@pytest.mark.parametrize("kind", ["404-html", "404-empty"])
def test_a_404_of_the_sign_in_is_neither_a_missing_cloud_nor_an_empty_list(
    sandbox: Sandbox, new_client: NewClient, kind: str
) -> None:
    sandbox.faults.append(Fault(kind, path="signin", times=1000))
    for read in (Reader.check_cloud, lambda reader: list(reader.rows("branches"))):
        with pytest.raises(errors.DotyposResponseError) as caught:
            read(Reader(new_client(HASTY)))  # type: ignore[operator]
        assert "There is no cloud" not in str(caught.value)
        assert "API base URL" in str(caught.value)
        assert "signin/token answered 404" in str(caught.value)


@pytest.mark.parametrize("kind", ["401-html", "403-html", "404-html"])
def test_the_test_button_blames_what_is_in_between(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(check, "_PATIENCE", HASTY)
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection()))
    for path in ("signin", "/clouds/"):
        sandbox.faults[:] = [Fault(kind, path=path, times=1000)]
        works, message = DotyposHook().test_connection()
        assert not works
        assert "something between this machine and Dotypos" in message
        assert "There is no cloud" not in message


def test_an_empty_404_still_is_an_empty_list_and_a_missing_cloud(sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.faults.append(Fault("404-empty", path="/orders"))
    assert list(Reader(new_client()).rows("orders")) == []
    sandbox.faults.append(Fault("404-empty", path="/clouds/"))
    with pytest.raises(errors.DotyposNotFoundError, match="There is no cloud"):
        Reader(new_client()).check_cloud()


@pytest.mark.parametrize("kind", [*GATEWAYS, "401-empty", "403-empty", "html-200"])
def test_a_write_that_dotypos_did_not_answer_itself_is_of_unknown_outcome(
    sandbox: Sandbox, new_client: NewClient, kind: str
) -> None:
    sandbox.faults.append(Fault(kind, path="tags"))
    whys = {"html-200": "that is not JSON", "401-empty": "It gave no reason", "403-empty": "It gave no reason"}
    why = whys.get(kind, "something between this machine and Dotypos")
    with pytest.raises(errors.DotyposUncertainWriteError, match=why) as caught:
        post(new_client())
    assert str(caught.value.status) in kind
    assert calls(sandbox, "tags") == 1


def test_a_write_whose_sign_in_a_gateway_answered_is_sent_later(sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.faults.append(Fault("403-html", path="signin"))
    assert post(new_client(PATIENT))
    assert calls(sandbox, "tags") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"RBAC: access denied",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b'{"message": "Forbidden"}',
        b'{"error": {"code": 403, "status": "PERMISSION_DENIED"}}',
        b'{"fault": {"faultstring": "x"}}',
        b'{"violations": 5}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_dotyposs_error_object_is_foreign(body: bytes) -> None:
    assert is_foreign(403, body)
    assert error_for("GET", "/v2/x", 403, {}, body).passing


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b'{"violations": []}',
        b'{"reason": "CLOUD_FORBIDDEN"}',
        b'\xef\xbb\xbf{"reason": "CLOUD_FORBIDDEN"}',
        b'{"timestamp": 1, "status": 403, "error": "Forbidden", "reason": null, "message": null}',
        b'{"status": "403", "message": "no"}',
    ],
)
def test_dotyposs_own_refusals_are_taken_at_their_word(body: bytes) -> None:
    assert not is_foreign(403, body)
    assert error_for("GET", "/v2/x", 404, {}, body).permanent


@pytest.mark.parametrize("status", [413, 414, 431])
def test_what_is_too_long_for_anybody_does_not_pass(status: int) -> None:
    error = error_for("GET", "/v2/x", status, {}, b"<html>")
    assert (error.passing, error.permanent) == (False, True)


@pytest.mark.parametrize("status", [425, 429])
def test_throttling_is_throttling_whoever_asks_for_it(status: int) -> None:
    error = error_for("GET", "/v2/x", status, {"Retry-After": "5"}, b"<html>")
    assert isinstance(error, errors.DotyposRateLimitError)
    assert error.retry_after == 5


@pytest.mark.parametrize(
    "body",
    [
        b'{"violations": [{"fieldName": "note", "message": "N\xe1zev"}]}',
        b'{"violations": [{"fieldName": "note", "message": "cut off \\ud83d"}]}',
        b'\xef\xbb\xbf{"violations": [{"fieldName": "note", "message": "x"}]}',
    ],
    ids=["another encoding", "half a character", "byte order mark"],
)
def test_dotypos_own_word_is_known_whatever_its_texts_hold(body: bytes) -> None:
    """A refusal may repeat what it refuses."""
    error = error_for("POST", "/v2/x", 400, {}, body)
    assert isinstance(error, errors.DotyposValidationError)
    assert error.violations[0][0] == "note"
    assert not is_foreign(400, body)
