"""When Airflow tries a task again that has failed with one of this provider's errors (Airflow 3.3)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.hooks.failures import decision, first_dotypos_error

if TYPE_CHECKING:
    from airflow.sdk import Context


class DotyposRetryPolicy(_compat.retry_policy()):  # type: ignore[misc]  # its base depends on the version
    """Retry a task when Dotypos says, and not at all when that can't help.

    It is for tasks that call `DotyposHook` themselves; this provider's operators do the same without it. A revoked
    token, a forbidden cloud, a bad request or a write of unknown outcome fails the task at once, whatever its retries.
    After a ``Retry-After``, or when the connection's request budget is used up, the task is tried again when that is
    over, and up to a tenth of the wait later. Everything else is left to the task's ``retries`` and ``retry_delay``,
    and no task is tried more often than its ``retries`` allow.

    An error of another kind counts as the first of this provider's errors in its ``__cause__`` or ``__context__``.

    :param longest_wait: the longest wait for the next try, without that tenth. Defaults to an hour.
    :raises DotyposInputError: if this Airflow has no retry policies (3.1 and 3.2), or `longest_wait` isn't a time.
    """

    def __init__(self, longest_wait: timedelta = timedelta(hours=1)) -> None:
        if not _compat.has_retry_policies():
            raise DotyposInputError(
                "DotyposRetryPolicy needs Airflow 3.3, which has retry policies. Here, omit retry_policy. This "
                "provider's operators do the same without one; in a @task of your own, catch DotyposError, and raise "
                "AirflowFailException if its permanent is true, or AirflowRescheduleException with its retry_at, "
                "unless that is None"
            )
        if not isinstance(longest_wait, timedelta) or longest_wait <= timedelta(0):
            raise DotyposInputError(f"longest_wait must be a timedelta of more than 0, not {longest_wait!r}")
        self.longest_wait = longest_wait

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> Any:
        """Return what Airflow does about a failed try.

        :param exception: what ended the try.
        :param try_number: which try it was, from 1 on.
        :param max_tries: how many tries the task has.
        :param context: the task's context. It isn't used.
        """
        retry_decision = _compat.retry_decision()
        error = first_dotypos_error(exception)
        if error is None:
            return retry_decision.default()
        kind = type(error).__name__
        action, at = decision(error)
        if action == "fail":
            return retry_decision.fail(reason=f"{kind}: trying again can't help")
        # The client has waited out a short Retry-After in vain. The next try still needn't come before it is over.
        at = at or error.retry_at
        if at is None:
            return retry_decision.default()
        delay = self._wait_until(at)
        return retry_decision.retry(delay=delay, reason=f"{kind}: the next try may succeed from {at:%F %T %Z} on")

    def serialize(self) -> dict[str, Any]:
        """Return the policy as JSON can hold it."""
        return {"longest_wait": self.longest_wait.total_seconds()}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> DotyposRetryPolicy:
        """Return the policy that `serialize` has described.

        :param data: what `serialize` returned.
        """
        return cls(timedelta(seconds=data["longest_wait"]))

    def _wait_until(self, at: datetime) -> timedelta:
        """Return how long to wait until a time. The jitter keeps tasks apart that are to wait for the same one."""
        wait = min(max(at - datetime.now(timezone.utc), timedelta(0)), self.longest_wait)
        return wait * random.uniform(1, 1.1)
