"""``exchange``, ``client``, ``aclient``, ``paths``: one authorized call over real sockets, in threads and on a loop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import auth
from airflow_provider_dotypos.api.channel import Lane, open_channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.sandbox import Fault, Limit, Sandbox
from tests.api.drivers import DRIVERS
from tests.conftest import NewClient
from tests.sleeping import retry_soon

IN_THREADS = pytest.mark.parametrize("driver", [DotyposClient])


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> object:
    return DRIVERS[request.param]


def json_of(answer: Answer) -> object:
    return answer.json()


def get(client: DotyposClient, path: str = "branches", **kwargs: object) -> object:
    return client.call("GET", path, decode=json_of, **kwargs)  # type: ignore[arg-type]


def lane_of(client: DotyposClient) -> Lane:
    return open_channel(client.settings).lane(client.settings.cloud_id)


def calls(sandbox: Sandbox, path: str) -> int:
    return sum(request.path.endswith(path) for request in sandbox.requests)


class TestTokens:
    def test_sixteen_threads_starting_cold_sign_in_once(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(max_concurrency=16)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: get(client), range(200)))
        assert sandbox.sign_ins == 1

    def test_a_token_that_expires_mid_run_costs_one_sign_in_and_no_call(
        self, sandbox: Sandbox, new_client: NewClient
    ) -> None:
        client = new_client(max_concurrency=16)
        done = threading.Semaphore(0)

        def one(_: int) -> object:
            answer = get(client)
            done.release()
            return answer

        with ThreadPoolExecutor(16) as pool:
            answers = pool.map(one, range(300))
            for _ in range(100):
                done.acquire()
            sandbox.expire_tokens()
            assert len(list(answers)) == 300
        assert sandbox.sign_ins == 2

    def test_a_token_is_renewed_after_three_quarters_of_its_life(
        self, sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passed = [0.0]
        monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))
        sandbox.token_lifetime = 400
        client = new_client()
        for seconds, sign_ins in ((0.0, 1), (200.0, 1), (301.0, 2), (500.0, 2), (602.0, 3)):
            passed[0] = seconds
            get(client)
            assert sandbox.sign_ins == sign_ins
        assert {request.status for request in sandbox.requests} == {200, 201}

    def test_two_clouds_of_one_connection_have_a_token_each(self, sandbox: Sandbox, new_client: NewClient) -> None:
        for cloud_id in sandbox.cloud_ids:
            assert Reader(new_client(cloud_id=cloud_id)).check_cloud()["id"] == str(cloud_id)
        assert sandbox.sign_ins == 2

    def test_the_path_decides_which_clouds_token_is_used(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client()
        other = sandbox.cloud_ids[1]
        assert get(client, f"/clouds/{other}/branches")
        assert len(get(client, "/clouds")["data"]) == 2  # type: ignore[index]

    def test_clients_with_the_same_credentials_share_a_token(self, sandbox: Sandbox, new_client: NewClient) -> None:
        for _ in range(3):
            get(new_client())
        assert sandbox.sign_ins == 1

    def test_threads_that_wait_for_a_refused_sign_in_do_not_repeat_it(
        self, sandbox: Sandbox, new_client: NewClient
    ) -> None:
        sandbox.latency = 0.3
        client = new_client(refresh_token="0" * 32)
        barrier = threading.Barrier(8)

        def one(_: int) -> type[BaseException]:
            barrier.wait()
            with pytest.raises(errors.DotyposAuthenticationError) as caught:
                get(client)
            return caught.type

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(8)))
        assert calls(sandbox, "signin/token") == 1

    def test_a_connection_mended_after_a_refusal_works_at_once(self, sandbox: Sandbox, new_client: NewClient) -> None:
        with pytest.raises(errors.DotyposAuthenticationError):
            get(new_client(refresh_token="0" * 32))
        assert get(new_client())

    @IN_THREADS
    def test_a_forked_child_can_sign_in_while_the_parent_holds_the_lock(
        self, sandbox: Sandbox, new_client: NewClient
    ) -> None:
        client = new_client()
        with lane_of(client).tokens.lock:
            child = os.fork()
            if child == 0:
                get(client)
                os._exit(0)
            _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


class TestRetries:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault("429", retry_after="1"),
            Fault("429"),
            Fault("500"),
            Fault("502-html"),
            Fault("503", retry_after="1"),
            Fault("reset"),
            Fault("reset-body"),
            Fault("short-body"),
            Fault("cut-json"),
            Fault("html-200"),
        ],
        ids=lambda fault: f"{fault.kind}-{fault.retry_after}",
    )
    def test_a_passing_fault_is_waited_out(
        self, sandbox: Sandbox, new_client: NewClient, fault: Fault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        retry_soon(monkeypatch)
        client = new_client(Patience(20, 20))
        fault = Fault(fault.kind, retry_after=fault.retry_after, times=2, path="branches")
        sandbox.faults.append(fault)
        assert get(client)["data"]  # type: ignore[index]
        assert calls(sandbox, "branches") == 3

    def test_a_retry_after_that_is_a_date_is_waited_for(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(Patience(20, 20))
        told = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)
        sandbox.faults.append(Fault("429", retry_after=format_datetime(told, usegmt=True), path="branches"))
        assert get(client)
        assert datetime.now(timezone.utc) >= told
        assert calls(sandbox, "branches") == 2

    def test_a_server_that_never_answers_is_given_up_and_asked_again(
        self, sandbox: Sandbox, new_client: NewClient
    ) -> None:
        client = new_client(Patience(20, 20), timeout=0.5)
        sandbox.faults.append(Fault("hang", path="branches"))
        assert get(client)

    def test_a_body_that_drips_in_is_cut_off_at_the_timeout(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(Patience(20, 20), timeout=0.6)
        sandbox.faults.append(Fault("drip", path="branches"))
        assert get(client)
        assert len(sandbox.requests) == 3

    def test_sign_in_is_retried_as_well(self, sandbox: Sandbox, new_client: NewClient) -> None:
        sandbox.faults.append(Fault("503", path="signin", times=2))
        assert get(new_client(Patience(20, 20)))

    def test_giving_up_tells_how_often_and_why(self, sandbox: Sandbox, new_client: NewClient) -> None:
        sandbox.faults.append(Fault("500", path="branches", times=1000))
        with pytest.raises(errors.DotyposServerError, match=r"GET /v2/clouds/\d+/branches answered 500.*gave up after"):
            get(new_client(Patience(1, 1)))

    def test_a_throttled_client_waits_as_told_and_longer(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(Patience(20, 20))
        get(client)
        sandbox.faults.append(Fault("429", retry_after="1", path="branches"))
        started = time.monotonic()
        get(client)
        assert time.monotonic() - started >= 1

    @pytest.mark.parametrize("kind", ["429", "503"])
    def test_what_the_server_asks_to_wait_counts_as_throttling(
        self, sandbox: Sandbox, new_client: NewClient, kind: str
    ) -> None:
        sandbox.faults.append(Fault(kind, retry_after="1", path="branches"))
        get(new_client(Patience(faults=0.5, throttling=20)))

    @pytest.mark.parametrize("settings", [{}, {"requests_per_minute": 60}], ids=["gate", "ceiling"])
    def test_waiting_for_its_turn_is_not_held_against_a_call(
        self, sandbox: Sandbox, new_client: NewClient, settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        retry_soon(monkeypatch)
        client = new_client(Patience(faults=1.0, throttling=1.0), **settings)
        get(client)
        lane_of(client).gate.close(1.5)
        sandbox.faults.append(Fault("reset", path="branches"))
        get(client)

    @pytest.mark.parametrize("kind", ["429", "503"])
    def test_one_throttled_thread_holds_back_all(self, sandbox: Sandbox, new_client: NewClient, kind: str) -> None:
        client = new_client(Patience(20, 20), max_concurrency=8)
        get(client)
        sandbox.requests.clear()
        sandbox.faults.append(Fault(kind, retry_after="1", path="branches"))
        thread = threading.Thread(target=get, args=(client,))
        started = time.monotonic()
        thread.start()
        while lane_of(client).gate.throttled_for == 0:
            assert thread.is_alive()
        get(client, "taxes")
        assert time.monotonic() - started >= 1
        thread.join()

    @pytest.mark.parametrize("kind", ["429", "503"])
    def test_a_wait_too_long_for_a_slot_is_an_error_that_tells_when(
        self, sandbox: Sandbox, new_client: NewClient, kind: str
    ) -> None:
        sandbox.faults.append(Fault(kind, retry_after="3600", path="branches"))
        with pytest.raises(errors.DotyposApiError) as caught:
            get(new_client())
        assert caught.value.status == int(kind)
        assert caught.value.too_long_to_wait
        assert caught.value.retry_at is not None
        assert abs((caught.value.retry_at - datetime.now(timezone.utc)).total_seconds() - 3600) < 30

    @IN_THREADS
    def test_waiting_ends_at_once_when_the_task_is_killed(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(Patience(60, 60))
        sandbox.faults.append(Fault("429", retry_after="30", path="branches"))
        threading.Timer(0.3, client.cancel).start()
        started = time.monotonic()
        with pytest.raises(errors.DotyposCancelledError):
            get(client)
        assert time.monotonic() - started < 25

    @IN_THREADS
    def test_a_signal_may_cancel_whatever_the_main_thread_does(self, new_client: NewClient) -> None:
        client = new_client()

        def kill(*_: object) -> None:
            client.cancel()

        with client._wake._cond:  # type: ignore[attr-defined]  # as in the middle of a wait
            before = signal.signal(signal.SIGUSR1, kill)
            try:
                signal.raise_signal(signal.SIGUSR1)
            finally:
                signal.signal(signal.SIGUSR1, before)
        with pytest.raises(errors.DotyposCancelledError):
            client.sleep(0)
        with pytest.raises(errors.DotyposCancelledError):
            client.sleep(60)

    def test_requests_per_minute_is_a_ceiling_across_threads(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(requests_per_minute=600, max_concurrency=8)
        get(client)
        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: get(client), range(10)))
        assert time.monotonic() - started > 0.8


class TestBudget:
    def test_nothing_is_sent_that_would_exceed_it_sign_ins_included(
        self, sandbox: Sandbox, new_client: NewClient
    ) -> None:
        clients = [new_client(request_budget="20/30min") for _ in range(2)]  # of one process
        with ThreadPoolExecutor(16) as pool:
            answers = [pool.submit(get, clients[number % 2]) for number in range(60)]
        failures = [error for answer in answers if (error := answer.exception()) is not None]
        assert len(sandbox.requests) == 20
        assert len(failures) == 60 - (20 - sandbox.sign_ins)
        for error in failures:
            assert isinstance(error, errors.DotyposBudgetError)
            assert error.retry_at is not None
            assert 1790 < (error.retry_at - datetime.now(timezone.utc)).total_seconds() < 1830

    @pytest.mark.parametrize("window", ["sliding", "fixed"])
    def test_calls_wait_until_a_window_is_over(self, sandbox: Sandbox, new_client: NewClient, window: str) -> None:
        sandbox.limit = Limit(10, 1.0, window=window, refused_count=True)
        client = new_client(Patience(20, 20), request_budget="10/s")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: get(client), range(15)))
        assert {request.status for request in sandbox.requests} <= {200, 201}

    def test_requests_that_could_not_leave_are_not_counted(self, new_client: NewClient, sandbox: Sandbox) -> None:
        for _ in range(3):
            with pytest.raises(errors.DotyposConnectionError) as caught:
                get(new_client(Patience(0.5, 0.5), host="http://127.0.0.1:1", request_budget="10/30min"))
            assert caught.value.unreachable

    def test_each_cloud_has_its_own(self, sandbox: Sandbox, new_client: NewClient) -> None:
        for cloud_id in sandbox.cloud_ids[:2]:
            client = new_client(request_budget="10/30min", cloud_id=cloud_id)
            for _ in range(9):
                get(client)
            with pytest.raises(errors.DotyposBudgetError):
                get(client)


class TestWrites:
    def post(self, client: DotyposClient, name: str = "vegan") -> object:
        return client.call("POST", "tags", json=[{"name": name, "display": True}], decode=json_of)

    @pytest.mark.parametrize("kind", ["500", "502-html", "503", "reset", "reset-body"])
    def test_a_write_that_may_have_been_carried_out_is_not_repeated(
        self, sandbox: Sandbox, new_client: NewClient, kind: str
    ) -> None:
        sandbox.faults.append(Fault(kind, path="tags"))
        with pytest.raises(errors.DotyposUncertainWriteError, match="may or may not have been carried out") as caught:
            self.post(new_client())
        status = int(kind[:3]) if kind[0] == "5" else None
        path = f"/v2/clouds/{sandbox.cloud_ids[0]}/tags"
        error = caught.value
        assert (error.method, error.path, error.sent, error.status) == ("POST", path, True, status)
        assert calls(sandbox, "tags") == 1

    def test_a_write_that_was_surely_refused_is_repeated(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client(Patience(20, 20))
        sandbox.faults.append(Fault("429", path="tags"))
        assert self.post(client)
        sandbox.expire_tokens()
        assert self.post(client, "vegetarian")
        names = [row["name"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "tags")]
        assert sorted(names) == ["vegan", "vegetarian"]

    def test_a_write_during_a_broken_sign_in_is_not_uncertain(self, sandbox: Sandbox, new_client: NewClient) -> None:
        sandbox.faults.append(Fault("reset", path="signin"))
        assert self.post(new_client(Patience(20, 20)))

    def test_violations_are_told_field_by_field(self, sandbox: Sandbox, new_client: NewClient) -> None:
        with pytest.raises(errors.DotyposValidationError) as caught:
            new_client().call("POST", "tags", json=[{}], decode=json_of)
        assert any(field and "name" in field for field, _ in caught.value.violations)

    def test_a_stale_etag_is_a_precondition_error(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client()
        row = sandbox.shop.rows(sandbox.cloud_ids[0], "warehouses")[0]
        for headers in ({}, {"If-Match": '"' + "0" * 32 + '"'}):
            with pytest.raises(errors.DotyposPreconditionError):
                client.call("PATCH", f"warehouses/{row['id']}", json={"name": "x"}, headers=headers, decode=json_of)


class TestSafety:
    @pytest.mark.parametrize(
        "path",
        [
            "https://elsewhere.invalid/v2/clouds",
            "//elsewhere.invalid/x",
            "orders/../../../signin/token",
            "orders/%2e%2e/x",
            "orders/%252e%252e/x",
            "..",
            "/clouds/1/../2/orders",
            "orders?limit=1",
            "orders#x",
            "a\\b",
            "a b",
            "",
            " ",
            None,
            7,
        ],
    )
    def test_a_path_that_could_leave_the_api_is_refused_unsent(
        self, sandbox: Sandbox, new_client: NewClient, path: str
    ) -> None:
        with pytest.raises(errors.DotyposInputError):
            get(new_client(), path)
        assert not sandbox.requests

    def test_a_redirect_is_not_followed(self, sandbox: Sandbox, new_client: NewClient) -> None:
        sandbox.faults.append(Fault("redirect", path="branches"))
        with pytest.raises(errors.DotyposResponseError, match="not followed"):
            get(new_client())

    def test_authorization_cannot_be_replaced(self, sandbox: Sandbox, new_client: NewClient) -> None:
        with pytest.raises(errors.DotyposInputError, match="Authorization"):
            get(new_client(), headers={"authorization": "Bearer x"})

    def test_an_environment_with_a_netrc_does_not_replace_the_token(
        self, sandbox: Sandbox, new_client: NewClient, tmp_path: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = f"{tmp_path}/netrc"
        with open(netrc, "w") as file:
            file.write("machine 127.0.0.1 login x password y\n")
        monkeypatch.setenv("NETRC", netrc)
        assert get(new_client())

    def test_no_error_and_no_repr_holds_a_secret(
        self, sandbox: Sandbox, new_client: NewClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        tokens: list[str] = []
        client = new_client(Patience(0.2, 0.2))
        client._on_token = tokens.append
        get(client)
        said = [repr(client.settings), repr(client)]
        for fault in (Fault("500"), Fault("reset"), Fault("429"), Fault("html-200"), Fault("redirect")):
            sandbox.faults.clear()
            sandbox.faults.append(Fault(fault.kind, times=1000))
            with pytest.raises(errors.DotyposError) as caught:
                get(client)
            said.append(f"{caught.value} {caught.value!r}")
        said.append(caplog.text)
        for secret in (*tokens, sandbox.refresh_token):
            assert all(secret not in text for text in said)

    def test_a_closed_port_is_a_connection_error_that_names_the_host(
        self, new_client: NewClient, sandbox: Sandbox
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(errors.DotyposConnectionError, match=f"127.0.0.1:{port}.*API base URL") as caught:
            get(new_client(Patience(0.5, 0.5), host=f"http://127.0.0.1:{port}"))
        assert caught.value.unreachable

    def test_a_server_that_never_answered_is_asked_for_a_shorter_time(
        self, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may be the wrong one; one that has answered may only be restarting."""
        retry_soon(monkeypatch)
        patience = Patience(faults=1.0, unreachable=0.05)
        with Sandbox() as sandbox:
            met, stranger = (
                new_client(patience, host=host, refresh_token=sandbox.refresh_token, cloud_id=sandbox.cloud_ids[0])
                for host in (sandbox.url, "http://127.0.0.1:1")
            )
            get(met)
            met.close() if isinstance(met, DotyposClient) else met.wait_for(met.client.aclose())
        tries = {}
        for client in (met, stranger):
            with pytest.raises(errors.DotyposConnectionError) as caught:
                get(client)
            tries[client] = caught.value.tries
        assert tries[met] > 10 > tries[stranger]

    @pytest.mark.parametrize(
        "host", ["xn--.invalid", "xn--a.invalid", "xn--0.xn--", "a..invalid", f"{'a' * 70}.invalid"]
    )
    def test_a_host_that_can_not_be_one_is_an_error_of_ours(
        self, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        def resolve(*arguments: object, **named: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        client = new_client(Patience(0, 0), host=f"https://{host}")
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with pytest.raises(errors.DotyposConnectionError, match="no whole answer from"):
            get(client)

    def test_a_missing_cloud_id_is_told_before_anything_is_sent(self, sandbox: Sandbox, new_client: NewClient) -> None:
        with pytest.raises(errors.DotyposConfigurationError, match="Cloud ID"):
            get(new_client(cloud_id=None))
        assert not sandbox.requests


class TestErrors:
    def test_each_refusal_has_its_own_error(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client()
        foreign = sandbox.foreign_cloud_id
        with pytest.raises(errors.DotyposAuthenticationError, match=f"for cloud {foreign}, which the path names"):
            get(client, f"/clouds/{foreign}/orders")
        with pytest.raises(errors.DotyposNotFoundError):
            get(client, "branches/1")
        with pytest.raises(errors.DotyposApiError, match="405"):
            client.call("DELETE", "branches/1", decode=json_of)

    def test_the_clock_is_the_earlier_of_ours_and_the_servers(self, sandbox: Sandbox, new_client: NewClient) -> None:
        client = new_client()
        sandbox.date_offset = -300
        get(client)
        assert abs((datetime.now(timezone.utc) - client.now()).total_seconds() - 300) < 60
        sandbox.date_offset = 300
        get(client, "taxes")
        assert abs((datetime.now(timezone.utc) - client.now()).total_seconds()) < 60
