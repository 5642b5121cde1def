"""How far failures reach, one by one."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.api import errors
from airflow_provider_dotypos.api.errors import DotyposError, error_for
from airflow_provider_dotypos.api.reach import DotyposListsError, concerns_all_calls, forbids_one_list

LIST = "/v2/clouds/1/orders"


def refusal(status: int, reason: str = "REASON", path: str = LIST, **headers: str) -> DotyposError:
    body = b'{"status": %d, "error": "x", "reason": "%s", "message": "m"}' % (status, reason.encode())
    return error_for("GET", path, status, headers, body)


@pytest.mark.parametrize(
    ("error", "reaches_all", "forbids"),
    [
        (refusal(403, "AUTHORIZATION_FAILED"), False, True),
        (refusal(403, "ACCESS_DENIED"), False, True),
        (refusal(403, "LICENSE_UPGRADE_REQUIRED"), False, True),
        (refusal(403, "CLOUD_FORBIDDEN"), True, False),
        (refusal(403, "ACCESS_TOKEN_EXPIRED"), True, False),
        (error_for("GET", LIST, 403, {}, b""), False, False),  # it may pass
        (error_for("POST", "/v2/signin/token", 403, {}, b"", sign_in="for cloud 1"), True, False),
        (refusal(401), True, False),
        (refusal(404), False, False),
        (refusal(404, path="/v2/clouds/1"), True, False),
        (refusal(400), False, False),
        (refusal(429), True, False),
        (refusal(500), False, False),
        (refusal(503, **{"Retry-After": "3600"}), True, False),
        (errors.DotyposConnectionError("reset"), False, False),
        (errors.DotyposConnectionError("refused", sent=False, unreachable=True), True, False),
        (errors.DotyposTlsError("untrusted"), True, False),
        (errors.DotyposConfigurationError("no cloud"), True, False),
        (errors.DotyposCancelledError("killed"), True, False),
        (errors.DotyposWalkError("order"), False, False),
        (errors.DotyposInputError("watermark"), False, False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_failure_is_of_one_call_or_of_all(error: DotyposError, reaches_all: bool, forbids: bool) -> None:
    assert (concerns_all_calls(error), forbids_one_list(error)) == (reaches_all, forbids)


def test_several_failures_are_permanent_if_each_is() -> None:
    permanent, passing = refusal(403), refusal(500)
    assert DotyposListsError("two lists", {"a": permanent, "b": permanent}).permanent
    assert not DotyposListsError("two lists", {"a": permanent, "b": passing}).permanent
