"""``check --probe``: each probe recognizes each position of its switch, and a report holds no content.

The modules are `asking`, `filters`, `probes.lists`, `values` and `versions`.

Tests `probes/asking`, `probes/filters`, `probes/lists`, `probes/values`, `probes/versions`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dotypos.api.errors import DotyposRateLimitError
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.commands.probes import PROBES, answer_to, asking, examine, filters, values, versions
from airflow_provider_dotypos.commands.probes.asking import ProbedCloud
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox, Shop
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.sandbox.behaviour import CHOICES
from airflow_provider_dotypos.sandbox.errors import RefusedError
from tests.commands.conftest import Command

BY_NAME = {probe.name: probe for probe in PROBES}


def settings_of(sandbox: Sandbox) -> Settings:
    return Settings.from_fields(host=sandbox.url, extra=sandbox.connection()["extra"])


def finding(sandbox: Sandbox, name: str) -> str:
    return answer_to(BY_NAME[name], ProbedCloud(settings_of(sandbox)))


#: What is found in each position of each switch: (switch, position, probe, the text's start).
POSITIONS = [
    ("timestamp_precision", "ms", "timestamps", "YYYY-MM-DDThh:mm:ss.SSSZ ("),
    ("timestamp_precision", "s", "timestamps", "YYYY-MM-DDThh:mm:ssZ ("),
    ("timestamp_zone", "Z", "timestamps", "YYYY-MM-DDThh:mm:ss.SSSZ ("),
    ("timestamp_zone", "+0000", "timestamps", "YYYY-MM-DDThh:mm:ss.SSS+0000 ("),
    ("timestamp_zone", "+01:00", "timestamps", "YYYY-MM-DDThh:mm:ss.SSS+01:00 ("),
    ("ties", "stable", "ties", "without sort: stable; sorted by display: stable"),
    ("ties", "shuffled", "ties", "without sort: shuffled; sorted by display: shuffled"),
    ("deleted_null", "live", "deleted null", "there (a row of products)"),
    ("deleted_null", "excluded", "deleted null", "left out (a row of products)"),
    ("allow_version", "honoured", "empty list with BC1", "200 without rows (all "),
    ("allow_version", "ignored", "empty list with BC1", "404 without a body (all "),
    ("next_page", "filled", "next page", "filled, no totals (orders, order-items)"),
    ("next_page", "null", "next page", "null, no totals (orders, order-items)"),
    ("nulls", "null", "fields without a value", "null ("),
    ("nulls", "omitted", "fields without a value", "left out ("),
    ("numbers", "text", "numbers", "rows: text ("),
    ("numbers", "number", "numbers", "rows: number ("),
    ("over_limit", "refused", "limit above 100", "refused (400)"),
    ("over_limit", "cut", "limit above 100", "cut to 100 (perPage 100, "),
    ("order_version_moves_with_items", False, "order moves with items", "no: 1 of "),
    ("order_version_moves_with_items", True, "order moves with items", "perhaps: none of "),
]


def test_every_switch_has_a_probe() -> None:
    assert {(switch, position) for switch, position, _, _ in POSITIONS} == {
        (switch, position) for switch, positions in CHOICES.items() for position in positions
    }


@pytest.mark.parametrize(("switch", "position", "probe", "start"), POSITIONS, ids=str)
def test_a_probe_tells_a_switchs_position(sandbox: Sandbox, switch: str, position: Any, probe: str, start: str) -> None:
    sandbox.behaviour = Behaviour(**{switch: position})
    cloud = sandbox.cloud_ids[0]
    late = sandbox.shop.rows(cloud, "order-items")[0]
    sandbox.shop.update(cloud, "order-items", late["id"], {"note": "changed after its order was closed"})

    assert finding(sandbox, probe).startswith(start)


@pytest.mark.parametrize(("lag", "start"), [(0.0, "nothing came late in the 9 s"), (5.0, "at least ")])
def test_a_lag_shows_between_two_looks(sandbox: Sandbox, lag: float, start: str) -> None:
    sandbox.behaviour = Behaviour(commit_lag=lag)
    shop, id = sandbox.shop, sandbox.cloud_ids[0]
    shop.ticking = False
    cloud = ProbedCloud(settings_of(sandbox))
    shop.insert(id, "orders", {"versionDate": shop.now() - 3_000})
    cloud.first_look = versions.look(cloud)
    first = next(iter(cloud.first_look.values())).date
    shop.advance(9)
    sandbox.date_offset = 9
    reported = answer_to(BY_NAME["lag of versionDate"], cloud)
    # Between the looks a second of real time may have begun.
    assert reported.startswith((start, "nothing came late in the 10 s") if lag == 0 else start), (first, reported)
    assert ("so its own lag is at most that" in reported) == (lag == 0)


def test_a_percentage_is_told_from_a_multiplier(sandbox: Sandbox) -> None:
    assert finding(sandbox, "vat of order items").startswith("a multiplier")
    assert finding(sandbox, "rate in the sales report").startswith("a multiplier")
    for row in sandbox.shop.rows(sandbox.cloud_ids[0], "order-items"):
        sandbox.shop.update(sandbox.cloud_ids[0], "order-items", row["id"], {"vat": 21.0})
    assert finding(sandbox, "vat of order items").startswith("a percentage")
    assert finding(sandbox, "rate in the sales report").startswith("a percentage")


def test_the_default_order_is_told(sandbox: Sandbox) -> None:
    assert finding(sandbox, "default order").startswith("id up")
    sandbox.behaviour = Behaviour(ties="shuffled")
    assert finding(sandbox, "default order").startswith("none of id, versionDate")


def test_where_an_address_ends_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(
        r"16\d\d\d characters \(1333 ids\) are taken, and perhaps more", finding(sandbox, "longest address")
    )
    sent = [request for request in sandbox.requests if request.path.endswith("/taxes")][-1]
    assert sent.query["filter"].count(",") == 1332
    monkeypatch.setattr(filters, "_LENGTHS", (2_000, 1_000_000))  # more than the sandbox's HTTP server reads at once
    reported = finding(sandbox, "longest address")
    assert re.match(r"20\d\d characters \(166 ids\) are taken, 10000\d\d characters \(83333 ids\) are not \(", reported)


def test_a_refusal_of_the_list_is_not_taken_for_its_addresss_end(
    sandbox: Sandbox, refuse: Callable[[str, RefusedError], None]
) -> None:
    refuse("taxes", RefusedError(403, "ACCESS_DENIED", "no"))
    assert re.match(
        r"can't tell: 20\d\d characters \(166 ids\) are not taken \(403\)", finding(sandbox, "longest address")
    )


def test_refusals_and_separators_are_told_by_their_shape(sandbox: Sandbox) -> None:
    reported = finding(sandbox, "error bodies")
    assert reported.startswith("unknown filter field: 400 {violations: [{fieldName: text, message: text}]}")
    assert "status: number" in reported
    assert finding(sandbox, "empty list without BC1") == "404 without a body (orders, products)"
    assert finding(sandbox, "deleted where it is missing").startswith("400 (all ")
    assert finding(sandbox, "deleted in rows without it").startswith("not there (")
    assert finding(sandbox, "numbers in the sales report").startswith("number (")


def test_headers_of_a_rate_limit_are_found_also_on_refusals(sandbox: Sandbox) -> None:
    cloud = ProbedCloud(settings_of(sandbox))
    assert cloud.ask_list("orders", {"limit": 1}).status == 200
    assert answer_to(BY_NAME["rate limit headers"], cloud).startswith("none among ")
    sandbox.faults.append(Fault("429", retry_after="7200"))
    with pytest.raises(DotyposRateLimitError):
        cloud.ask_list("orders", {"limit": 1})
    reported = answer_to(BY_NAME["rate limit headers"], cloud)
    assert reported == "throttled after 2 requests, Retry-After 7200 s; headers: there are some: retry-after"
    assert values.limit_headers({"date", "x-ratelimit-remaining"}) == "there are some: x-ratelimit-remaining"


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("2026-01-02T03:04:05.678Z", "YYYY-MM-DDThh:mm:ss.SSSZ"),
        ("2026-01-02 03:04:05", "YYYY-MM-DD hh:mm:ss without a zone"),
        ("1767323045678", "13 digits as text"),
        (1767323045678, "13 digits as number"),
        ("Friday, at Rose's", "another form"),
    ],
)
def test_a_time_is_told_by_its_form_alone(value: object, form: str) -> None:
    assert values.time_form(value) == form


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b"", "without a body"),
        (b"<html>Rose</html>", "with a body that isn't JSON"),
        (b'{"status": "400", "Rose Nylund": [1, 2.5]}', "{status: text, …: [number]}"),
        (b'{"message": "caf\xe9"}', "{message: text}"),
        (b"[" * 700 + b"]" * 700, "with a body that is nested too deeply"),
        (b"[" * 100_000, "with a body that isn't JSON"),
    ],
)
def test_a_body_is_told_by_its_shape_alone(body: bytes, shape: str, usual_recursion_limit: None) -> None:
    assert values.shape(body) == shape


@pytest.fixture
def usual_recursion_limit() -> Iterator[None]:
    """Set Python's own limit. Hypothesis raises it now and then, and what is too deep depends on it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def test_a_report_is_whole_and_holds_no_content(sandbox: Sandbox, command: Command) -> None:
    done = command("check", "--probe", "-o", "json")

    assert done.code == 0
    assert sorted({int(row["point"]) for row in done.rows}) == list(range(1, 14))
    assert len({row["probe"] for row in done.rows}) == len(done.rows)
    assert not [row for row in done.rows if "can't tell" in row["found"]]
    assert all(row["found"] and row["how"] for row in done.rows)
    reported = done.out + done.err
    for _, _, table in sandbox.shop.tables():
        for row in table.rows.values():
            texts = [row["id"], row.get("name"), row.get("documentNumber"), row.get("note"), row.get("email")]
            for text in (str(text) for text in texts if len(str(text or "")) > 3):
                assert not re.search(rf"(?<!\w){re.escape(text)}(?!\w)", reported), text
    assert sandbox.refresh_token not in reported


