"""What deliveries are answered: refusals and their order, floods, and what the log says. Events: `test_events`."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos import _airflow, plugin
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.webhooks import delivery_path, delivery_token
from airflow_provider_dotypos.plugin import app_of
from airflow_provider_dotypos.webhooks import notices, receiver
from airflow_provider_dotypos.webhooks.deliveries import DeliveredList, Deliveries, Outcome
from airflow_provider_dotypos.webhooks.receiver import MOST_BYTES, Receiver
from airflow_provider_dotypos.webhooks.sources import Source
from tests.webhooks.asgi import Response, endless, request

SETTINGS = Settings("https://api.dotykacka.cz", "a refresh token", webhook_secret="a secret of webhooks")
TOKEN = delivery_token(SETTINGS, 1, "products")
PATH = delivery_path("shop", 1, "products", TOKEN)
WRONG = delivery_path("shop", 1, "products", "0" * 64)
CHANGED = int(time.time() * 1000)
BODY = json.dumps([{"productid": 5, "versiondate": CHANGED}]).encode()


class World:
    """What a receiver asks and stores."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stored: list[tuple[DeliveredList, Deliveries]] = []
        self.outcome = Outcome.STORED
        self.sources: dict[str, Source | Exception] = {"shop": Source(SETTINGS)}
        self.app = Receiver(self.look_up, self.store, gathering=0.0, longest=0.1)

    def look_up(self, conn_id: str) -> Source | None:
        self.asked.append(conn_id)
        source = self.sources.get(conn_id)
        if isinstance(source, Exception):
            raise source
        return source

    def store(self, delivered: DeliveredList, deliveries: Deliveries) -> Outcome:
        self.stored.append((delivered, deliveries))
        return self.outcome

    def deliver(self, path: str = PATH, body: Any = BODY, **more: str) -> Response:
        return asyncio.run(request(self.app, path, body, **more))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> World:
    monkeypatch.setattr(receiver, "receives_webhooks", lambda: True)
    monkeypatch.setattr(receiver, "notices", notices.Notices())
    return World()


async def unread() -> AsyncIterator[bytes]:
    """A body that must not be read."""
    pytest.fail("the body was read")
    yield b""


