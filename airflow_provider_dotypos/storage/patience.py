"""Which failures of an object store are worth another try, when, and for how long: as faults of the API are."""

from __future__ import annotations

import errno
import ssl
import time
from collections.abc import Iterator
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_random_exponential

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.retry import Patience

log = list_log(__name__)

#: Seconds for which a killed task may still use its stores.
HURRIED = 20.0


class StoreFailedError(OSError):
    """An object store failed in a way of its own, and trying again didn't help: what led to it is its cause."""


#: Errors that another try doesn't cure: a file is missing, exists already or may not be touched; a disk is full.
_LASTING = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_LASTING_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSYS})

#: What a mistake in a program raises.
_MISTAKES = (
    MemoryError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    NameError,
    ImportError,
    NotImplementedError,
)

#: Words in the names of stores' errors: there is no way in, or what was asked for can't be right.
_LASTING_WORDS = ("Credential", "Authentication", "Profile", "SSO", "NoAuthToken", "NoRegion", "ParamValidation")


def is_passing(error: BaseException) -> bool:
    """Return whether the same operation on a store may succeed soon.

    Stores have errors of their own (botocore's, gcsfs's, Azure's), which can't all be known. So what isn't known to
    last is tried again.
    """
    if not isinstance(error, Exception) or isinstance(error, (DotyposError, StoreFailedError, *_LASTING)):
        return False
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _chain(error)):
        return False
    if isinstance(error, OSError):
        return error.errno not in _LASTING_ERRNOS
    if isinstance(error, _MISTAKES):
        return False
    kind = type(error).__name__
    return not any(word in kind for word in _LASTING_WORDS)


def is_foreign(error: Exception) -> bool:
    """Return whether an error is of a store's own library: neither an OSError, nor ours, nor a mistake in a program."""
    return not isinstance(error, (OSError, DotyposError, *_MISTAKES))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class StorePatience:
    """How long operations on a store are tried again; shared by all threads that use it."""

    def __init__(self) -> None:
        self._ends: float | None = None

    def hurry(self) -> None:
        """Give all operations together a few seconds more, and no wait beyond (safe in a signal's handler)."""
        self._ends = time.monotonic() + HURRIED

    def policy(self) -> Retrying:
        """Return the retry policy of one operation: then its last error is raised."""
        begun = time.monotonic()

        def is_over(state: RetryCallState) -> bool:
            ends = begun + Patience().faults
            if self._ends is not None:
                ends = min(ends, self._ends)
            return time.monotonic() + state.upcoming_sleep > ends

        return Retrying(
            retry=retry_if_exception(is_passing),
            wait=wait_random_exponential(multiplier=0.5, max=30),
            stop=is_over,
            sleep=self._sleep,
            before_sleep=_log_retry,
            reraise=True,
        )

    def _sleep(self, seconds: float) -> None:
        """Wait; less, if there is hurry meanwhile."""
        until = time.monotonic() + seconds
        while (left := min(until, self._ends or until) - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))


def _log_retry(state: RetryCallState) -> None:
    error: Any = state.outcome.exception() if state.outcome else None
    log.warning(
        "The store failed. Trying again in %.1f s (try %d): %s: %s",
        state.upcoming_sleep,
        state.attempt_number + 1,
        type(error).__name__,
        error,
    )