def test_probing_reads_only_and_not_much(sandbox: Sandbox) -> None:
    examine(ProbedCloud(settings_of(sandbox)))

    asked = [request for request in sandbox.requests if "signin" not in request.path]
    assert {request.method for request in asked} == {"GET"}
    assert len(asked) <= 125


def test_rows_without_a_change_date_are_counted_list_by_list(sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.shop.insert(sandbox.cloud_ids[0], "taxes", {"versionDate": None})
    assert "; 3 rows (taxes)" in finding(sandbox, "rows without a change date")
    sandbox.behaviour = Behaviour(allow_version="ignored")
    assert "; 3 rows (taxes)" in finding(sandbox, "rows without a change date")


def test_a_cloud_with_nothing_in_it_gives_a_report(sandbox: Sandbox) -> None:
    with Sandbox(Shop.empty()) as bare:
        rows = examine(ProbedCloud(settings_of(bare)))

    reported = {row["probe"]: row["found"] for row in rows}
    assert reported["vat of order items"] == "can't tell: no rows to see in order-items"
    assert reported["order moves with items"] == "can't tell: no orders with items"
    assert reported["lag of versionDate"] == "can't tell: no rows to see"
    assert reported["next page"] == "can't tell: fewer than two rows (orders, order-items)"


def test_a_refused_cloud_gives_a_report_that_says_so(
    sandbox: Sandbox, refuse: Callable[[str, RefusedError], None]
) -> None:
    refuse("all", RefusedError(403, "ACCESS_DENIED", "Rose may not"))

    reported = {row["probe"]: row["found"] for row in examine(ProbedCloud(settings_of(sandbox)))}

    assert reported["limit above 100"] == "can't tell: orders answered 403"
    assert reported["empty list with BC1"].startswith("403 (")
    assert reported["next page"] == "can't tell: 403 (orders, order-items)"
    assert reported["numbers"].startswith("can't tell: no rows to see in orders, ")
    assert "Rose" not in str(reported)


def test_answers_of_another_shape_do_not_end_the_report(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"data": [{"id": "Rose", "versionDate": "soon", "created": {}, "vat": [], "deleted": "?"}]}'
    monkeypatch.setattr(lists, "page", lambda *args, **more: lists.Page(200, body))

    reported = {row["probe"]: row["found"] for row in examine(ProbedCloud(settings_of(sandbox)))}

    assert reported["timestamps"].startswith("another form (")
    assert reported["lag of versionDate"] == "can't tell: DotyposResponseError"
    assert "Rose" not in str(reported)
    monkeypatch.setattr(lists, "page", lambda *args, **more: lists.Page(200, b'"Rose"'))
    reported = {row["probe"]: row["found"] for row in examine(ProbedCloud(settings_of(sandbox)))}
    assert reported["ties"].startswith("can't tell: no list with")
    assert "Rose" not in str(reported)


def test_a_gone_cloud_gives_a_report_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PATIENCE", Patience(faults=0.0))
    with Sandbox() as gone:
        settings = replace(settings_of(gone), timeout=1.0)
    cloud = ProbedCloud(settings)

    assert answer_to(BY_NAME["limit above 100"], cloud) == "can't tell: DotyposConnectionError"


def test_throttling_ends_the_asking_at_once(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("429", retry_after="60", times=99, skip=12, path="/clouds/"))

    reported = {row["probe"]: row["found"] for row in examine(ProbedCloud(settings_of(sandbox)))}

    assert len([request for request in sandbox.requests if "/clouds/" in request.path]) == 13
    assert reported["rate limit headers"].startswith("throttled after 13 requests, Retry-After 60 s; headers: ")
    assert reported["lag of versionDate"] == "not asked: throttled after 13 requests, Retry-After 60 s"
    assert reported["timestamps"].startswith("YYYY-")


@pytest.mark.parametrize(("probe", "path"), [("limit above 100", "/orders"), ("error bodies", "/taxes")])
def test_a_server_that_fails_tells_nothing_of_the_question(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, probe: str, path: str
) -> None:
    monkeypatch.setattr(asking, "_PATIENCE", Patience(faults=0.0))
    sandbox.faults.append(Fault("503", times=99, path=path))
    assert finding(sandbox, probe) == "can't tell: answered 503"


def test_one_list_that_fails_does_not_hide_the_others(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PATIENCE", Patience(faults=0.0))
    sandbox.faults.append(Fault("503", path="/orders"))
    assert "can't tell: answered 503 (orders)" in finding(sandbox, "empty list with BC1")


def test_separators_are_tried_on_letters_that_names_hold(sandbox: Sandbox) -> None:
    reported = finding(sandbox, "escaping in filters")
    without = reported.partition("200 without rows (")[2].partition(")")[0].split(", ")
    assert {"ab%7Czz", "ab%3Bzz", "%61%62"} <= set(without)  # the sandbox decodes a value once
    for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products"):
        sandbox.shop.update(sandbox.cloud_ids[0], "products", row["id"], {"name": "7%7"})
    assert finding(sandbox, "escaping in filters") == "can't tell: no product found by two letters of its name"


def test_a_limit_is_cut_or_taken_only_if_that_shows(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(body: str) -> str:
        monkeypatch.setattr(lists, "page", lambda *args, **more: lists.Page(200, body.encode()))
        return finding(sandbox, "limit above 100")

    rows = ", ".join(["{}"] * 100)
    assert answer(f"[{rows}]") == "can't tell: 100 rows, and perPage doesn't say"
    assert answer(f"[{rows}, {{}}]") == "taken (101 rows)"
    assert answer('{"perPage": "100", "data": []}').startswith("cut to 100")
    assert answer('{"perPage": 101, "data": []}') == "taken (0 rows)"


def test_a_first_look_that_fails_ends_nothing(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([KeyError("Rose"), None])
    look = versions.look

    def failing_at_first(cloud: ProbedCloud) -> Any:
        if error := next(looks):
            raise error
        return look(cloud)

    monkeypatch.setattr(versions, "look", failing_at_first)
    reported = {row["probe"]: row["found"] for row in examine(ProbedCloud(settings_of(sandbox)))}
    assert reported["lag of versionDate"] == "can't tell: the first look showed nothing"
    assert reported["numbers"].startswith("rows: ")