class TestDeliveries:
    def test_are_accepted_once_their_event_is_stored(self, world: World):
        answer = world.deliver()

        assert (answer.status, answer.text) == (202, "Stored.\n")
        ((delivered, deliveries),) = world.stored
        assert delivered == DeliveredList("dotypos://api.dotykacka.cz/1/products", 1, "products")
        assert [(row.id, row.changed) for row in deliveries.rows.values()] == [("5", CHANGED)]
        assert not deliveries.unknown

    @pytest.mark.parametrize(
        ("outcome", "status"),
        [(Outcome.STORED, 202), (Outcome.REPEATED, 202), (Outcome.UNNAMED, 200), (Outcome.FAILED, 503)],
    )
    def test_are_answered_what_became_of_them(self, world: World, outcome: Outcome, status: int):
        world.outcome = outcome
        answer = world.deliver()
        assert answer.status == status
        assert answer.headers.get("retry-after") == ("30" if status == 503 else None)

    def test_by_get_are_pings(self, world: World):
        assert world.deliver(method="GET", body=unread()).status == 202
        ((_, deliveries),) = world.stored
        assert (deliveries.rows, deliveries.unknown) == ({}, True)

    def test_come_in_chunks(self, world: World):
        assert world.deliver(body=[bytes([byte]) for byte in BODY]).status == 202

    def test_come_below_a_path_prefix(self, world: World):
        assert world.deliver(root_path="/team/airflow").status == 202

    def test_are_of_the_paths_cloud(self, world: World):
        assert world.deliver(delivery_path("shop", 2, "orders", delivery_token(SETTINGS, 2, "orders"))).status == 202
        assert world.stored[0][0] == DeliveredList("dotypos://api.dotykacka.cz/2/orders", 2, "orders")

    def test_of_a_team_carry_it(self, world: World):
        world.sources["shop"] = Source(SETTINGS, frozenset({"north"}))
        world.deliver()
        assert world.stored[0][0].teams == {"north"}

    def test_of_half_a_mebibyte_are_read(self, world: World):
        record = {"productid": 5, "versiondate": CHANGED, "note": "x" * 500}
        assert world.deliver(body=json.dumps([record] * 1000).encode()).status == 202


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", PATH),
            ("DELETE", PATH),
            ("HEAD", PATH),
            ("OPTIONS", PATH),
            ("POST", ""),
            ("POST", "/"),
            ("POST", "/shop/1/products"),
            ("POST", f"{PATH}/"),
            ("POST", f"{PATH}0"),
            ("POST", PATH[:-1]),
            ("POST", PATH.upper()),
            ("POST", f"//{PATH}"),
            ("POST", f"/../{PATH}"),
            ("POST", PATH.replace("products", "courses")),
            ("POST", PATH.replace("/1/", "/01/")),
            ("POST", PATH.replace("/1/", "/-1/")),
        ],
    )
    def test_of_method_and_path_ask_nobody(self, world: World, method: str, path: str):
        answer = world.deliver(path, unread(), method=method, content_length="99999999")
        assert answer.status == 404
        assert world.asked == []

    def test_of_the_size_come_before_the_connection(self, world: World):
        assert world.deliver(WRONG, unread(), content_length=str(MOST_BYTES + 1)).status == 413
        assert world.deliver(WRONG, unread(), content_length="9" * 5000).status == 413
        assert world.asked == []

    def test_of_the_token_come_before_the_body(self, world: World):
        assert world.deliver(WRONG, unread()).status == 404
        assert world.deliver(PATH.replace("/1/", "/2/"), unread()).status == 404
        assert world.deliver(PATH.replace("products", "orders"), unread()).status == 404

    def test_say_nothing_of_which_connections_exist(self, world: World):
        world.sources["broken"] = Source(Settings("https://api.dotykacka.cz", "other"))
        paths = [WRONG, *(PATH.replace("shop", conn_id) for conn_id in ("nothing", "broken")), "/nonsense"]
        answers = [world.deliver(path) for path in paths]
        assert set(map(str, answers)) == {str(answers[0])}
        assert answers[0].status == 404

    @pytest.mark.parametrize("body", [b"{}", b"", b"[5]", b"[" * 500_000, b"\xff", b'{"code": 0}'])
    def test_of_the_body_say_what_is_right(self, world: World, body: bytes):
        answer = world.deliver(body=body)
        assert (answer.status, answer.text) == (400, "A delivery is a JSON array of objects.\n")
        assert world.stored == []

    def test_of_compressed_bodies(self, world: World):
        assert world.deliver(body=unread(), content_encoding="gzip").status == 415

    @pytest.mark.parametrize("length", [{}, {"content_length": "10"}])
    def test_of_an_endless_body_come_when_it_is_too_large(self, world: World, length: dict[str, str]):
        answer = world.deliver(body=endless(b"x" * 65536), **length)
        assert (answer.status, answer.headers["connection"]) == (413, "close")

    def test_of_a_slow_body_come_in_time(self, world: World):
        """A slow loris: a byte now and then, for ever."""
        answer = world.deliver(body=endless(b"x", pause=0.01))
        assert (answer.status, answer.headers["connection"]) == (408, "close")

    def test_of_a_sender_who_leaves_change_nothing(self, world: World):
        async def leave() -> list[Any]:
            sent: list[Any] = []

            async def receive() -> dict[str, str]:
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": f"/dotypos-webhooks{PATH}", "headers": []}
            await world.app(scope, receive, send)
            return sent

        assert asyncio.run(leave())
        assert world.stored == []

    def test_of_other_protocols(self, world: World):
        async def connect() -> list[Any]:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            await world.app({"type": "websocket"}, None, send)
            return sent

        assert asyncio.run(connect()) == [{"type": "websocket.close"}]

    def test_without_a_database_are_for_now(self, world: World):
        world.sources["shop"] = OSError("secret text of a driver")
        answer = world.deliver(body=unread())
        assert (answer.status, answer.headers["retry-after"]) == (503, "30")

    def test_of_a_failure_hold_nothing_of_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ):
        """The server would log a traceback for each. With ``DEV=1`` Airflow shows variables in it: the token."""
        monkeypatch.setenv("AIRFLOW__DOTYPOS__WEBHOOKS", f"neither {TOKEN}")
        monkeypatch.setattr(receiver, "receives_webhooks", _airflow.receives_webhooks)
        for _ in range(100):
            answer = world.deliver(body=unread())
            assert (answer.status, answer.headers["retry-after"]) == (503, "30")
        (line,) = caplog.messages
        assert "AirflowConfigException at " in line
        assert TOKEN not in caplog.text

    def test_while_it_is_off_are_those_of_a_wrong_address(self, world: World, monkeypatch: pytest.MonkeyPatch):
        wrong = world.deliver(WRONG)
        world.asked.clear()
        monkeypatch.setattr(receiver, "receives_webhooks", lambda: False)
        assert world.deliver(body=unread()) == wrong
        assert world.asked == []


