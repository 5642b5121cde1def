"""Refusals by name, and what never shows in them (`errors`, `refusals`, `exceptions`)."""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos import exceptions
from airflow_provider_dotypos.api.errors import error_for, redact
from airflow_provider_dotypos.api.refusals import retry_after_seconds


@pytest.mark.parametrize(
    ("status", "reason", "kind", "cure"),
    [
        (400, None, exceptions.DotyposValidationError, "Correct the request"),
        (
            401,
            "INVALID_REFRESH_TOKEN",
            exceptions.DotyposAuthenticationError,
            "check the cloud's id, and Refresh Token",
        ),
        (403, "CLOUD_FORBIDDEN", exceptions.DotyposPermissionError, "check Cloud ID"),
        (403, "LICENSE_UPGRADE_REQUIRED", exceptions.DotyposPermissionError, "licence"),
        (403, None, exceptions.DotyposPermissionError, "permission"),
        (404, None, exceptions.DotyposNotFoundError, "check the id"),
        (405, None, exceptions.DotyposApiError, ""),
        (409, None, exceptions.DotyposConflictError, "Read the row again"),
        (412, None, exceptions.DotyposPreconditionError, "If-Match"),
        (428, None, exceptions.DotyposPreconditionError, "If-Match"),
        (429, None, exceptions.DotyposRateLimitError, "Request budget"),
        (500, None, exceptions.DotyposServerError, "try again later"),
        (501, None, exceptions.DotyposServerError, ""),
        (503, None, exceptions.DotyposServerError, ""),
    ],
)
def test_each_refusal_tells_where_what_and_what_to_do(status: int, reason: str, kind: type, cure: str) -> None:
    body = msgspec.json.encode({"status": status, "reason": reason, "message": "as the API says"})
    sign_in = "for cloud 1" if status == 401 else None
    error = error_for("GET", "/v2/clouds/1/orders", status, {}, body, sign_in=sign_in)
    assert type(error) is kind
    assert isinstance(error, exceptions.DotyposError)
    for part in ("GET /v2/clouds/1/orders", str(status), reason or "", "as the API says", cure):
        assert part in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b'{"violations": 5}', b'{"violations":[1]}'])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 429, 500, 502])
def test_bodies_of_any_shape_are_survived(status: int, body: bytes) -> None:
    assert str(status) in str(error_for("GET", "/v2/x", status, {}, body))


def test_violations_carry_the_field_whichever_way_it_is_written() -> None:
    body = msgspec.json.encode(
        {
            "violations": [
                {"fieldName": "flags", "message": "must not be null"},
                {"path": ["items", 0], "message": "bad"},
                {"fieldName": None, "message": "vat"},
            ]
        }
    )
    error = error_for("POST", "/v2/x", 400, {}, body)
    assert isinstance(error, exceptions.DotyposValidationError)
    assert error.violations == (("flags", "must not be null"), ("items.0", "bad"), (None, "vat"))
    assert "flags: must not be null" in str(error)


@given(st.text(st.characters(categories=["L", "N"]), min_size=8, max_size=60), st.text(max_size=50))
def test_a_secret_that_a_server_echoes_is_not_repeated(secret: str, around: str) -> None:
    body = msgspec.json.encode({"message": f"{around}{secret}{around}", "violations": []})
    assert secret not in str(error_for("GET", "/v2/x", 403, {}, body, [secret])).replace("GET /v2/x answered 403", "")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-ghi.0123abc",
        "header 'User 0123456789abcdef0123456789abcdef'",
        "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.sig-nature",
        "https://x.invalid/?token=0123abc&cloudid=5",
        "refresh_token=0123abc",
        '{"accessToken": "0123abc"}',
        "client_secret: 0123abc",
    ],
)
def test_what_has_the_shape_of_a_secret_is_masked(text: str) -> None:
    masked = redact(text)
    assert "***" in masked
    for secret in ("abc.def-ghi", "0123456789abcdef", "eyJ", "0123abc"):
        assert secret not in masked


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 2.5 ", 2.5),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2020 07:28:30 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, datetime(2026, 10, 21, 7, 28, tzinfo=timezone.utc)) == seconds


def test_all_errors_can_be_caught_from_one_module() -> None:
    from airflow_provider_dotypos.api import budget, errors, pos_errors, reach
    from airflow_provider_dotypos.sales import errors as of_sales
    from airflow_provider_dotypos.transfers import errors as of_transfers
    from airflow_provider_dotypos.transfers.sql import errors as of_databases
    from airflow_provider_dotypos.triggers import errors as of_triggers
    from airflow_provider_dotypos.writes import errors as of_writes

    rooms = (errors, pos_errors, reach, budget, of_transfers, of_databases, of_sales, of_triggers, of_writes)
    things = {name: thing for room in rooms for name, thing in vars(room).items()}
    defined = {name for name, thing in things.items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert defined == set(exceptions.__all__)
    assert all(issubclass(getattr(exceptions, name), exceptions.DotyposError) for name in defined)


@pytest.mark.parametrize("odd", [b"caf\xe9", rb"cut \ud83d"])
def test_a_refusal_whose_text_is_odd_is_dotypos_s_own(odd: bytes) -> None:
    body = b'{"status":400,"error":"Bad Request","message":"' + odd + b'"}'
    error = error_for("GET", "/v2/x", 400, {}, body)
    assert isinstance(error, exceptions.DotyposValidationError)
    assert "\ufffd" in str(error)


def test_a_message_keeps_to_its_line_and_leaves_terminals_alone() -> None:
    body = msgspec.json.encode({"status": 400, "reason": "A\r\nB", "message": "one\ntwo\x1b[2J\x9b31m"})
    assert all(sign.isprintable() for sign in str(error_for("GET", "/v2/x", 400, {}, body)))
