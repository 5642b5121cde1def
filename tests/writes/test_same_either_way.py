"""Row by row or by lists: the same rows in the end, and the same verdicts, under every switch of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, Field, entities
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox, Shop
from airflow_provider_dotypos.sandbox.api import wire
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, CHOICES
from airflow_provider_dotypos.writes.applying.by_list import ListUpdates
from airflow_provider_dotypos.writes.applying.update import update
from airflow_provider_dotypos.writes.plan import PlannedRow
from tests.writes.applying.test_by_list import Notes
from tests.writes.planned import sleep_by_the_shops_clock

WRITABLE = [entity for entity in entities().values() if "PUT" in entity.writes.list_methods]

#: Those that are written under each switch; all others only as best known.
ALWAYS = ("products", "customers", "reservations")

#: What the time of a write or the number of writes makes different.
STAMPS = ("versionDate", "modified", "version", "updated")

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

BEHAVIOURS = [
    BEST_KNOWN,
    *(behaviour for behaviour in Behaviour.of_writes() if behaviour != BEST_KNOWN),
    *(replace(BEST_KNOWN, **{name: position}) for name, choices in CHOICES.items() for position in choices[1:]),
    Behaviour(commit_lag=10.0),
    Behaviour(nulls="omitted", numbers="number", unknown_fields="taken"),
]


def changes(behaviour: Behaviour) -> str:
    """Return how a behaviour differs from the best known one."""
    usual = vars(BEST_KNOWN)
    return (
        ",".join(f"{name}={value}" for name, value in vars(behaviour).items() if value != usual[name]) or "best known"
    )


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(Shop.empty()) as running:
        yield running
    channel.forget_tokens()


def furnish(seed: int) -> Shop:
    """Return a bistro with what makes rows special, the same for the same seed."""
    shop = Shop.generate(seed, days=1, orders_per_day=1, now=NOON, ticking=False)
    cloud = shop.cloud_ids[0]
    shop.undocumented.add("colour")
    for row, fields in zip(
        shop.rows(cloud, "products")[2:],
        [
            {"colour": "green"},
            {"deleted": None},
            {"vat": 1.19},
            {"imageUrl": "https://cdn.example/tea.png", "externalId": "A|1", "externalIds": ["A|1"]},
            {"points": 0.1 + 0.2, "flags": -2147483648, "tags": ["b", "a"], "ean": ["2", "1"]},
            {"description": 'é "\\ \u2028 \U0001f375', "translatedName": {"en": "Tea"}},
            {"display": False, "notes": []},
        ],
        strict=False,
    ):
        shop.update(cloud, "products", row["id"], fields)
    shop.advance(60)
    return shop


def plan(shop: Shop, entity: Entity) -> list[PlannedRow]:
    """Plan to change a few rows of an entity: a text and a number of each."""
    rows = [row for row in shop.rows(shop.cloud_ids[0], entity.name) if not row.get("deleted")]
    planned = []
    for number, row in enumerate(rows[:9]):
        shown = wire.write_row(row, BEST_KNOWN)
        after = {name: value for name, value in _changed(entity, shown, number) if value is not None}
        before = {name: shown.get(name) for name in after}
        planned.append(PlannedRow("update", (str(row["id"]),), number, str(row["id"]), before, after))
    return planned


def _changed(entity: Entity, shown: dict[str, Any], number: int) -> Iterator[tuple[str, Any]]:
    if entity.name == "products":
        with_vat = 100 + number / 7
        yield "priceWithVat", repr(with_vat)
        yield "priceWithoutVat", repr(with_vat / float(shown["vat"]))
    for field in _free(entity, "string")[:2]:
        text = f"{number} {shown.get(field.name) or ''}"
        yield field.name, text[: field.max_length]
    for field in _free(entity, "int", "short")[:1]:
        yield field.name, str(int(shown.get(field.name) or 0) + 1)


def _free(entity: Entity, *types: str) -> list[Field]:
    """Return the fields of some types that a write may set as it likes."""
    bound = ("currency", "imageUrl", "hexColor", "flags")
    return [
        field
        for field in entity.fields.values()
        if field.type in types and not field.read_only and not field.references and field.name not in bound
    ]


def write(api: Sandbox, entity: Entity, rows: Sequence[PlannedRow], way: str) -> dict[str | None, str]:
    """Write rows, and return what became of each."""
    settings = Settings.from_fields(
        host=api.url, extra={"refresh_token": api.refresh_token, "cloud_id": api.cloud_ids[0]}
    )
    client, notes = DotyposClient(settings), Notes()
    cloud_id = api.cloud_ids[0]
    if way == "put":
        lists = ListUpdates(client, entity, cloud_id=cloud_id, settle=20.0, note=notes)
        canary = client.run(lists.canary(rows))
        if canary.refused is None:
            client.run(lists.write(canary.left))
            canary.left.clear()
        rows = canary.left
    for planned in rows:
        notes(planned, client.run(update(client, entity, planned, cloud_id=cloud_id, settle=20.0)))
    client.close()
    return {id: verdict.status for id, verdict in notes.last.items()}


def stored(shop: Shop) -> dict[tuple[str, Any], dict[str, Any]]:
    """Return all rows of the cloud without what only says when they were written."""
    return {
        (name, key): {field: value for field, value in row.items() if field not in STAMPS}
        for cloud, name, table in shop.tables()
        for key, row in table.rows.items()
        if cloud == shop.cloud_ids[0]
    }


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=changes)
def test_both_ways_leave_equal_rows(api: Sandbox, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour) -> None:
    ends: dict[str, Any] = {}
    verdicts: dict[str, Any] = {}
    by_lists: dict[str, int] = {}
    sleep_by_the_shops_clock(api, monkeypatch)
    for way in ("patch", "put"):
        api.shop, api.behaviour = furnish(seed=3), behaviour
        api.writes.clear()
        untouched = stored(api.shop)
        verdicts[way] = {}
        for entity in (each for each in WRITABLE if behaviour is BEST_KNOWN or each.name in ALWAYS):
            verdicts[way] |= {(entity.name, id): s for id, s in write(api, entity, plan(api.shop, entity), way).items()}
        ends[way] = stored(api.shop)
        assert ends[way].keys() == untouched.keys()
        assert len(api.writes) == len({(write.entity, write.id) for write in api.writes})
        by_lists[way] = sum(write.method == "PUT" for write in api.writes)
    for key, row in ends["patch"].items():
        assert row == ends["put"][key], key
    assert verdicts["patch"] == verdicts["put"]
    assert by_lists["patch"] == 0
    assert by_lists["put"] > 15 or behaviour.read_only_fields == "refused", "too few rows went by lists"
    assert list(verdicts["put"].values()).count("applied") > 20
