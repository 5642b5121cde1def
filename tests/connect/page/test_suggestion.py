"""Which id is suggested for a new connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_dotypos.connect.grant import Grant
from airflow_provider_dotypos.connect.page.suggestion import suggest_id
from airflow_provider_dotypos.connections import stored


def test_the_default_id_is_suggested_and_then_the_next_free_one(database: Path) -> None:
    for expected in ("dotypos_default", "dotypos_2", "dotypos_3"):
        assert suggest_id() == expected
        stored.create(expected)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("name", "conn_id"),
    [
        ("Kavárna U Dvou koček", "dotypos_kavarna_u_dvou_kocek"),
        ("Bistro Pod Gołębiem", "dotypos_bistro_pod_golebiem"),
        ("ŁÓDŹ & Straße!", "dotypos_lodz_strasse"),
        ("カフェ", "dotypos_310101001"),
        ("x" * 59 + " y", f"dotypos_{'x' * 59}"),
        (None, "dotypos_310101001"),
    ],
)
def test_a_known_cloud_is_named(name: str | None, conn_id: str) -> None:
    suggested = suggest_id(Grant("fa4e70ce", 310101001, name))

    assert suggested == conn_id
    stored.create(suggested)
    assert suggest_id(Grant("fa4e70ce", 310101001, name)) == f"{conn_id}_2"


def test_nothing_is_suggested_rather_than_searched_for_long(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "find", lambda conn_id: object())
    assert suggest_id() == ""
