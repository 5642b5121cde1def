"""`triggers.entity_event`, `kept_state`: each change starts a DAG at least once, whatever happens to the triggerer."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.triggers import subscriptions
from airflow_provider_dotypos.triggers.entity_event import DotyposEntityEventTrigger
from tests.triggers.simulation import CONN_ID, Simulation, until
from tests.triggers.triggerer import AFTER_KEEPING, BEFORE_KEEPING, MOMENTS, STORED, YIELDED, Airflow, Triggerer

keeps_state = pytest.mark.skipif(not _compat.has_state_store(), reason="this Airflow keeps no state for watchers")


def watcher(entity: str = "customers", **more: Any) -> DotyposEntityEventTrigger:
    return DotyposEntityEventTrigger(**{"entity": entity, "dotypos_conn_id": CONN_ID, "asset": "changed", **more})


class Scene:
    """A shop with customers, an Airflow, and a triggerer after another."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.sandbox = simulation.sandbox()
        self.airflow = Airflow()
        self.changed: list[str] = []

    def change(self, entity: str = "customers", **fields: Any) -> str:
        row = self.sandbox.shop.insert(self.sandbox.cloud_ids[0], entity, fields)
        self.changed.append(str(row["id"]))
        return self.changed[-1]

    async def start(self, trigger: DotyposEntityEventTrigger | None = None, kill_at: str | None = None) -> Triggerer:
        """Start a triggerer with one watcher, and wait until it has asked for the first time."""
        triggerer = Triggerer(self.airflow, kill_at)
        asked = self.simulation.asked()
        triggerer.start(1, trigger or watcher(), ["changed"])
        await until(lambda: self.simulation.asked() > asked + 1)
        return triggerer


@pytest.fixture
def scene(simulation: Simulation) -> Scene:
    return Scene(simulation)


class TestArguments:
    def test_the_same_arguments_are_the_same_trigger(self) -> None:
        plain = watcher(poll_interval=5, cloud_id="310101001", overlap=60)
        _, kwargs = plain.serialize()
        assert DotyposEntityEventTrigger(**kwargs).serialize() == plain.serialize()
        assert plain.serialize() == watcher(poll_interval=5.0, cloud_id=310101001).serialize()
        assert all(isinstance(value, str | int | float | None) for value in kwargs.values())
        assert plain.serialize()[0] == "airflow_provider_dotypos.triggers.entity_event.DotyposEntityEventTrigger"

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"poll_interval": 0.5}, "poll_interval must be 1 to 86,400 seconds"),
            ({"poll_interval": True}, "poll_interval must be"),
            ({"poll_interval": "60"}, "poll_interval must be"),
            ({"overlap": -1}, "overlap must be"),
            ({"lookback": float("nan")}, "lookback must be"),
            ({"deleted": "no"}, "deleted must be True or False"),
            ({"filter": [("paid", "eq", True)]}, "filter must be text"),
            ({"asset": ""}, "asset must be the name of an asset"),
            ({"cloud_id": "mine"}, "cloud_id must be"),
            ({"dotypos_conn_id": None}, "dotypos_conn_id must be"),
            ({"entity": "portions"}, "portions"),
            ({"entity": "nonsense"}, "nonsense"),
            ({"filter": "nonsense|eq|1"}, "nonsense"),
        ],
    )
    def test_a_wrong_one_is_refused_when_the_dag_is_parsed(self, wrong: dict[str, Any], said: str) -> None:
        with pytest.raises(DotyposInputError, match=said):
            watcher(**wrong)


class TestEachChange:
    def test_fires_once_and_says_what_has_changed(self, scene: Scene) -> None:
        async def main() -> None:
            await scene.start(watcher(lookback=0))
            id = scene.change(firstName="Jana")
            await until(lambda: scene.airflow.payloads(), 65)
            await asyncio.sleep(600)
            (payload,) = scene.airflow.payloads()
            assert payload["ids"] == [id]
            assert payload["count"] == 1
            assert payload["entity"] == "customers"
            assert payload["cloud_id"] == scene.sandbox.cloud_ids[0]
            assert payload["since"] <= payload["newest"] < payload["until"]
            assert "Jana" not in str(payload)

        scene.simulation.run(main())

    def test_of_what_a_filter_lets_through(self, scene: Scene) -> None:
        async def main() -> None:
            triggerer = Triggerer(scene.airflow)
            triggerer.start(1, watcher(filter="lastName|like|Nova", lookback=0), ["changed"])
            triggerer.start(2, watcher(deleted=False, lookback=0, asset="other"), ["other"])
            await until(lambda: scene.simulation.asked() > 1)
            await asyncio.sleep(5)
            nova, other = scene.change(lastName="Nova"), scene.change(lastName="Mala")
            await asyncio.sleep(70)
            scene.sandbox.shop.delete(scene.sandbox.cloud_ids[0], "customers", int(nova))
            await asyncio.sleep(70)
            assert scene.airflow.ids(1) == [nova, nova]
            assert sorted(scene.airflow.ids(2)) == sorted([nova, other])

        scene.simulation.run(main())


