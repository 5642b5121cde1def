"""The message about a failure: what it says, and that nothing keeps it from being sent (`failure`, `incident`,
`hooks.failure_notes`)."""

from __future__ import annotations

import functools
import json
import logging
import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import structlog
from airflow.dag_processing import processor
from airflow.sdk import DAG, BaseNotifier, task
from airflow.sdk.api.datamodels import _generated as models
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.execution_time import comms
from airflow.utils.state import TaskInstanceState

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos._compat import fail_exception, missing_connection
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.budget import DotyposBudgetError
from airflow_provider_dotypos.api.errors import DotyposError, error_for
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failure_notes import FAILURE_KEY
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.notifications.failure import (
    GUIDE,
    DotyposFailureNotifier,
    failure_message,
    failure_subject,
)
from airflow_provider_dotypos.operators.dotypos import DotyposOperator
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from tests.task_runs import RUN_AFTER, dag_run, run_task, supervised

ROOT = Path(__file__).parents[2]
LATER = datetime(2026, 3, 1, 14, 30, tzinfo=timezone.utc)

REVOKED = error_for("POST", "/v2/signin/token", 401, {}, b'{"reason": "INVALID_REFRESH_TOKEN"}', sign_in="for cloud 5")
THROTTLED = error_for("GET", "/v2/clouds/5/orders", 429, {"Retry-After": "1700"}, b"")
USED_UP = DotyposBudgetError("The request budget, 150/30min, is used up.", retry_at=LATER)
UNCERTAIN = errors.DotyposUncertainWriteError(
    "POST /v2/x may or may not have been carried out.", method="POST", path="/x"
)
DOWN = errors.DotyposConnectionError("no whole answer from api.example.com: refused. Check API base URL")

with DAG("shop", schedule=None):
    TASK = DotyposOperator(task_id="orders", path="orders", retries=3, retry_delay=timedelta(minutes=5))

    @task
    def own() -> None:
        """Stand for a task of a user's own."""

    OWN = own().operator


def context(exception: BaseException | None, *, state: str = "failed", of: Any = TASK, **more: Any) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="shop",
        task_id=of.task_id,
        run_id="manual__2026-03-01",
        map_index=-1,
        try_number=2,
        max_tries=3,
        state=state,
        task=of,
        log_url="https://airflow.example.com/log",
        **more,
    )
    return {"ti": ti, "dag": of.dag, "run_id": ti.run_id} | ({} if exception is None else {"exception": exception})


def line(message: str, begin: str) -> str:
    (found,) = [each for each in message.splitlines() if each.startswith(begin)]
    return found.removeprefix(begin).strip()


class HttpError(OSError):
    """Stand for an HTTP client's error, such as that of requests: it shows the address."""


SECRET = "https://files.example.com/?token=s3cret-77"


@pytest.mark.parametrize("error", [HttpError(SECRET), OSError(SECRET), ValueError(SECRET)], ids=repr)
def test_no_text_is_sent_of_an_error_in_a_task_of_a_users_own(error: Exception) -> None:
    message = failure_message(context(error, of=OWN))
    assert "s3cret" not in message + failure_subject(context(error, of=OWN))
    assert type(error).__name__ in line(message, "What failed:")
    assert "destination" not in message


def test_a_librarys_own_error_of_the_destination_is_sent_without_its_text() -> None:
    task_context = {
        "ti": SimpleNamespace(pushed=[], xcom_push=lambda **given: task_context["ti"].pushed.append(given["value"]))
    }
    with pytest.raises(HttpError), airflow_failures("dotypos_default", task_context, resumes=True):
        raise HttpError(SECRET)
    (noted,) = task_context["ti"].pushed
    for text in (noted, failure_message(context(HttpError(SECRET)))):
        assert "HttpError. Check destination" in text
        assert "s3cret" not in text
    full = OSError(28, "No space left on device")
    assert "No space left" in failure_message(context(full))