def test_it_is_off_unless_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    assert world.deliver().status == 404
    monkeypatch.setenv("AIRFLOW__DOTYPOS__WEBHOOKS", "True")
    assert world.deliver().status == 202


class TestSecrets:
    def test_that_are_new_count_at_once_for_a_connection_that_was_read_before(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(receiver, "DOUBT", 0.0)
        newer = Settings("https://api.dotykacka.cz", "x", webhook_secret="another secret of webhooks")
        path = delivery_path("shop", 1, "products", delivery_token(newer, 1, "products"))

        async def use() -> list[int]:
            first = await request(world.app, PATH, BODY)
            world.sources["shop"] = Source(newer)
            second, third = await request(world.app, path, BODY), await request(world.app, PATH, BODY)
            return [first.status, second.status, third.status]

        assert asyncio.run(use()) == [202, 202, 404]

    def test_are_in_no_line_and_no_answer(self, world: World, caplog: pytest.LogCaptureFixture):
        caplog.set_level(0)
        answers = [
            world.deliver(),
            world.deliver(WRONG),
            world.deliver(body=b"{}"),
            world.deliver(body=b"x" * (MOST_BYTES + 1)),
            world.deliver(method="PUT"),
            world.deliver(body=b"[]", content_encoding="gzip"),
        ]
        seen = f"{caplog.text} {answers}"
        assert not [secret for secret in (TOKEN, "0" * 64, SETTINGS.refresh_token, "a secret of") if secret in seen]
        assert len(caplog.records) >= 4

    def test_are_in_no_scope_of_the_server(self, world: World, monkeypatch: pytest.MonkeyPatch):
        """Servers log a request's address from the scope that they gave, while the answer begins or after it."""
        module = "airflow_provider_dotypos.webhooks.receiver"
        monkeypatch.setattr(receiver, "app", world.app)
        hidden = app_of(module, secret_path=True)
        seen: list[Any] = []

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def watch(message: Any) -> None:
                seen.append({**scope, "headers": None})
                await send(message)

            await hidden(scope, receive, watch)
            seen.append(scope)

        answer = asyncio.run(request(watched, PATH, BODY, root_path="/team/airflow"))
        assert answer.status == 202
        assert len(seen) == 3
        assert TOKEN not in str(seen)
        assert {scope["path"] for scope in seen} == {"/team/airflow/dotypos-webhooks"}
        assert {scope["raw_path"] for scope in seen} == {b"/team/airflow/dotypos-webhooks"}


def test_the_server_goes_on_while_the_application_is_imported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def load(name: str) -> Any:
        threads.append(threading.current_thread())
        return SimpleNamespace(app=world.app)

    monkeypatch.setattr(plugin, "import_module", load)
    application = app_of("any.module")

    async def use() -> list[int]:
        return [(await request(application, PATH, BODY)).status for _ in range(3)]

    assert asyncio.run(use()) == [202] * 3
    assert len(threads) == 1
    assert threads != [threading.main_thread()]


def flood(number: int) -> str:
    """Return one of many paths that are wrong, each in a way of its own."""
    ways = (
        delivery_path("shop", 1, "products", f"{number:064x}"),
        delivery_path("shop", 2 + number, "products", TOKEN),
        delivery_path(f"made-up-{number}", 1, "products", f"{number:064x}"),
        f"/wp-login/{number}",
    )
    return ways[number % len(ways)]


def test_ten_thousand_wrong_ones_cost_neither_memory_nor_lines_nor_questions(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def be_flooded() -> int:
        for number in range(1_000):
            await request(world.app, flood(number), unread())
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1_000, 11_000):
            assert (await request(world.app, flood(number), unread())).status == 404
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return grown

    assert asyncio.run(be_flooded()) < 100_000
    assert len(caplog.records) <= 10
    assert len(world.asked) < 60
