"""A connection's extra that isn't a JSON object (`api.extra`): encoded twice, a list, a number, not JSON at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from airflow.sdk import Connection

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.extra import read_extra
from airflow_provider_dotypos.exceptions import DotyposConfigurationError, DotyposMissingTokenError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.dotypos import DotyposOperator

TOKEN = "0123456789abcdef0123456789abcdef"
FIELDS = {"refresh_token": TOKEN, "cloud_id": "123456789"}
ODD = [
    json.dumps(json.dumps(FIELDS)),
    json.dumps([FIELDS]),
    "5",
    "1.5",
    "true",
    '"text"',
    "[]",
    f"refresh_token={TOKEN}",
]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Store an extra, as a worker is given it: other processes' connections check it, on some versions of Airflow."""

    def store(extra: str) -> None:
        found = Connection(conn_id="dotypos_default", conn_type="dotypos", host="http://127.0.0.1:9", extra=extra)
        monkeypatch.setattr(DotyposHook, "get_connection", lambda self, conn_id: found)

    return store


@pytest.mark.parametrize("extra", ODD)
def test_it_is_told_by_the_hook_the_test_button_and_tasks(connect: Callable[[str], None], extra: str) -> None:
    connect(extra)
    works, message = DotyposHook().test_connection()
    assert not works
    with pytest.raises(DotyposConfigurationError) as caught:
        DotyposHook().clouds()
    with pytest.raises(fail_exception()) as failed:
        DotyposOperator(task_id="call", path="branches").execute({})
    for said in (message, str(caught.value), str(failed.value)):
        assert said.startswith("Extra in the Airflow connection must be a JSON object")
        assert TOKEN not in said


@pytest.mark.parametrize("extra", ["", "null", "{}", " "])
def test_null_and_empty_mean_that_nothing_is_there(connect: Callable[[str], None], extra: str) -> None:
    connect(extra)
    with pytest.raises(DotyposMissingTokenError):
        DotyposHook().clouds()


@pytest.mark.parametrize(
    ("decoded", "text", "kind"),
    [("x", '"x"', "encoded twice"), ([], "[]", "an array"), (5, "5", "a number"), (False, "false", "true or false")],
)
def test_the_message_names_the_kind_and_the_cure(decoded: object, text: str, kind: str) -> None:
    with pytest.raises(DotyposConfigurationError, match=kind):
        read_extra(SimpleNamespace(extra_dejson=decoded, extra=text))
