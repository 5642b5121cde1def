"""The message about a failed task or DAG run, for a channel that people read at night.

It answers what failed, whether that passes by itself, what may be done, and how far the data is. It is made of what the
callback's context holds, on a worker and in the DAG processor. Nothing here raises.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import BaseNotifier

from airflow_provider_dotypos.api.budget import DotyposBudgetError
from airflow_provider_dotypos.api.errors import (
    DotyposAuthenticationError,
    DotyposInputError,
    DotyposMissingTokenError,
    DotyposRateLimitError,
)
from airflow_provider_dotypos.api.retry_table import Verdict, verdict
from airflow_provider_dotypos.hooks.failures import CONNECTION_CURE, cure_of, decision, sentences, text_to_send
from airflow_provider_dotypos.notifications.incident import WILL_RETRY, Incident
from airflow_provider_dotypos.sales.errors import DotyposFreshnessError

log = logging.getLogger(__name__)

#: What the context holds the message by, for templates.
SUBJECT, MESSAGE = "dotypos_subject", "dotypos_message"

#: The page that a message leads to.
GUIDE = "docs/guides/when-it-fails.md"

#: What each verdict on a branch means.
VERDICTS = "docs/guides/on-call.md#verdicts"

#: Longest texts, in characters.
_LONGEST_SUBJECT, _LONGEST_ERROR = 150, 1500

_CLEARING = "Clearing the task is safe: it continues where it ended, and writes nothing twice."
_SEE_TO_IT = f"If the cause that the error names stays, remove it; then clear the task. {_CLEARING}"
_CALL_THE_SHOP = "Do what the error says for each branch. To look again now, clear the task: it changes nothing."
_CONNECT = "Connect the cloud (in Airflow: Admin > Connect Dotypos), then clear the task. What it has read is kept."
_RECONNECT = (
    "`airflow dotypos check{}` says whether the refresh token or the Cloud ID is wrong. Connect the cloud again (in "
    "Airflow: Admin > Connect Dotypos), or correct the Cloud ID; then clear the task. What it has read is kept."
)
_LOOK_FIRST = (
    "Don't clear it yet: something may have been written, and no answer says so. Look at the data in Dotypos, then "
    "decide whether to repeat it."
)
_REMOVE_CAUSE = "Remove the cause that the error names, then clear the task. What it has read is kept."
_OWN_TASK = "It is a task of your own: whether it may be cleared, its author knows. The log says what happened."
_LOST = (
    "The task's process was lost or ended from outside. Its worker died, it ran out of memory, or a time limit or a "
    "person ended it."
)


class DotyposFailureNotifier(BaseNotifier):
    """Send a message about a failed task or DAG run that is worth reading at night, by notifiers of Airflow's.

    Use it as ``on_failure_callback`` or ``on_retry_callback`` of tasks, or as ``on_failure_callback`` of DAGs. Their
    templates find ``dotypos_subject``, one line, and ``dotypos_message`` in the context, and functions get the context
    with both. It never raises: what can't be sent goes to the log.

    :param targets: what sends it: notifiers, such as ``SmtpNotifier`` or ``SlackNotifier``, or functions of a context.
        They are called in this order, whatever becomes of the others.
    :raises DotyposInputError: if there is none, or one can't be called with a context alone.
    """

    def __init__(self, *targets: Callable[[Any], object]) -> None:
        super().__init__()
        _check(targets)
        self.targets = targets

    def __call__(self, *args: Any) -> None:
        """Send the message.

        :param args: the context, as Airflow gives it to callbacks.
        """
        self.notify(args[0] if args else {})

    def notify(self, context: Any) -> None:
        """Send the message about a callback's context."""
        subject, message = _texts(context)
        full = {**(context or {}), SUBJECT: subject, MESSAGE: message}
        for target in self.targets:
            try:
                # A notifier renders its templates in place, so each message gets one of its own.
                (copy.copy(target) if isinstance(target, BaseNotifier) else target)(full)
            except Exception as error:  # whatever a channel raises: its text may hold an address with a secret
                log.error("%s couldn't send this message (%s):\n%s", _name(target), type(error).__name__, message)