@pytest.mark.parametrize(
    ("error", "state", "passes", "to_do", "anchor"),
    [
        (REVOKED, "failed", "No. Airflow doesn't try it again", "Connect the cloud again", "it-failed-at-once"),
        (REVOKED, "up_for_retry", "No: no retry can help. Airflow tries it again all", "Connect", "it-failed-at-once"),
        (REVOKED, "failed", "No.", "or correct the Cloud ID; then clear the task", "it-failed-at-once"),
        (
            errors.DotyposMissingTokenError("Refresh Token is missing"),
            "failed",
            "No.",
            "Connect the cloud (",
            "it-failed-at-once",
        ),
        (UNCERTAIN, "failed", "No.", "Don't clear it yet: something may have been written", "a-task-that-writes"),
        (THROTTLED, "failed", "Its cause does, at 20", "Wait until 20", "it-failed-after-retries"),
        (
            USED_UP,
            "failed",
            "Its cause does, at 2026-03-01 14:30 UTC",
            "Wait until 2026-03-01 14:30",
            "it-failed-after",
        ),
        (
            DOWN,
            "failed",
            "no retry is left. The cause may pass",
            "Clearing the task is safe",
            "it-failed-after-retries",
        ),
        (DOWN, "up_for_retry", "It may: Airflow tries it again at about", "Nothing yet", "it-failed-after-retries"),
        (DotyposInputError("filter: no field"), "failed", "No.", "Remove the cause", "it-failed-at-once"),
    ],
    ids=repr,
)
def test_it_says_what_failed_whether_it_passes_and_what_to_do(
    error: DotyposError, state: str, passes: str, to_do: str, anchor: str
) -> None:
    message = failure_message(context(error, state=state))
    assert line(message, "What failed:").startswith(str(error))
    assert passes in line(message, "Does it pass by itself?")
    assert to_do in line(message, "What to do:")
    assert line(message, "More:").startswith(f"{GUIDE}#{anchor}")
    assert line(message, "Run:") == "manual__2026-03-01, try 2 of 4"
    assert line(message, "Log:") == "https://airflow.example.com/log"
    assert message.splitlines()[0] == failure_subject(context(error, state=state))


def test_every_message_leads_to_a_section_of_the_guide() -> None:
    headings = re.findall(r"^#+ (.*)", (ROOT / GUIDE).read_text(), re.M)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    contexts = [context(each) for each in (REVOKED, UNCERTAIN, DOWN, KeyError("x"), None)] + [
        {"reason": "task_failure"}
    ]
    assert {line(failure_message(each), "More:").partition("#")[2] for each in contexts} <= anchors


def test_a_silent_shop_is_called_and_a_full_disk_is_seen_to() -> None:
    silent = failure_message(context(errors.DotyposFreshnessError("1 of 2 branches: branch 1: till silent")))
    assert "Do what the error says for each branch" in line(silent, "What to do:")
    assert line(silent, "More:") == "docs/guides/on-call.md#verdicts"
    assert "### Verdicts" in (ROOT / "docs/guides/on-call.md").read_text()
    full = failure_message(context(OSError(28, "No space left on device")))
    assert line(full, "What to do:").startswith("If the cause that the error names stays, remove it; then clear")
    assert line(full, "More:") == f"{GUIDE}#it-failed-after-retries"


def test_the_subject_is_one_short_line() -> None:
    assert failure_subject(context(REVOKED)) == (
        "shop.orders failed: POST /v2/signin/token answered 401 INVALID_REFRESH_TOKEN"
    )
    long = failure_subject(context(DotyposInputError("x" * 999)))
    assert len(long) == 150
    assert "\n" not in failure_subject(context(errors.DotyposInputError("a list\n- row 1\n- row 2")))


@pytest.mark.parametrize("map_index", [0, 2])
def test_a_mapped_task_is_named_with_its_index(map_index: int) -> None:
    mapped = context(DOWN)
    mapped["ti"].map_index = map_index
    assert failure_subject(mapped).startswith(f"shop.orders[{map_index}] failed: ")


