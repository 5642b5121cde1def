from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.wording import count, period, size

#: Entities whose singular isn't their name without its last letter.
SINGULAR = {
    "branches": "branch",
    "categories": "category",
    "taxes": "tax",
    "warehouse-branches": "warehouse branch",
}


@pytest.mark.parametrize("name", [entity.name for entity in entities().values() if entity.listed])
def test_one_row_of_an_entity_is_counted_in_the_singular(name: str) -> None:
    assert count(1, name) == f"1 {SINGULAR.get(name, name[:-1].replace('-', ' '))}"
    assert count(0, name) == f"0 {name.replace('-', ' ')}"


def test_thousands_are_set_apart() -> None:
    assert count(61_400, "order-items") == "61,400 order items"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (64_321, "64 kB"),
        (9_940_000, "9.9 MB"),
        (10_000_000, "10 MB"),
        (1_540_000_000, "1.5 GB"),
        (2_500_000_000_000, "2500 GB"),
    ],
)
def test_a_size_has_two_digits_or_more(number: int, text: str) -> None:
    assert size(number) == text


def test_a_window_is_told_in_the_authors_zone_and_without_zeros() -> None:
    march = Window.of("2026-03-28T23:00:00Z", "2026-03-29T22:00:30Z")
    assert period(march) == "from 2026-03-28 23:00 to 2026-03-29 22:00:30 UTC"
    prague = ZoneInfo("Europe/Prague")
    assert period(march, prague) == "from 2026-03-29 00:00 to 2026-03-30 00:00:30 Europe/Prague"
    everything = Window.of(None, "2026-03-28T23:00:00.250Z")
    assert period(everything) == "from the beginning to 2026-03-28 23:00:00.250 UTC"
