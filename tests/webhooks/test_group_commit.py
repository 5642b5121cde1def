"""Deliveries that come at about the same time, and what they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from airflow_provider_dotypos.webhooks.bodies import DeliveredRow
from airflow_provider_dotypos.webhooks.deliveries import DeliveredList, Deliveries, Outcome
from airflow_provider_dotypos.webhooks.group_commit import MOST_EVENTS, GroupCommit

NOW = 1_790_000_000_000
ORDERS, PRODUCTS = (DeliveredList(f"dotypos://h/1/{entity}", 1, entity) for entity in ("orders", "products"))


def row(number: int) -> DeliveredRow:
    return DeliveredRow(str(number), NOW, f"digest {number}")


class Store:
    """A database that may be held up."""

    def __init__(self, outcome: Outcome = Outcome.STORED) -> None:
        self.outcome = outcome
        self.events: list[tuple[DeliveredList, set[str]]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, delivered: DeliveredList, deliveries: Deliveries) -> Outcome:
        await self.free.wait()
        self.events.append((delivered, set(deliveries.rows)))
        return self.outcome


def with_store(use: Callable[[Store, GroupCommit], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        store = Store()
        await use(store, GroupCommit(store, **{"gathering": 0.01, **options}))

    asyncio.run(run())


def test_deliveries_of_a_list_share_an_event() -> None:
    async def use(store: Store, commit: GroupCommit) -> None:
        adding = [commit.add(ORDERS, [row(number)], NOW) for number in range(100)]
        adding += [commit.add(PRODUCTS, [row(number)], NOW) for number in range(2)]
        assert set(await asyncio.gather(*adding)) == {Outcome.STORED}
        assert [(delivered, len(rows)) for delivered, rows in store.events] == [(ORDERS, 100), (PRODUCTS, 2)]

    with_store(use)


def test_a_delivery_that_comes_while_an_event_is_stored_is_in_the_next_one() -> None:
    async def use(store: Store, commit: GroupCommit) -> None:
        store.free.clear()
        first = asyncio.create_task(commit.add(ORDERS, [row(1)], NOW))
        while ORDERS in commit._gathered or not commit._events:
            await asyncio.sleep(0)
        second = asyncio.create_task(commit.add(ORDERS, [row(2)], NOW))
        await asyncio.sleep(0)
        assert not first.done()
        store.free.set()
        assert await asyncio.gather(first, second) == [Outcome.STORED, Outcome.STORED]
        assert [rows for _, rows in store.events] == [{"digest 1"}, {"digest 2"}]

    with_store(use)


def test_one_who_leaves_takes_the_event_from_nobody() -> None:
    async def use(store: Store, commit: GroupCommit) -> None:
        first, second = (asyncio.create_task(commit.add(ORDERS, [row(number)], NOW)) for number in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is Outcome.STORED
        assert store.events == [(ORDERS, {"digest 1", "digest 2"})]

    with_store(use)


def test_all_are_answered_what_became_of_their_event() -> None:
    async def use(store: Store, commit: GroupCommit) -> None:
        store.outcome = Outcome.FAILED
        adding = [commit.add(ORDERS, [row(number)], NOW) for number in range(3)]
        assert await asyncio.gather(*adding) == [Outcome.FAILED] * 3

    with_store(use)


def test_a_database_that_hangs_lets_neither_deliveries_wait_for_ever_nor_memory_grow() -> None:
    async def use(store: Store, commit: GroupCommit) -> None:
        store.free.clear()
        lists = [DeliveredList(f"dotypos://h/{cloud}/orders", cloud, "orders") for cloud in range(MOST_EVENTS + 50)]
        outcomes = await asyncio.gather(*(commit.add(delivered, [row(1)], NOW) for delivered in lists))
        assert set(outcomes) == {Outcome.FAILED}
        assert len(commit._events) == MOST_EVENTS

        store.free.set()
        await asyncio.wait(set(commit._events))
        assert await commit.add(ORDERS, [row(1)], NOW) is Outcome.STORED
        assert not commit._events
        assert not commit._gathered

    with_store(use, patience=0.05)