def test_the_next_try_is_when_airflow_says() -> None:
    said = line(failure_message(context(DOWN, state="up_for_retry")), "Does it pass by itself?")
    moment = re.search(r"at about (.*) UTC \(2 tries left\)", said)
    assert moment is not None
    at = datetime.strptime(moment[1], "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc)
    assert timedelta(minutes=3) < at - datetime.now(timezone.utc) <= timedelta(minutes=5)


def test_an_error_is_found_behind_what_airflow_was_given() -> None:
    def raised() -> BaseException:
        try:
            try:
                raise REVOKED
            except DotyposError as error:
                raise fail_exception()("it failed") from error
        except AirflowException as ending:
            return ending

    assert "INVALID_REFRESH_TOKEN" in failure_message(context(raised()))


def test_a_connection_that_is_missing_is_named() -> None:
    message = failure_message(context(missing_connection()("The conn_id `shop` isn't defined")))
    assert "`shop` isn't defined" in message
    assert "Remove the cause" in message


@pytest.mark.parametrize("kind", [KeyError, ValueError, SystemExit, AirflowException])
def test_the_text_of_a_foreign_error_is_not_shown(kind: type[BaseException]) -> None:
    message = failure_message(context(kind("Jana Nováková"), of=OWN))
    assert "Jana" not in message
    assert f"{kind.__name__}; its text may hold data" in message
    assert "It is a task of your own" in message


def lost(task: Any, kind: TaskInstanceState, try_number: int) -> dict[str, Any]:
    """Return what Airflow's DAG processor gives the callback of a task whose process was lost."""
    got: list[dict[str, Any]] = []
    task.on_failure_callback = task.on_retry_callback = [DotyposFailureNotifier(got.append)]
    ti = models.TaskInstance.model_construct(
        id=uuid.uuid4(),
        task_id=task.task_id,
        dag_id=task.dag_id,
        run_id="run",
        try_number=try_number,
        map_index=-1,
        dag_version_id=uuid.uuid4(),
    )
    known = models.TIRunContext.model_construct(
        dag_run=dag_run(task.dag_id), task_reschedule_count=0, max_tries=task.retries, should_retry=False
    )
    request: Any = SimpleNamespace(
        is_failure_callback=True, ti=ti, task_callback_type=kind, context_from_server=known, dag_id=task.dag_id
    )
    bag: Any = SimpleNamespace(dags={task.dag_id: task.dag})
    processor._execute_task_callbacks(bag, request, structlog.get_logger())
    (given,) = got
    return given


def test_a_lost_task_says_so_and_whether_it_is_tried_again() -> None:
    with DAG("night", schedule=None):
        orders = DotyposOperator(task_id="orders", path="orders", retries=3)
    again = lost(orders, TaskInstanceState.UP_FOR_RETRY, 1)
    assert again["dotypos_subject"] == (
        "night.orders failed, and is tried again: The task's process was lost or ended from outside"
    )
    assert "(3 tries left)" in again["dotypos_message"]
    last = lost(orders, TaskInstanceState.FAILED, 4)["dotypos_message"]
    assert last.startswith("night.orders failed: The task's process was lost")
    assert line(last, "What to do:").startswith("Clearing the task is safe")
    assert "/dags/night/runs/run/tasks/orders?try_number=4" in line(last, "Log:")


def test_a_lost_task_may_have_written() -> None:
    with DAG("night", schedule=None):
        post = DotyposOperator(task_id="post", path="orders", method="post", json={})
    message = lost(post, TaskInstanceState.FAILED, 1)["dotypos_message"]
    assert line(message, "What to do:").startswith("Don't clear it yet")


def test_a_failed_run_names_its_tasks_and_what_they_have_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    with supervised() as supervisor:
        states = {"orders": "failed", "after": "upstream_failed", "products": "success", "own": "failed"}
        answer = supervisor.send

        def send(msg: Any) -> Any:
            if isinstance(msg, comms.GetTaskStates):
                return comms.TaskStatesResult(task_states={"run": states})
            if isinstance(msg, comms.GetXCom):
                value = "answered 401. Connect again." if (msg.task_id, msg.key) == ("orders", FAILURE_KEY) else None
                return comms.XComResult(key=msg.key, value=value)
            return answer(msg)

        monkeypatch.setattr(supervisor, "send", send)
        given = {"reason": "task_failure", "dag": TASK.dag, "run_id": "run"}
        message = failure_message(given)
    assert message.splitlines()[0] == "DAG shop failed: orders, own"
    assert "What failed: orders: answered 401. Connect again." in message
    assert "What failed: own: its log says why" in message
    assert "after" not in message.splitlines()[0]


def test_a_failed_run_of_which_nothing_is_known_is_told() -> None:
    message = failure_message({"reason": "timed_out", "dag": TASK.dag, "run_id": "run"})
    assert message.splitlines()[0] == "DAG shop failed"
    assert "What failed: the run (timed_out)." in message


class Odd:
    """Fails whatever is asked of it."""

    def __repr__(self) -> str:
        return "Odd()"

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "given", [{}, None, {"ti": None}, {"ti": Odd()}, {"ti": Odd(), "reason": "x"}, {"exception": REVOKED}, 5], ids=repr
)
def test_it_never_raises_and_always_says_something(given: Any) -> None:
    assert "failed" in failure_subject(given)
    assert "failed" in failure_message(given)


class Templated(BaseNotifier):
    """A notifier as Airflow's providers have them."""

    template_fields = ("text",)
    sent: ClassVar[list[str]] = []

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        self.sent.append(self.text)


