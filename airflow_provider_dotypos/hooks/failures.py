"""What a task does with an error: fail at once, run again at a time, or leave it to Airflow's retries."""

from __future__ import annotations

import copy
import functools
import logging
import random
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, NamedTuple

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.errors import (
    DotyposError,
    DotyposRateLimitError,
)
from airflow_provider_dotypos.api.reach import DotyposListsError
from airflow_provider_dotypos.hooks.failure_notes import note_failure

log = logging.getLogger(__name__)

#: How long a throttled task is put off at least, and at most, unless the server says for how long.
_LEAST_WAIT, _MOST_WAIT = timedelta(minutes=5), timedelta(minutes=30)

#: How long a task is put off again and again, while its attempts bring nothing.
_PUT_OFF_AT_MOST = timedelta(days=1)

#: The room that time and level take in front of a message's first line: ``[2026-11-26 21:37:42] ERROR - ``.
_BEFORE_MESSAGE = " " * 30

_LED_TO_IT = "What led to the end of the task:"

#: What to do when a destination can't be written to.
_DESTINATION_CURE = (
    "Check destination: the worker needs the right to write there, and its disk needs room. Rows on their way to an "
    "object store wait in the worker's temporary folder (TMPDIR)."
)

#: What to do when there is no connection of an id: the task's own, or its destination's.
CONNECTION_CURE = (
    "Create it under Admin > Connections (one of Dotypos also under Admin > Connect Dotypos), or correct its id in the "
    "task."
)


class Decision(NamedTuple):
    """What a task does with an error.

    :param action: ``fail`` at once, run ``again`` without taking a retry, or Airflow's ``default``: its retries.
    :param at: when it runs again.
    """

    action: Literal["fail", "again", "default"]
    at: datetime | None = None


def decision(
    error: DotyposError, first_put_off: Callable[[], datetime | None] = lambda: None, *, resumes: bool = False
) -> Decision:
    """Return what a task does with an error.

    A task fails at once if trying again can't help (a revoked token, a forbidden cloud, a bad request). It runs again
    when the error says, if that is too long to hold a slot for: after a ``Retry-After``, or when enough of the request
    budget is free. An attempt that brings nothing a day after the first such put-off is left to Airflow's retries.

    :param first_put_off: returns when the task was first put off. Defaults to never.
    :param resumes: whether the task resumes its work where it ended. Any throttling puts it off.
    """
    if isinstance(error, DotyposListsError):
        return _decision_on_all(
            decision(failure, first_put_off, resumes=resumes) for failure in error.failures.values()
        )
    if error.permanent:
        return Decision("fail")
    at = error.retry_at
    throttled = resumes and (at is not None or isinstance(error, DotyposRateLimitError))
    if not (error.too_long_to_wait or throttled):
        return Decision("default")
    first = first_put_off()
    now = datetime.now(timezone.utc)
    if first is not None and now - first > _PUT_OFF_AT_MOST and not error.brought_rows:
        return Decision("default")
    if error.too_long_to_wait:
        return Decision("again", at)
    # The client has waited out a shorter Retry-After again and again, in vain: the next one is worth no more.
    soonest = now + _growing_wait(first)
    return Decision("again", soonest if at is None else max(at, soonest))


def _decision_on_all(decisions: Iterable[Decision]) -> Decision:
    """Return what a task does whose lists failed in different ways: it gives all that can be cured its chance."""
    decided = list(decisions)
    moments = [at for _, at in decided if at is not None]
    if moments:
        return Decision("again", max(moments))
    return Decision("fail" if all(action == "fail" for action, _ in decided) else "default")


def _growing_wait(first_put_off: datetime | None) -> timedelta:
    """Return how long to put a task off at least: as long as it has been put off so far, within limits.

    So the waits double, and soon pass half an hour together, which is the longest window that limits are known to have.
    The jitter keeps tasks apart that were put off together.
    """
    waited = timedelta(0) if first_put_off is None else datetime.now(timezone.utc) - first_put_off
    return min(max(waited, _LEAST_WAIT), _MOST_WAIT) * random.uniform(1, 1.1)


