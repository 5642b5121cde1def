from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
from airflow_provider_dotypos.writes.planning.deciding import decide
from airflow_provider_dotypos.writes.sources.index import SourceRow
from airflow_provider_dotypos.writes.values import read_value, same

CLOUD = 310_101_001
PRODUCTS = find_entity("products")
ARGUMENTS = PlanArguments.of("products", "externalId")

texts = st.text("abžľ '", max_size=4)
prices = st.decimals(min_value="0.01", max_value="99999", places=4).map(str)
values = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "priceWithVat": prices,
        "priceWithoutVat": prices,
        "vat": st.sampled_from(["1", "1.12", "1.21"]),
        "subtitle": st.none() | texts,
        "tags": st.lists(st.sampled_from("abc"), unique=True),
        "ean": st.lists(st.sampled_from("123"), unique=True),
        "display": st.booleans(),
        "flags": st.integers(-(2**31), 2**31 - 1).map(str),
    },
)


def read(raw: dict[str, Any]) -> dict[str, Any]:
    return {name: read_value(PRODUCTS.fields[name], value) for name, value in raw.items()}


@given(wanted=values, now=values)
def test_what_is_planned_makes_the_row_as_the_source_wants_it_and_touches_little_else(
    wanted: dict[str, Any], now: dict[str, Any]
) -> None:
    row = {"id": "5", "externalId": "a", "versionDate": "2026-03-01T12:00:00.000Z", "deleted": False, **now}
    source = SourceRow(1, ("a",), {"externalId": "a", **read(wanted)})
    planned, _ = decide(ARGUMENTS, CLOUD, source, [row])
    after = row | dict(planned.after if planned else {})
    assert all(same(PRODUCTS.fields[name], after.get(name), value) for name, value in source.values.items())
    if planned is not None:
        assert planned.before.keys() - {"vat"} == planned.after.keys() - {"vat"} | {"externalId"}
        assert all(same(PRODUCTS.fields[name], row.get(name), value) for name, value in planned.before.items())
        assert planned.after.keys() - wanted.keys() <= {"priceWithVat", "priceWithoutVat"}
        assert (
            planned.after.keys() - wanted.keys() == set() or {"priceWithVat", "priceWithoutVat", "vat"} & wanted.keys()
        )
    assert decide(ARGUMENTS, CLOUD, source, [after]) == (None, [])


@given(wanted=values, now=values)
def test_both_prices_are_sent_if_one_of_them_or_the_rate_changes(wanted: dict[str, Any], now: dict[str, Any]) -> None:
    row = {"id": "5", "externalId": "a", "vat": "1.21", "priceWithVat": "121", "priceWithoutVat": "100", **now}
    planned, _ = decide(ARGUMENTS, CLOUD, SourceRow(1, ("a",), {"externalId": "a", **read(wanted)}), [row])
    priced = {"priceWithVat", "priceWithoutVat", "vat"}
    if planned is not None and priced & planned.after.keys():
        assert priced - {"vat"} <= planned.after.keys()
        if not {"priceWithVat", "priceWithoutVat"} <= wanted.keys():
            gross, net = (float(planned.after[name]) for name in ("priceWithVat", "priceWithoutVat"))
            assert abs(gross - net * float(wanted.get("vat", row["vat"]))) <= 0.00006
