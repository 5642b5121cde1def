"""One customer anonymized, from its plan to its report (`applying.anonymize`, `writes.blanks`, `api.blanks`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api.blanks import NOBODY
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.exceptions import DotyposInputError, DotyposLimitError
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.applying.anonymize import anonymize
from airflow_provider_dotypos.writes.applying.applying import apply_plan
from airflow_provider_dotypos.writes.applying.options import ApplyOptions
from airflow_provider_dotypos.writes.blanks import blanks, personal_left
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.plan_file import open_plan
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.api.flows import Played, answer
from tests.conftest import NewClient
from tests.writes.made_plans import plan, read
from tests.writes.planned import edit, row_of, sleep_by_the_shops_clock

CUSTOMERS = find_entity("customers")
PERSON = {"firstName": "Jana", "lastName": "Nováková", "email": "jana@example.invalid", "tags": ["vip"], "note": "VIP"}
PERSON |= {"externalId": "E-1", "points": 7.0}


@pytest.fixture
def client(sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch) -> DotyposClient:
    sleep_by_the_shops_clock(sandbox, monkeypatch)
    return new_client()


def person(sandbox: Sandbox, **fields: Any) -> int:
    return int(sandbox.shop.insert(sandbox.cloud_ids[0], "customers", PERSON | fields)["id"])


def run(client: DotyposClient, id: int, **before: Any) -> Verdict:
    planned = PlannedRow("anonymize", (str(id),), 1, id=str(id), before=before)
    cloud_id = client.settings.require_cloud_id()
    return client.run(anonymize(client, CUSTOMERS, planned, cloud_id=cloud_id, settle=60.0))


def is_nobody(sandbox: Sandbox, id: int) -> bool:
    row = row_of(sandbox, id, "customers")
    return row["deleted"] is True and not personal_left(CUSTOMERS, row) and row["points"] == 7


def test_a_customer_is_deleted_with_their_data_once(sandbox: Sandbox, client: DotyposClient) -> None:
    id = person(sandbox)
    assert run(client, id) == Verdict("applied", tries=1, requests=2)
    assert is_nobody(sandbox, id)
    assert run(client, id) == Verdict("already", requests=1)
    assert [write.op for write in sandbox.writes] == ["delete"]


def test_of_a_deleted_customer_the_data_are_blanked(sandbox: Sandbox, client: DotyposClient) -> None:
    id = person(sandbox, deleted=True)
    assert run(client, id) == Verdict("applied", tries=1, requests=2)
    assert is_nobody(sandbox, id)
    assert row_of(sandbox, id, "customers")["lastName"] == NOBODY
    assert run(client, id).status == "already"
    assert [write.method for write in sandbox.writes] == ["PATCH"]


def test_a_customer_who_was_edited_is_kept_and_one_who_is_gone_is_done(sandbox: Sandbox, client: DotyposClient) -> None:
    id = person(sandbox)
    edit(sandbox, id, "customers", email="other@example.invalid")
    verdict = run(client, id, versionDate="2026-01-01T00:00:00.000Z")
    assert (verdict.status, verdict.fields) == ("conflict", ("versionDate",))
    assert run(client, 5).status == "already"
    assert not sandbox.writes


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize(
    ("kind", "when"),
    [("reset", "before"), ("503", "before"), ("reset", "after"), ("500", "after"), ("cut-json", "after")],
)
@pytest.mark.parametrize("lag", [0.0, 10.0])
def test_a_lost_answer_is_settled_by_reading(
    sandbox: Sandbox, client: DotyposClient, deleted: bool, kind: str, when: str, lag: float
) -> None:
    sandbox.behaviour = Behaviour(commit_lag=lag)
    id = person(sandbox, deleted=deleted)
    sandbox.shop.advance(lag)
    sandbox.faults.append(Fault(kind, method="PATCH" if deleted else "DELETE", when=when))
    assert run(client, id).status == "applied"
    assert is_nobody(sandbox, id)
    assert len(sandbox.writes) == 1


def play(client: DotyposClient, *answers: dict[str, Any]) -> tuple[Verdict, list[str]]:
    """Anonymize a customer at an API that answers so, again and again at the end."""
    waiting, methods = list(answers), []

    def reply(request: Any) -> Any:
        if "signin" in request.path:
            return answer(200, b'{"accessToken": "t"}')
        methods.append(request.method)
        given = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if "violations" in given:
            return answer(400, json.dumps(given).encode())
        return answer(200, json.dumps({"id": "5", "_cloudId": "310101001"} | given).encode(), ETag='"e"')

    planned = PlannedRow("anonymize", ("5",), 1, id="5")
    flow = anonymize(client, CUSTOMERS, planned, cloud_id=310_101_001, settle=1.0)
    return Played(reply).run(flow), methods


LIVE, GONE = {"deleted": False, "lastName": "Nováková"}, {"deleted": True, "lastName": "Nováková"}
NONE = {"deleted": True, "lastName": ""}


@pytest.mark.parametrize(
    ("answers", "status", "sent"),
    [
        ([LIVE, NONE], "applied", ["DELETE"]),
        ([LIVE, GONE | {"lastName": "A deleted customer"}], "applied", ["DELETE"]),
        ([LIVE, GONE, GONE, NONE], "applied", ["DELETE", "PATCH"]),
        ([GONE, NONE | {"deleted": False}, NONE | {"deleted": False}, NONE], "applied", ["PATCH", "DELETE"]),
        ([GONE, GONE], "not taken", ["PATCH"]),
        ([GONE, {"violations": [{"fieldName": "deleted", "message": "is deleted"}]}], "rejected", ["PATCH"]),
        ([LIVE, {"violations": []}], "rejected", ["DELETE"]),
    ],
    ids=["blank", "replaced", "deleted alone", "revived", "left", "refused", "kept"],
)
def test_what_the_api_may_answer(
    client: DotyposClient, answers: list[dict[str, Any]], status: str, sent: list[str]
) -> None:
    verdict, methods = play(client, *answers)
    assert verdict.status == status
    assert [method for method in methods if method != "GET"] == sent
    assert "Nov" not in str(verdict)
    assert status != "not taken" or verdict.fields == ("lastName",)


def test_a_row_that_never_changes_ends(client: DotyposClient) -> None:
    verdict, methods = play(client, LIVE)
    assert (verdict.status, verdict.fields) == ("uncertain", ("lastName",))
    assert len(methods) < 40


def test_blanks_leave_a_name_that_the_api_takes() -> None:
    assert blanks(CUSTOMERS, PERSON | {"id": "5"}) == {
        "firstName": "",
        "lastName": NOBODY,
        "email": "",
        "tags": [],
        "note": None,
        "externalId": None,
    }
    assert blanks(CUSTOMERS, {"companyName": "Bar", "birthday": None}) == {"companyName": "", "lastName": NOBODY}
    assert personal_left(CUSTOMERS, {"lastName": NOBODY, "modifiedBy": "ada", "points": "7", "hexColor": "#fff"}) == ()


def test_from_plan_to_report(sandbox: Sandbox, client: DotyposClient, tmp_path: Path) -> None:
    live, deleted, nobody = person(sandbox), person(sandbox, deleted=True), person(sandbox)
    run(client, nobody)
    source = [{"id": id} for id in (live, deleted, nobody, 5)]
    with pytest.raises(DotyposLimitError, match="2 rows would be deleted"):
        plan(client, tmp_path, source, "customers", "id", actions="anonymize")
    made = plan(client, tmp_path, source, "customers", "id", actions="anonymize", limits={"deletes": 2})
    header, rows = read(made.path)
    assert header.counts == {"rows": 4, "anonymize": 2, "conflict": 1, "unchanged": 1}
    assert header.requests == {"patch": 4, "put": 4}
    assert "2 anonymizations and 1 conflict of customers" in made.summary
    assert [(row.op, row.id) for row in rows[:2]] == [("anonymize", str(live)), ("anonymize", str(deleted))]
    options = ApplyOptions(settle=0, fail_on="none")
    with open_plan(made.path, header.digest) as opened:
        applied = apply_plan(client, opened, options)
    assert applied.counts == {"applied": 2, "conflict": 1}
    assert is_nobody(sandbox, live)
    assert is_nobody(sandbox, deleted)
    files = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert not [value for value in ("Jana", "Nov", "jana@", "VIP") if value in files + made.summary]
    with open_plan(made.path, header.digest) as opened:
        again = apply_plan(client, opened, options)
    assert (again.counts, len(sandbox.writes)) == (applied.counts, 3)


@pytest.mark.parametrize("match", ["externalId", "email"])  # by look-ups, and by reading all
def test_a_deleted_twin_who_holds_personal_data_is_not_forgotten(
    sandbox: Sandbox, client: DotyposClient, tmp_path: Path, match: str
) -> None:
    person(sandbox)
    person(sandbox, deleted=True)
    source = [{match: PERSON[match]}]
    made = plan(client, tmp_path, source, "customers", match, actions="anonymize", limits={"deletes": 5})
    (row,) = read(made.path)[1]
    assert (row.op, row.why) == ("conflict", "2 rows have this key, deleted ones among them; name each by its id")


def test_only_customers_and_nothing_else_with_it(client: DotyposClient, tmp_path: Path) -> None:
    with pytest.raises(DotyposInputError, match="no call to anonymize a row of products"):
        plan(client, tmp_path, [], actions="anonymize")
    with pytest.raises(DotyposInputError, match="anonymize goes alone"):
        plan(client, tmp_path, [], "customers", "id", actions="anonymize,update")