class airflow_failures:  # noqa: N801 (a context manager)
    """Have Airflow do with an error what `decision` says, and let the task's log end with what to do about it.

    Airflow logs the frames of what is raised here. So it is raised anew, near the task, and what led to it goes to the
    log at DEBUG. It stays in ``__context__``, where a retry policy finds it. A mistake in a program keeps its frames.

    :param conn_id: the connection used; ``None`` if there is none.
    :param context: the task's context. Defaults to none.
    :param resumes: whether the task resumes its work where it ended, and brings rows to a destination.
    """

    def __init__(self, conn_id: str | None, context: Any = None, *, resumes: bool = False) -> None:
        self._conn_id = conn_id
        self._context = {} if context is None else context
        self._resumes = resumes

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, frames: object) -> None:
        # A generator with ``contextmanager`` couldn't do this: that gives an error its old frames back.
        if error is not None and (ending := self._ending_of(error)) is not None:
            raise ending.with_traceback(None) from None

    def _ending_of(self, error: BaseException) -> BaseException | None:
        """Log an error, and return what ends the task; ``None`` for a mistake in a program."""
        if isinstance(error, DotyposError):
            return self._as_decided(named(error, self._conn_id))
        cure = self._cure_of(error)
        if cure is None and isinstance(error, Exception):
            return None
        log.debug(_LED_TO_IT, exc_info=True)
        if cure is not None:  # otherwise it is a signal, wherever the task was
            self._say(f"{type(error).__name__}: {error}. {cure}", f"{text_to_send(error)}. {cure}")
        return error

    def _cure_of(self, error: BaseException) -> str | None:
        """Return what to do about an error that isn't Dotypos's, if it is of the task's surroundings."""
        # An OSError of a task without a destination is a DAG author's own.
        return None if isinstance(error, OSError) and not self._resumes else cure_of(error)

    def _as_decided(self, error: DotyposError) -> Exception:
        first_put_off = functools.partial(_airflow.first_put_off, self._context)
        action, at = decision(error, first_put_off, resumes=self._resumes)
        if at is not None:
            until = f"{at:%F %T %Z}"
            message = in_short_lines(str(error))
            log.warning("%s\nThe task gives its slot back until %s. That takes none of its retries.", message, until)
            return _compat.reschedule_exception(at)
        self._say(str(error))
        return _compat.fail_exception()(str(error)) if action == "fail" else error

    def _say(self, message: str, note: str | None = None) -> None:
        """Say in the log what ends the task, and note it where the callback of a DAG finds it.

        :param note: what is noted, if not the same.
        """
        log.error("%s", in_short_lines(message))
        note_failure(self._context, message if note is None else note)


@contextmanager
def named_errors(conn_id: str) -> Iterator[None]:
    """Raise errors with the name of their connection and without the frames that led to them, which go to DEBUG.

    :param conn_id: the connection used.
    """
    try:
        yield
    except DotyposError as error:
        raise named(error, conn_id) from None


def named(error: DotyposError, conn_id: str | None) -> DotyposError:
    """Return a copy of an error that names its connection; the frames that led to it go to the log, once."""
    copied = copy.copy(error)  # somebody else may hold the error itself
    if error.connection is None:
        log.debug(_LED_TO_IT, exc_info=True)
        # A connection that was given in place of its id holds secrets.
        copied.connection = conn_id if isinstance(conn_id, str) and conn_id else None
    return copied


def as_dotypos_error(error: Exception) -> DotyposError:
    """Return an error of a task that brings rows to a destination, as one that says what to do about it."""
    if isinstance(error, DotyposError):
        return error
    cure = cure_of(error)
    return DotyposError(f"{type(error).__name__}: {error}." + (f" {cure}" if cure else ""))


def cure_of(error: BaseException | None) -> str | None:
    """Return what to do about an error that isn't Dotypos's, if it is of a task's surroundings."""
    if isinstance(error, _compat.missing_connection()):
        return CONNECTION_CURE
    return _DESTINATION_CURE if isinstance(error, OSError) else None


def text_to_send(error: BaseException) -> str:
    """Return what of an error that isn't Dotypos's may leave the log: Airflow's database and messages are less private.

    A library's own kind of ``OSError`` is shown without its text: that of an HTTP client may hold an address with a
    secret.
    """
    kind = type(error)
    known = kind.__module__ == "builtins" or isinstance(error, _compat.missing_connection())
    return f"{kind.__name__}: {error}" if known else kind.__name__


def led_to(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it, the nearest first; a cause goes before what was being handled."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    for nearest in waiting:
        if nearest is not None and id(nearest) not in seen:
            seen.add(id(nearest))
            yield nearest
            waiting += [nearest.__cause__, nearest.__context__]


def first_dotypos_error(error: BaseException) -> DotyposError | None:
    """Return the nearest of this provider's errors among an error and those that led to it."""
    return next((cause for cause in led_to(error) if isinstance(cause, DotyposError)), None)


def in_short_lines(message: str) -> str:
    """Return a message for a log's narrow window: each sentence begins a line, and long ones are wrapped.

    Lines that the message has, such as a list's, stay lines.
    """
    lines: list[str] = []
    for sentence in sentences(message):
        indent = "" if lines else _BEFORE_MESSAGE
        lines += textwrap.wrap(sentence, 95, initial_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).lstrip()


def sentences(message: str) -> list[str]:
    """Return the sentences of a message, and the lines that it has."""
    return re.split(r"(?<=[.!?)]) (?=[A-Z(])|\n", message)