@keeps_state
class TestKilled:
    @pytest.mark.parametrize("moment", MOMENTS)
    def test_at_a_named_moment_it_loses_nothing(self, scene: Scene, moment: str) -> None:
        """After the yield, before the event counts as stored, and before and after the state is kept."""

        async def main() -> None:
            triggerer = await scene.start(kill_at=None)
            for _ in range(3):
                triggerer.kill_at = moment
                scene.change()
                await until(triggerer.killed.is_set, 200)
                await triggerer.kill()
                scene.change()  # while nobody looks
                triggerer = await scene.start()
                await until(lambda: set(scene.changed) <= set(scene.airflow.ids()), 200)
            await asyncio.sleep(300)

        scene.simulation.run(main())
        assert set(scene.airflow.ids()) == set(scene.changed)
        repeats = [payload for payload in scene.airflow.payloads() if scene.airflow.payloads().count(payload) > 1]
        if moment in (YIELDED, AFTER_KEEPING):
            assert repeats == []  # it was never stored, or its state is kept

    @pytest.mark.parametrize("moment", [STORED, BEFORE_KEEPING])
    def test_an_equal_repeat_has_the_same_key(self, scene: Scene, moment: str) -> None:
        async def main() -> None:
            triggerer = await scene.start()
            triggerer.kill_at = moment
            scene.change()
            await until(triggerer.killed.is_set, 200)
            await triggerer.kill()
            await scene.start()
            await asyncio.sleep(300)

        scene.simulation.run(main())
        first, again = scene.airflow.payloads()
        assert first == again

    @pytest.mark.parametrize("seed", range(4))
    def test_at_any_moment_it_loses_nothing(self, scene: Scene, seed: int) -> None:
        dice = random.Random(seed)

        async def main() -> None:
            for _ in range(5):
                triggerer = await scene.start()
                for _ in range(dice.randrange(3)):
                    scene.change()
                    await asyncio.sleep(dice.uniform(0, 40))
                await asyncio.sleep(dice.uniform(0, 70))
                await triggerer.kill()
                scene.change()
            await scene.start()
            await asyncio.sleep(300)

        scene.simulation.run(main())
        assert set(scene.airflow.ids()) == set(scene.changed)


