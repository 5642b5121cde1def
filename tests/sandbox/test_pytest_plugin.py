"""The fixtures for other people's tests."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


def test_the_pytest_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import json, os, requests
        pytest_plugins = ["airflow_provider_dotypos.sandbox.pytest_plugin"]

        def test_connection(dotypos_connection, dotypos_sandbox):
            assert dotypos_connection == "dotypos_default"
            connection = json.loads(os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"])
            url = f"{connection['host']}:{connection['port']}"
            assert url == dotypos_sandbox.url
            assert requests.get(url + "/_sandbox", timeout=600).json()["rows"]
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
