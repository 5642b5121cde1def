"""What a task does with an error: fail at once, run again at a time, or leave it to Airflow's retries."""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, NamedTuple

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposAuthenticationError,
    DotyposConfigurationError,
    DotyposError,
    DotyposPermissionError,
    DotyposRateLimitError,
)

log = logging.getLogger(__name__)

#: How long a throttled task is put off at least, and at most, unless the server says for how long.
_LEAST_WAIT, _MOST_WAIT = timedelta(minutes=5), timedelta(minutes=30)


class Decision(NamedTuple):
    """What a task does with an error.

    :param action: ``fail`` at once, run ``again`` without taking a retry, or Airflow's ``default``: its retries.
    :param at: when it runs again.
    """

    action: Literal["fail", "again", "default"]
    at: datetime | None = None


def decision(error: DotyposError, first_put_off: Callable[[], datetime | None] | None = None) -> Decision:
    """Return what a task does with an error.

    A task fails at once if trying again can't help (a revoked token, a forbidden cloud, a bad request). It runs again
    after a ``Retry-After`` that is too long to hold a slot for.

    :param first_put_off: returns when a task that resumes its work was first put off. Any throttling puts it off.
        Defaults to a task that starts its work again.
    """
    if error.permanent:
        return Decision("fail")
    at = error.retry_at if isinstance(error, DotyposApiError) else None
    if isinstance(error, DotyposApiError) and error.too_long_to_wait:
        return Decision("again", at)
    if first_put_off is not None and (at is not None or isinstance(error, DotyposRateLimitError)):
        # The client has waited out a shorter Retry-After again and again, in vain: the next one is worth no more.
        soonest = datetime.now(timezone.utc) + _growing_wait(first_put_off())
        return Decision("again", soonest if at is None else max(at, soonest))
    return Decision("default")


def _growing_wait(first_put_off: datetime | None) -> timedelta:
    """Return how long to put a task off at least: as long as it has been put off so far, within limits.

    So the waits double, and soon pass half an hour together, which is the longest window that limits are known to have.
    The jitter keeps tasks apart that were put off together.
    """
    waited = timedelta(0) if first_put_off is None else datetime.now(timezone.utc) - first_put_off
    return min(max(waited, _LEAST_WAIT), _MOST_WAIT) * random.uniform(1, 1.1)


@contextmanager
def airflow_failures(conn_id: str, resumed: Any = None) -> Iterator[None]:
    """Have Airflow do with an error what `decision` says.

    :param conn_id: the connection used, named where it may be what is wrong.
    :param resumed: the context of a task that resumes its work where it ended.
    """
    try:
        yield
    except DotyposError as error:
        action, at = decision(error, None if resumed is None else functools.partial(_airflow.first_put_off, resumed))
        if action == "fail":
            connection_errors = (DotyposAuthenticationError, DotyposConfigurationError, DotyposPermissionError)
            named = f" (connection {conn_id!r})" if isinstance(error, connection_errors) else ""
            raise _compat.fail_exception()(f"{error}{named}") from error
        if at is not None:
            until = f"{at:%F %T %Z}"
            log.warning("%s The task gives its slot back until %s. That takes none of its retries.", error, until)
            raise _compat.reschedule_exception(at) from error
        raise
