"""`triggers.shared_poll`, `subscriptions`, `clouds`, `failures`, `connections`, `pace`, `trouble`: one for all."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.watch import State, Watch
from airflow_provider_dotypos.sandbox import Fault
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.triggers import clouds
from airflow_provider_dotypos.triggers.pace import Pace
from airflow_provider_dotypos.triggers.subscriptions import Step, subscribe
from tests.triggers.simulation import CONN_ID, Simulation, until

TEN = (
    *("branches", "categories", "courses", "customers", "discount-groups"),
    *("employees", "money-logs", "orders", "suppliers", "tables"),
)


class Watching:
    """Subscriptions that take part until the test ends."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.steps: list[tuple[float, Step]] = []
        self.errors: list[DotyposError] = []
        self.tasks: list[asyncio.Task[None]] = []

    def watch(self, entity: str = "customers", filter: str = "", conn_id: str = CONN_ID, **more: Any) -> None:
        self.tasks.append(asyncio.create_task(self._watch(Watch.of(entity, filter or None), conn_id, **more)))

    async def _watch(self, watch: Watch, conn_id: str, cloud_id: int | None = None, **more: Any) -> None:
        state = State.begin(int(self.simulation.time() * 1000))
        async with subscribe(conn_id, cloud_id, watch, state, **{"poll_interval": 60.0, **more}) as subscription:
            while True:
                try:
                    self.steps.append((self.simulation.loop.time(), await subscription.next()))
                except DotyposError as error:
                    self.errors.append(error)

    def changes(self) -> list[str]:
        return [id for _, step in self.steps if step.change for id in step.change.ids or ()]


@pytest.fixture
def watching(simulation: Simulation) -> Watching:
    return Watching(simulation)


def most_in_half_an_hour(times: list[float]) -> int:
    return max(sum(start <= time < start + 1800 for time in times) for start in times)


