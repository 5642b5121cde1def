"""One row deleted (`writes/applying/delete.py`)."""

from __future__ import annotations

from contextlib import suppress

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.exceptions import DotyposNotFoundError
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.applying.delete import delete
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.api.flows import Played, answer
from tests.conftest import NewClient
from tests.writes.planned import PRODUCTS, edit, product, row_of, sleep_by_the_shops_clock


@pytest.fixture
def client(sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch) -> DotyposClient:
    sleep_by_the_shops_clock(sandbox, monkeypatch)
    return new_client()


def run(client: DotyposClient, id: object, entity: str = "products", **before: object) -> Verdict:
    planned = PlannedRow("delete", (str(id),), 1, id=str(id), before=before)
    cloud_id = client.settings.require_cloud_id()
    return client.run(delete(client, find_entity(entity), planned, cloud_id=cloud_id, settle=60.0))


def test_a_row_is_deleted_once(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    assert run(client, id, name="Tea") == Verdict("applied", tries=1, requests=2)
    assert row_of(sandbox, id)["deleted"] is True
    assert run(client, id, name="Tea") == Verdict("already", requests=1)
    assert [write.method for write in sandbox.writes] == ["DELETE"]


def test_an_edited_row_is_kept(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    edit(sandbox, id, name="Coffee")
    verdict = run(client, id, name="Tea")
    assert (verdict.status, verdict.fields) == ("conflict", ("name",))
    assert not sandbox.writes


@pytest.mark.parametrize(
    ("kind", "when"),
    [*((kind, "before") for kind in ("reset", "503")), *((kind, "after") for kind in ("reset", "500", "cut-json"))],
)
@pytest.mark.parametrize("if_match", ["ignored", "checked", "required"])
def test_a_lost_answer_is_settled_by_reading(
    sandbox: Sandbox, client: DotyposClient, kind: str, when: str, if_match: str
) -> None:
    sandbox.behaviour = Behaviour(delete_if_match=if_match)
    id = product(sandbox)
    sandbox.faults.append(Fault(kind, method="DELETE", when=when))
    assert run(client, id).status == "applied"
    assert len(sandbox.writes) == 1
    assert row_of(sandbox, id)["deleted"] is True


@pytest.mark.parametrize("times", range(1, 5))
def test_a_gateway_that_finds_nothing_has_not_deleted_the_row(
    sandbox: Sandbox, client: DotyposClient, times: int
) -> None:
    id = product(sandbox)
    sandbox.faults.append(Fault("404-empty", method="GET", times=times))
    with suppress(DotyposNotFoundError):  # of the cloud: the run ends, and is resumed
        assert run(client, id).status == "applied"
        assert row_of(sandbox, id)["deleted"] is True


def test_a_row_that_others_refer_to_is_rejected_with_the_apis_reason(sandbox: Sandbox, client: DotyposClient) -> None:
    category = row_of(sandbox, product(sandbox))["_categoryId"]
    verdict = run(client, category, "categories")
    assert verdict == Verdict("rejected", "the API answered 409: products still refer to it", tries=1, requests=2)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"id": "5", "deleted": true}', "applied"),
        (b'{"id": "5", "deleted": false}', "not taken"),
        (b'{"id": "6", "deleted": false}', "applied"),
        (b"", "applied"),
    ],
    ids=["marked", "not marked", "another row's", "empty"],
)
def test_the_answer_is_compared(client: DotyposClient, body: bytes, status: str) -> None:
    rows = [b'{"id": "5", "deleted": false}', b'{"id": "5", "deleted": true}']

    def reply(request: object) -> object:
        path, method = request.path, request.method  # type: ignore[attr-defined]
        if "signin" in path:
            return answer(200, b'{"accessToken": "t"}')
        return answer(200, body if method == "DELETE" else rows.pop(0), ETag='"e"')

    planned = PlannedRow("delete", ("5",), 1, id="5")
    flow = delete(client, PRODUCTS, planned, cloud_id=310_101_001, settle=60.0)
    assert Played(reply).run(flow).status == status  # type: ignore[arg-type]
