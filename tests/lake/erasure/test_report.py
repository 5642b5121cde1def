from __future__ import annotations

from collections import Counter

from airflow_provider_dotypos.lake.erasure.report import ErasureReport, OpenLoad, Place


def place(changed: int, *, done: bool, rows: int = 3) -> Place:
    fields = Counter({"note": changed}) if changed else Counter[str]()
    return Place("set", "file:///lake/1/orders/w", "orders", rows, changed, fields, done)


def test_what_was_done_stays_done_when_a_place_is_looked_at_again() -> None:
    report = ErasureReport(1, 7, dry_run=False)
    report.add(place(2, done=True))
    report.add(place(0, done=False))
    [only] = report.places.values()
    assert (only.state, only.rows, only.changed, only.fields) == ("erased", 3, 2, {"note": 2})
    report.add(place(1, done=True, rows=4))
    assert report.totals() | {"rows": 4, "changed": 3, "values": 3, "sets": 1} == report.totals()


def test_a_dry_run_counts_each_place_once() -> None:
    report = ErasureReport(1, 7, dry_run=True)
    for _ in range(2):
        report.add(place(2, done=False))
    [only] = report.places.values()
    assert (only.state, only.changed) == ("to erase", 2)


def test_what_is_left_to_look_at_is_said_in_sentences() -> None:
    report = ErasureReport(1, 7, dry_run=False)
    assert report.whole
    assert [line[:35] for line in report.warnings()] == ["Nothing of customer 7 of cloud 1 wa"]
    report.add(place(2, done=True))
    assert list(report.warnings()) == []
    report.unsure["orders", "orders"] = ["_customerId"]
    report.unreadable["w"] = "it can't be read"
    report.unfinished["w"] = 2
    report.open_loads["abc"] = OpenLoad("orders", "scheduled__2026-03-01")
    assert not report.whole
    assert [line[:24] for line in report.warnings()] == [
        "orders lacks _customerId",
        "w wasn't searched: it ca",
        "Files of unfinished extr",
        "Loads into tables haven'",
    ]
    *_, loads = report.warnings()
    assert "orders (run scheduled__2026-03-01)" in loads  # so that one knows which task to clear
    assert report.as_mapping()["loads_under_way"] == [
        {"load_id": "abc", "table": "orders", "run_id": "scheduled__2026-03-01"}
    ]