class TestBudget:
    """Acceptance 12."""

    def test_fifty_watchers_and_sensors_are_one_poll_an_interval(
        self, simulation: Simulation, watching: Watching
    ) -> None:
        sandbox = simulation.sandbox()
        simulation.connect(sandbox, "another_id")

        async def main() -> None:
            for number in range(50):
                watching.watch(
                    filter=f"lastName|like|{number}",
                    conn_id=(CONN_ID, "another_id")[number % 2],
                    cloud_id=(None, sandbox.cloud_ids[0])[number % 3 == 0],
                    soon=number % 2 == 0,
                    poll_interval=60.0 + number % 5,
                )
                await asyncio.sleep(1)
            before = simulation.asked("/customers")
            await asyncio.sleep(600)
            assert 9 <= simulation.asked("/customers") - before <= 11

        simulation.run(main())
        assert sandbox.sign_ins == 1

    @pytest.mark.parametrize("soon", [True, False])
    def test_ten_lists_keep_to_half_of_what_the_api_allows(
        self, simulation: Simulation, watching: Watching, soon: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox = simulation.sandbox()
        times: list[float] = []

        class Log(list):  # type: ignore[type-arg]
            def append(self, request: Any) -> None:
                times.append(simulation.loop.time())
                super().append(request)

        sandbox.requests = Log()

        async def main() -> None:
            for entity in TEN:
                watching.watch(entity, soon=soon, poll_interval=10.0)
            await asyncio.sleep(4 * 3600)

        simulation.run(main())
        assert 60 <= most_in_half_an_hour(times) <= 75
        by_list = {entity: simulation.asked(f"/{entity}") for entity in TEN}
        assert max(by_list.values()) - min(by_list.values()) <= 1, by_list

    @pytest.mark.parametrize(("requests", "expected"), [(1, 60), (2, 60), (3, 77), (10, 257)])
    def test_the_interval_grows_with_what_is_watched(self, requests: int, expected: float) -> None:
        assert max(60, requests * Pace(None).seconds_per_request) == pytest.approx(expected, abs=1)

    def test_a_larger_budget_lifts_it(self) -> None:
        assert Pace(Budget(100_000, 1800)).seconds_per_request < 0.04

    def test_a_poll_of_many_requests_waits_until_earlier_ones_are_paid_for(self) -> None:
        pace = Pace(Budget(150, 1800))
        assert pace.wait(10, 0) == 0
        pace.spend(10, 0)
        each = pace.seconds_per_request
        assert pace.wait(10, 0) == pytest.approx(10 * each)
        assert pace.wait(1, 0) == pytest.approx(8 * each)

    def test_a_short_burst_is_let_through(self) -> None:
        pace = Pace(None)
        left = [request for request in range(5) if pace.wait(1, 0) == 0 and pace.spend(1, 0) is None]
        assert left == [0, 1, 2]


class TestOneCloud:
    """What fails holds back only itself."""

    def test_that_throttles_is_let_alone_for_longer_than_it_asks(
        self, simulation: Simulation, watching: Watching
    ) -> None:
        sandbox = simulation.sandbox()
        sandbox.faults.append(Fault("429", retry_after="600", skip=4, path="/clouds/"))

        async def main() -> None:
            watching.watch("customers")
            watching.watch("orders")
            await until(lambda: any(request.status == 429 for request in sandbox.requests))
            asked, since = len(sandbox.requests), simulation.loop.time()
            sandbox.shop.insert(sandbox.cloud_ids[0], "customers", {})
            await until(lambda: len(sandbox.requests) > asked)
            assert 640 <= simulation.loop.time() - since <= 800  # a task asks again after 600 to 661 s
            await until(watching.changes, 200)

        simulation.run(main())

    @pytest.mark.parametrize("fate", ["throttled", "hanging", "revoked", "unreachable"])
    def test_holds_back_no_other(self, simulation: Simulation, watching: Watching, fate: str) -> None:
        bad = simulation.sandbox("bad", timeout=30)
        simulation.sandbox("good")

        async def main() -> None:
            for entity in TEN[:3]:
                watching.watch(entity, conn_id="bad")
                watching.watch(entity, conn_id="good")
            await asyncio.sleep(100)
            if fate == "throttled":
                bad.faults.append(Fault("429", retry_after="600", times=1000))
            elif fate == "hanging":
                bad.latency = 1e6
            elif fate == "revoked":
                bad.tokens.refresh.clear()
                bad.expire_tokens()
            else:
                simulation.sandboxes.pop(bad.url)
            before, asked = simulation.asked(conn_id="good"), len(bad.requests)
            await asyncio.sleep(1800)
            assert simulation.asked(conn_id="good") - before >= 65
            # A try every three minutes: with the old token, and by a sign-in.
            assert len(bad.requests) - asked <= 24

        simulation.run(main())

    def test_of_which_one_list_fails_is_asked_for_the_others(
        self, simulation: Simulation, watching: Watching, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox = simulation.sandbox()

        async def main() -> None:
            watching.watch("orders")
            watching.watch("customers")
            await asyncio.sleep(200)
            sandbox.faults.append(Fault("500", path="/orders", times=1000))
            orders, customers = simulation.asked("/orders"), simulation.asked("/customers")
            await asyncio.sleep(1800)
            assert simulation.asked("/orders") - orders <= 10
            assert simulation.asked("/customers") - customers >= 28
            sandbox.faults.clear()
            row = sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {})
            await until(lambda: str(row["id"]) in watching.changes(), 300)

        simulation.run(main())
        lines = [record.getMessage() for record in caplog.records if "orders of" in record.getMessage()]
        assert len([line for line in lines if "can't be asked" in line]) == 1
        assert len([line for line in lines if "answers again" in line]) == 1

    @pytest.mark.parametrize(("cuts", "lines"), [(1, 0), (2, 1)])
    def test_that_has_ended_an_idle_connection_is_asked_again_at_once(
        self, simulation: Simulation, watching: Watching, caplog: pytest.LogCaptureFixture, cuts: int, lines: int
    ) -> None:
        simulation.sandbox()

        async def main() -> None:
            watching.watch()
            await asyncio.sleep(90)
            simulation.cuts = cuts
            await asyncio.sleep(600)
            assert len(watching.steps) >= 10

        simulation.run(main())
        assert len([record for record in caplog.records if "can't be asked" in record.getMessage()]) == lines

    def test_of_which_one_list_is_forbidden_after_its_repair_is_asked_in_its_time(
        self, simulation: Simulation, watching: Watching, refuse: Callable[[str, RefusedError], None]
    ) -> None:
        """What is known of the whole cloud is past, and says nothing of when the list is tried again."""
        sandbox = simulation.sandbox()
        allowed = dict(sandbox.tokens.refresh)
        sandbox.tokens.refresh.clear()

        async def main() -> None:
            watching.watch("orders")
            await asyncio.sleep(100)
            refuse("orders", RefusedError(403, "FORBIDDEN", "not for you"))
            sandbox.tokens.refresh.update(allowed)
            await asyncio.sleep(1900)
            assert 8 <= simulation.asked("/orders") <= 13

        simulation.run(main())


class TestTakingPart:
    def test_a_late_subscriber_gets_what_came_since_its_own_state(
        self, simulation: Simulation, watching: Watching
    ) -> None:
        sandbox = simulation.sandbox()

        async def main() -> None:
            watching.watch()
            since = int(simulation.time() * 1000)
            await asyncio.sleep(5)
            row = sandbox.shop.insert(sandbox.cloud_ids[0], "customers", {})
            await asyncio.sleep(3600)
            async with subscribe(CONN_ID, None, Watch.of("customers"), State.begin(since), poll_interval=60.0) as late:
                for _ in range(3):
                    step = await late.next()
                    if step.change:
                        break
                assert step.change
                assert step.change.ids == (str(row["id"]),)
                assert step.cloud_id == sandbox.cloud_ids[0]

        simulation.run(main())

    def test_the_last_to_leave_ends_the_poll(self, simulation: Simulation, watching: Watching) -> None:
        simulation.sandbox()

        async def main() -> None:
            watching.watch()
            watching.watch(poll_interval=30.0)
            await asyncio.sleep(300)
            for task in watching.tasks:
                task.cancel()
            await asyncio.sleep(1)
            asked = simulation.asked()
            await asyncio.sleep(3600)
            assert simulation.asked() == asked
            watching.watch()
            await asyncio.sleep(10)
            assert simulation.asked() == asked + 1

        simulation.run(main())

    @pytest.mark.parametrize("turns", range(10))
    def test_a_poll_ends_although_somebody_joins_in_the_moment_in_which_all_leave(
        self, simulation: Simulation, watching: Watching, turns: int
    ) -> None:
        """Before Python 3.12 ``asyncio.wait_for`` may lose a cancellation."""
        simulation.sandbox()

        async def main() -> None:
            watching.watch()
            await asyncio.sleep(200)
            watching.watch()
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in watching.tasks:
                task.cancel()
            await asyncio.sleep(1)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        simulation.run(main())

    def test_a_sensor_gets_what_only_somebody_can_repair_as_an_error(
        self, simulation: Simulation, watching: Watching
    ) -> None:
        sandbox = simulation.sandbox()
        sandbox.tokens.refresh.clear()

        async def main() -> None:
            watching.watch()
            await asyncio.sleep(20)
            (error,) = watching.errors
            assert error.permanent
            assert CONN_ID in str(error)

        simulation.run(main())

    def test_a_connection_that_names_another_cloud_is_noticed_within_an_hour(
        self, simulation: Simulation, watching: Watching
    ) -> None:
        sandbox = simulation.sandbox()
        second = sandbox.cloud_ids[1]

        async def main() -> None:
            watching.watch()
            await asyncio.sleep(300)
            simulation.connect(sandbox, cloud_id=second)
            await asyncio.sleep(3600)
            assert [step.cloud_id for _, step in watching.steps[-3:]] == [second] * 3

        simulation.run(main())

    def test_a_mistake_of_ours_ends_nothing(
        self, simulation: Simulation, watching: Watching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        simulation.sandbox()
        asking = clouds.Cloud.poll
        times = itertools.count()

        async def poll(self: Any, *args: Any, **more: Any) -> Any:
            if 2 <= next(times) < 4:
                raise ZeroDivisionError
            return await asking(self, *args, **more)

        monkeypatch.setattr(clouds.Cloud, "poll", poll)

        async def main() -> None:
            watching.watch()
            await asyncio.sleep(1200)
            assert len(watching.steps) > 10

        simulation.run(main())


def test_many_who_begin_at_once_import_the_reader_once_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "airflow_provider_dotypos.api.areading"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(clouds, "_imported", None)
    settings = [Settings("http://127.0.0.1:1", "r" * 32, cloud_id=number % 3 + 1) for number in range(20)]

    async def main() -> list[clouds.Cloud]:
        return await asyncio.gather(*(clouds.find_cloud(each, CONN_ID) for each in settings))

    made = asyncio.run(main())
    assert len(set(map(id, made))) == 3
