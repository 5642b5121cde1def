"""``auth``: how long a token is taken to live, and who renews it."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.auth import DEFAULT_LIFE, AccessToken, Tokens
from tests.api.flows import renew, replace


def jwt(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.x"


@pytest.mark.parametrize(
    ("token", "life"),
    [
        (jwt({"iat": 1_000_000, "exp": 1_003_600}), 3600),
        (jwt({"iat": "5", "exp": "65"}), 60),
        (jwt({"exp": 5}), DEFAULT_LIFE),
        (jwt({"iat": 5, "exp": 5}), DEFAULT_LIFE),
        (jwt([1]), DEFAULT_LIFE),
        (jwt({"iat": "nan", "exp": 5}), DEFAULT_LIFE),
        (jwt({"iat": -1e308, "exp": 1e308}), DEFAULT_LIFE),
        (jwt({"iat": 0, "exp": int("9" * 4000)}), DEFAULT_LIFE),
        (jwt({"iat": 0, "exp": 1e12}), DEFAULT_LIFE),
        ("a." + base64.urlsafe_b64encode(b'{"x":' * 100_000).decode() + ".c", DEFAULT_LIFE),
        ("opaque", DEFAULT_LIFE),
        ("a.b.c", DEFAULT_LIFE),
        ("", DEFAULT_LIFE),
    ],
)
def test_a_token_is_renewed_a_little_before_its_own_end(token: str, life: float) -> None:
    assert AccessToken.issued(token, 100.0).renew_at == 100 + life - min(120, life / 4)


@given(st.text())
def test_no_token_however_odd_breaks_the_reading_of_its_life(token: str) -> None:
    assert AccessToken.issued(token, 0.0).renew_at > 0


def test_tokens_do_not_show_in_reprs() -> None:
    assert "secret" not in repr(AccessToken("secret", 1.0))


def test_of_many_who_had_the_same_token_refused_one_signs_in() -> None:
    tokens = Tokens()
    made: list[str] = []

    def sign_in() -> str:
        made.append(jwt({"n": len(made)}))
        return made[-1]

    refused = renew(tokens, sign_in)
    barrier = threading.Barrier(8)

    def one(_: int) -> str:
        barrier.wait()
        return replace(tokens, refused, sign_in).value

    with ThreadPoolExecutor(8) as pool:
        values = set(pool.map(one, range(8)))
    assert (len(made), len(values)) == (2, 1)