def test_notifiers_get_it_in_their_templates_each_time_anew() -> None:
    Templated.sent = []
    notifier = DotyposFailureNotifier(Templated("{{ dotypos_subject }} of {{ run_id }}"))
    notifier(context(REVOKED))
    notifier(context(DOWN))
    assert [text.partition(":")[0] for text in Templated.sent] == ["shop.orders failed"] * 2
    assert "INVALID_REFRESH_TOKEN of manual__2026-03-01" in Templated.sent[0]
    assert "refused" in Templated.sent[1]


def test_a_channel_that_fails_keeps_no_other_from_it_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    got: list[Mapping[str, Any]] = []

    def broken(context: Any) -> None:
        raise RuntimeError("https://hooks.example.com/secret")

    given = context(REVOKED)
    DotyposFailureNotifier(broken, got.append)(given)
    assert got[0]["dotypos_message"] == failure_message(given)
    assert got[0]["ti"] is given["ti"]
    assert "dotypos_message" not in given
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "broken couldn't send this message (RuntimeError)" in record.getMessage()
    assert "INVALID_REFRESH_TOKEN" in record.getMessage()
    assert "secret" not in caplog.text


@pytest.mark.parametrize("targets", [(), ("slack",), (print, None)], ids=repr)
def test_what_can_not_be_called_shows_when_the_dag_is_parsed(targets: Any) -> None:
    with pytest.raises(DotyposInputError, match="needs what sends the message"):
        DotyposFailureNotifier(*targets)


def test_a_function_that_takes_no_context_shows_when_the_dag_is_parsed() -> None:
    def tell(subject: str, message: str) -> None: ...

    with pytest.raises(DotyposInputError, match=r"calls tell with one argument, .* context\['dotypos_message'\]"):
        DotyposFailureNotifier(print, tell)
    DotyposFailureNotifier(print, functools.partial(tell, "a failure"), [].append, dict)


@pytest.fixture
def cloud(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    channel.forget_tokens()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(sandbox.cloud_ids[0])))
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/shop.db"}))
    return sandbox.cloud_ids[0]


def test_a_transfer_says_how_far_it_is_and_where_its_cloud_is(sandbox: Sandbox, cloud: int) -> None:
    with DAG("dag", schedule=None):
        orders = DotyposToSqlOperator(task_id="orders", entity="orders", conn_id="shop", settle=0)
    with supervised() as supervisor:
        assert run_task(orders).state == "success"
        sandbox.faults.append(Fault("redirect", path="/orders", times=99))
        ending = run_task(orders, run_after=RUN_AFTER + timedelta(hours=2))
        message = failure_message(context(ending.error, of=ending.task))
        noted = [msg.value for msg in supervisor.reported if isinstance(msg, comms.SetXCom) and msg.key == FAILURE_KEY]
    assert f"How far the data is: orders of cloud {cloud}: up to 2026-03-01T12:00:00.000Z" in message
    assert "days ago" in message
    assert len(noted) == 1
    assert str(ending.error) in noted[0]


def test_a_transfer_with_a_window_says_that_it_is_not_complete(sandbox: Sandbox, cloud: int) -> None:
    with DAG("dag", schedule=None):
        window = {"since": RUN_AFTER - timedelta(days=1), "until": RUN_AFTER}
        orders = DotyposToSqlOperator(task_id="orders", entity="orders", conn_id="shop", **window)
    sandbox.faults.append(Fault("redirect", path="/orders", times=99))
    with supervised():
        ending = run_task(orders)
        message = failure_message(context(ending.error, of=ending.task))
    assert (
        f"orders of cloud {cloud}: the window from 2026-02-28 12:00 to 2026-03-01 12:00 UTC isn't complete" in message
    )
    assert sandbox.refresh_token not in message


def test_no_secret_and_no_row_is_in_a_message_of_a_task_of_ones_own(sandbox: Sandbox, cloud: int) -> None:
    sandbox.shop.insert(cloud, "customers", {"firstName": "Jana", "versionDate": 1})

    @task
    def customers() -> None:
        for row in DotyposHook().rows("customers"):
            raise ValueError(row)

    with DAG("dag", schedule=None), supervised():
        operator = customers().operator
        ending = run_task(operator)
        message = failure_message(context(ending.error, of=operator))
    assert "ValueError; its text may hold data" in message
    assert "Jana" not in message
    assert sandbox.refresh_token not in message