def failure_message(context: Mapping[str, Any]) -> str:
    """Return the message about a failed task or DAG run, for callbacks of your own. It never raises.

    :param context: the context that Airflow gives a callback.
    """
    return _texts(context)[1]


def failure_subject(context: Mapping[str, Any]) -> str:
    """Return the same in one line. It never raises.

    :param context: the context that Airflow gives a callback.
    """
    return _texts(context)[0]


def _texts(context: Any) -> tuple[str, str]:
    try:
        incident = Incident.of(context or {})
        return _subject(incident), "\n".join(_lines(incident))
    except Exception:  # a short message is better than none
        log.debug("The message couldn't be made.", exc_info=True)
        return "A task or DAG run of Airflow failed", "A task or DAG run of Airflow failed. Its log says why."


def _subject(incident: Incident) -> str:
    name = _what(incident)
    if incident.task_id is None:
        names = ", ".join(task.task_id for task in incident.failed_tasks)
        return _cut(f"{name} failed" + (f": {names}" if names else ""), _LONGEST_SUBJECT)
    ended = "failed, and is tried again" if incident.state == WILL_RETRY else "failed"
    return _cut(f"{name} {ended}: {sentences(_error_text(incident))[0].rstrip('.')}", _LONGEST_SUBJECT)


def _lines(incident: Incident) -> Iterator[str]:
    yield _subject(incident)
    yield ""
    if incident.task_id is None:
        yield from _dag_lines(incident)
    else:
        yield f"What failed: {_cut(_error_text(incident), _LONGEST_ERROR)}"
        yield f"Does it pass by itself? {_outlook(incident)}"
        yield f"What to do: {_advice(incident)}"
        yield from (f"How far the data is: {line}" for line in incident.extent)
    tries = "" if incident.tries is None else ", try {} of {}".format(*incident.tries)
    yield f"Run: {incident.run_id or 'unknown'}{tries}"
    if incident.log_url:
        yield f"{'Run in Airflow' if incident.task_id is None else 'Log'}: {incident.log_url}"
    if incident.cloud_url:
        yield f"Cloud: {incident.cloud_url}"
    yield f"More: {_page(incident)}"


def _dag_lines(incident: Incident) -> Iterator[str]:
    why = f" ({incident.reason})" if incident.reason else ""
    if not incident.failed_tasks:
        yield f"What failed: the run{why}. Its tasks' logs say why."
    for task in incident.failed_tasks:
        yield f"What failed: {task.task_id}: {_cut(task.error or 'its log says why', _LONGEST_ERROR)}"
    yield "Does it pass by itself? No. The run has ended, and Airflow tries none of its tasks again."
    yield (
        "What to do: Open the run, and look at the failed tasks. Clearing those of this provider is safe, unless their "
        "error says that something may have been written: they continue where they ended. The next run of a transfer "
        "without a window reads what this one has missed."
    )


def _error_text(incident: Incident) -> str:
    """Return what failed. Only texts are shown that are known to hold no row and no secret."""
    error = incident.error
    if error is not None:
        connection = "" if error.connection or incident.conn_id is None else f" (connection {incident.conn_id!r})"
        return f"{error}{connection}"
    exception = incident.exception
    if exception is None:
        return _LOST
    kind = type(exception).__name__
    cure = cure_of(exception)
    # In a task of a user's own an OSError may be anything, such as an HTTP client's, and the destination isn't ours.
    if cure is not None and (incident.is_ours or cure == CONNECTION_CURE):
        return f"{text_to_send(exception)}. {cure}"
    if kind in ("AirflowTaskTimeout", "AirflowSensorTimeout"):
        return f"{kind}: it took longer than it may"
    return f"{kind}; its text may hold data, so only the log shows it"