@keeps_state
class TestAirflowsDatabase:
    @pytest.mark.parametrize("killed", [True, False])
    def test_an_event_that_is_never_stored_comes_again_although_later_ones_are(
        self, scene: Scene, killed: bool
    ) -> None:
        """The state of a later event would pass over it. Airflow ends the watcher after its ack timeout."""

        async def main() -> None:
            triggerer = await scene.start()
            triggerer.drops = 1
            lost = scene.change()
            await until(lambda: not triggerer.drops, 70)
            later = scene.change()
            await until(lambda: scene.airflow.ids() == [later], 70)
            if killed:
                await asyncio.sleep(120)
                await triggerer.kill()
                await scene.start()
            await until(lambda: lost in scene.airflow.ids(), 400)

        scene.simulation.run(main())

    def test_while_it_stores_no_events_for_longer_than_the_ack_timeout(self, scene: Scene) -> None:
        async def main() -> None:
            triggerer = await scene.start()
            triggerer.stores_events = False
            scene.change()
            await asyncio.sleep(700)
            triggerer.runner.events.clear()  # the supervisor was killed with them
            triggerer.stores_events = True
            await until(lambda: scene.airflow.ids() == scene.changed, 400)  # the ack timeout, and a poll

        scene.simulation.run(main())

    def test_a_state_that_cant_be_kept_costs_a_repeat_and_a_line(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            triggerer = await scene.start()
            triggerer.store_fails = True
            for _ in range(5):
                scene.change()
                await asyncio.sleep(70)
            await triggerer.kill()
            assert scene.airflow.ids() == scene.changed
            await scene.start()
            await asyncio.sleep(100)
            assert sorted(scene.airflow.ids()) == sorted(2 * scene.changed)

        scene.simulation.run(main())
        assert len([record for record in caplog.records if "can't be read or kept" in record.message]) == 1

    def test_a_store_that_cant_answer_at_the_start_is_waited_for(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> None:
            triggerer = await scene.start()
            await asyncio.sleep(700)
            await triggerer.kill()
            id = scene.change()
            answering = Triggerer.check
            monkeypatch.setattr(Triggerer, "check", lambda self: 1 / 0)
            triggerer = Triggerer(scene.airflow)
            triggerer.start(1, watcher(), ["changed"])
            await asyncio.sleep(200)
            monkeypatch.setattr(Triggerer, "check", answering)
            await until(lambda: scene.airflow.ids() == [id], 200)

        scene.simulation.run(main())

    def test_a_state_of_another_version_means_looking_back(self, scene: Scene) -> None:
        async def main() -> None:
            await (await scene.start()).kill()
            for key in scene.airflow.states:
                scene.airflow.states[key] = "of another version"
            id = scene.change()
            await scene.start()
            await until(lambda: scene.airflow.ids() == [id], 100)

        scene.simulation.run(main())

    def test_a_watcher_of_several_assets_looks_back_and_says_so(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            for assets, asset in ((["one", "two"], None), (["one"], "another")):
                triggerer = Triggerer(scene.airflow)
                id = scene.change()
                triggerer.start(1, watcher(asset=asset), assets)
                await until(lambda id=id: id in scene.airflow.ids(), 100)
                await triggerer.kill()

        scene.simulation.run(main())
        assert ["asset=" in record.message for record in caplog.records if record.levelname == "WARNING"] == [True] * 2


@keeps_state
def test_a_poll_interval_longer_than_the_ack_timeout_ends_no_watcher(scene: Scene) -> None:
    async def main() -> None:
        triggerer = await scene.start(watcher(poll_interval=900.0))
        task = triggerer.runner.triggers[1]["task"]
        for _ in range(3):
            scene.change()
            await asyncio.sleep(1000)
        assert triggerer.runner.triggers[1]["task"] is task
        assert not task.done()
        assert scene.airflow.ids() == scene.changed

    scene.simulation.run(main())


@keeps_state
def test_while_its_dag_is_paused_changes_wait_for_one_event(scene: Scene) -> None:
    async def main() -> None:
        triggerer = await scene.start()
        await triggerer.stop(1)
        for _ in range(3):
            scene.change()
            await asyncio.sleep(2000)
        assert scene.airflow.payloads() == []
        triggerer.start(1, watcher(), ["changed"])
        await asyncio.sleep(300)
        (payload,) = scene.airflow.payloads()
        assert sorted(payload["ids"]) == sorted(scene.changed)

    scene.simulation.run(main())


@keeps_state
def test_two_assets_keep_their_own_states_and_who_comes_late_gets_what_it_has_missed(scene: Scene) -> None:
    async def main() -> None:
        triggerer = await scene.start()
        triggerer.start(2, watcher(asset="late"), ["late"])
        await asyncio.sleep(130)
        await triggerer.stop(2)
        missed = scene.change()
        await asyncio.sleep(2000)
        assert scene.airflow.ids(1) == [missed]
        triggerer.start(2, watcher(asset="late"), ["late"])
        scene.change()
        await asyncio.sleep(130)
        assert sorted(scene.airflow.ids(1)) == sorted(scene.airflow.ids(2)) == sorted(scene.changed)

    scene.simulation.run(main())
    assert len(scene.airflow.states) == 2


@keeps_state
def test_a_trigger_that_takes_an_equal_ones_place_keeps_its_own_state(scene: Scene) -> None:
    """Airflow makes a new one where two files name the asset differently, while the former still runs."""

    async def main() -> None:
        triggerer = await scene.start()
        triggerer.start(2, watcher(), ["changed"])
        await asyncio.sleep(70)
        await triggerer.stop(1)
        for _ in range(3):
            scene.change()
            await asyncio.sleep(70)
        assert scene.airflow.ids(2) == scene.changed
        await triggerer.kill()
        triggerer = Triggerer(scene.airflow)
        triggerer.start(2, watcher(), ["changed"])
        await asyncio.sleep(200)
        assert scene.airflow.ids(2) == scene.changed

    scene.simulation.run(main())


@keeps_state
def test_a_clock_that_is_ahead_hides_no_change_while_nobody_says_the_time(scene: Scene) -> None:
    """At its first start, with a connection that is missing: Dotypos's clock is five minutes behind."""

    async def main() -> None:
        connection = scene.simulation.connections.pop(CONN_ID)
        Triggerer(scene.airflow).start(1, watcher(), ["changed"])
        await asyncio.sleep(30)
        changed = scene.change(versionDate=int((scene.simulation.time() - 300) * 1000))
        scene.simulation.connections[CONN_ID] = connection
        await asyncio.sleep(400)
        assert scene.airflow.ids() == [changed]

    scene.simulation.run(main())


class TestWithoutAStateStore:
    """Airflow 3.1 and 3.2, by ``run``."""

    def test_each_start_looks_back(self, scene: Scene) -> None:
        async def events(trigger: DotyposEntityEventTrigger) -> None:
            async for event in trigger.run():
                scene.airflow.events[1].append(event.payload)

        async def main() -> None:
            early = scene.change()
            await asyncio.sleep(700)
            recent = scene.change()
            await asyncio.sleep(60)
            for _ in range(2):
                running = asyncio.create_task(events(watcher()))
                await asyncio.sleep(120)
                running.cancel()
            assert early not in scene.airflow.ids()
            assert scene.airflow.ids() == [recent, recent]
            first, again = scene.airflow.payloads()
            assert first == again

        scene.simulation.run(main())


class TestBroken:
    """Acceptance 5: a connection that is broken for ten minutes."""

    def test_a_revoked_token(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        sign_ins = scene.simulation

        async def main() -> None:
            triggerer = await scene.start()
            for number, entity in enumerate(("orders", "products", "branches"), 2):
                triggerer.start(number, watcher(entity, asset=entity), [entity])
            await asyncio.sleep(200)
            tasks = [details["task"] for details in triggerer.runner.triggers.values()]
            token = dict(scene.sandbox.tokens.refresh)
            scene.sandbox.tokens.refresh.clear()
            scene.sandbox.expire_tokens()
            asked = sign_ins.asked("/signin")
            caplog.clear()
            await asyncio.sleep(60)
            scene.change()
            await asyncio.sleep(540)
            assert sign_ins.asked("/signin") - asked <= 5
            assert len(caplog.records) <= 3
            assert [details["task"] for details in triggerer.runner.triggers.values()] == tasks
            assert not any(task.done() for task in tasks)
            scene.sandbox.tokens.refresh.update(token)
            await until(lambda: scene.airflow.ids() == scene.changed, 300)

        scene.simulation.run(main())
        assert any("answers again" in record.message for record in caplog.records)

    def test_a_connection_that_is_replaced(self, scene: Scene) -> None:
        async def main() -> None:
            triggerer = await scene.start()
            await asyncio.sleep(100)
            scene.sandbox.tokens.refresh.clear()
            scene.sandbox.expire_tokens()
            await asyncio.sleep(400)
            new = scene.sandbox.tokens.connect(scene.sandbox.cloud_ids[0])
            scene.simulation.connect(scene.sandbox, refresh_token=new)
            scene.change()
            await until(lambda: scene.airflow.ids() == scene.changed, 300)
            assert not triggerer.runner.triggers[1]["task"].done()

        scene.simulation.run(main())

    @pytest.mark.parametrize("broken", [None, RuntimeError("secret")])
    def test_a_connection_that_cant_be_read(
        self, scene: Scene, broken: Exception | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            good, scene.simulation.connections[CONN_ID] = scene.simulation.connections[CONN_ID], broken
            triggerer = Triggerer(scene.airflow)
            triggerer.start(1, watcher(), ["changed"])
            await asyncio.sleep(600)
            scene.simulation.connections[CONN_ID] = good
            scene.change()
            await until(lambda: scene.airflow.ids() == scene.changed, 400)

        scene.simulation.run(main())
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) <= 3
        assert not any("secret" in line for line in warnings)
        assert any(CONN_ID in line for line in warnings)

    @pytest.mark.parametrize("where", ["find_cloud", "step"])
    def test_a_mistake_of_ours_ends_no_watcher(
        self, scene: Scene, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        working = getattr(subscriptions, where)
        monkeypatch.setattr(subscriptions, where, lambda *arguments: 1 / 0)

        async def main() -> None:
            triggerer = Triggerer(scene.airflow)
            triggerer.start(1, watcher(), ["changed"])
            await asyncio.sleep(1300)
            assert not triggerer.runner.triggers[1]["task"].done()
            monkeypatch.setattr(subscriptions, where, working)
            scene.change()
            await until(lambda: scene.airflow.ids() == scene.changed, 400)

        scene.simulation.run(main())
        assert len([record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]) <= 3