def _outlook(incident: Incident) -> str:
    error = incident.error
    if incident.state == WILL_RETRY:
        left = "" if incident.tries is None else f" ({_tries_left(*incident.tries)})"
        at = "" if incident.next_try is None else f" at about {_moment(incident.next_try)}"
        if error is not None and error.permanent:
            return f"No: no retry can help. Airflow tries it again all the same{at}{left}."
        return f"It may: Airflow tries it again{at}{left}."
    if error is not None and error.permanent:
        return "No. Airflow doesn't try it again, because no retry can help."
    if error is not None and error.retry_at is not None:
        return f"Its cause does, at {_moment(error.retry_at)}. Airflow doesn't try this run again."
    return "Airflow doesn't try it again: no retry is left. The cause may pass."


def _tries_left(done: int, most: int) -> str:
    left = max(0, most - done)
    return f"{left} {'try' if left == 1 else 'tries'} left"


def _advice(incident: Incident) -> str:
    error = incident.error
    if error is not None and verdict(error) is Verdict.ASK:
        return _LOOK_FIRST
    if isinstance(error, DotyposMissingTokenError):
        return _CONNECT
    if isinstance(error, DotyposAuthenticationError) and error.permanent:
        conn_id = error.connection or incident.conn_id
        return _RECONNECT.format(f" --conn-id {conn_id}" if conn_id else "")
    if incident.exception is None and incident.may_have_written:
        return _LOOK_FIRST
    if (error is not None and error.permanent) or cure_of(incident.exception) == CONNECTION_CURE:
        return _REMOVE_CAUSE
    if incident.state == WILL_RETRY:
        return "Nothing yet. If the last try fails, another message comes."
    if isinstance(error, (DotyposRateLimitError, DotyposBudgetError)):
        wait = "Wait" if error.retry_at is None else f"Wait until {_moment(error.retry_at)}"
        return f"{wait}, then clear the task. {_CLEARING}"
    if isinstance(error, DotyposFreshnessError):
        return _CALL_THE_SHOP
    if not incident.is_ours:
        return _OWN_TASK
    return _CLEARING if incident.exception is None else _SEE_TO_IT


def _page(incident: Incident) -> str:
    """Return the page, and the section of it, that a failure is in."""
    of_branches = isinstance(incident.error, DotyposFreshnessError)
    return VERDICTS if of_branches else f"{GUIDE}#{_anchor(incident)}"


def _anchor(incident: Incident) -> str:
    error = incident.error
    if error is None and cure_of(incident.exception) is not None:
        return "it-failed-after-retries"
    if incident.task_id is None or error is None:
        return "when-an-extraction-fails"
    if verdict(error) is Verdict.ASK:
        return "a-task-that-writes"
    return "it-failed-at-once" if decision(error).action == "fail" else "it-failed-after-retries"


def _what(incident: Incident) -> str:
    if incident.task_id is None:
        return f"DAG {incident.dag_id}"
    mapped = f"[{incident.map_index}]" if incident.map_index >= 0 else ""
    return f"{incident.dag_id}.{incident.task_id}{mapped}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _name(target: object) -> str:
    return getattr(target, "__name__", type(target).__name__)


def _check(targets: Sequence[object]) -> None:
    if not targets or not all(callable(target) for target in targets):
        raise DotyposInputError(
            "DotyposFailureNotifier needs what sends the message: notifiers of Airflow, such as SmtpNotifier(…), or "
            "functions of a context"
        )
    for target in targets:
        if not isinstance(target, BaseNotifier) and not _takes_a_context(target):
            raise DotyposInputError(
                f"DotyposFailureNotifier calls {_name(target)} with one argument, the context of the callback. It "
                f"holds the message as context[{MESSAGE!r}], and its subject as context[{SUBJECT!r}]"
            )


def _takes_a_context(target: Any) -> bool:
    try:
        inspect.signature(target).bind({})
    except TypeError:
        return False
    except ValueError:  # some functions in C have no signature
        return True
    return True
