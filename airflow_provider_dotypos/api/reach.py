"""How far a failure reaches: one call, a list, or all calls by the same connection; and failures of several lists."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_dotypos.api import retry_table
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposAuthenticationError,
    DotyposCancelledError,
    DotyposConfigurationError,
    DotyposConnectionError,
    DotyposEnvironmentError,
    DotyposError,
    DotyposPermissionError,
    DotyposRateLimitError,
    DotyposTlsError,
)
from airflow_provider_dotypos.api.refusals import STALE_TOKEN_CODES

#: What any other call would meet now, too.
_OF_ALL = (
    DotyposAuthenticationError,
    DotyposCancelledError,
    DotyposConfigurationError,
    DotyposEnvironmentError,
    DotyposRateLimitError,
    DotyposTlsError,
)

#: Reasons of a 403 that are of the token or of the cloud, whatever was asked for.
_OF_TOKEN = STALE_TOKEN_CODES | {"CLOUD_FORBIDDEN"}


class DotyposListsError(DotyposError):
    """Some of the lists that a task extracts have failed.

    :ivar failures: what ended each, by the entity's name.
    """

    def __init__(self, message: str, failures: Mapping[str, DotyposError]) -> None:
        super().__init__(message)
        self.failures = failures

    @property
    def reasons(self) -> frozenset[str]:
        """All that is known of why they failed."""
        incurable = all(error.permanent for error in self.failures.values())
        return frozenset({retry_table.INCURABLE}) if incurable else frozenset()


def concerns_all_calls(error: DotyposError) -> bool:
    """Return whether any other call by the same connection would fail alike now, or the database is away."""
    if isinstance(error, _OF_ALL) or error.too_long_to_wait or error.reason == retry_table.DATABASE_LOST:
        return True
    if isinstance(error, DotyposApiError):
        of_cloud = error.path.rpartition("/")[0].endswith("/clouds")
        return of_cloud or error.refusal.sign_in is not None or error.reason in _OF_TOKEN
    return isinstance(error, DotyposConnectionError) and error.unreachable


def forbids_one_list(error: BaseException) -> bool:
    """Return whether the token may not read a list, whereas it may do other things.

    A 403 without a body may pass, so it isn't believed to forbid anything.
    """
    return isinstance(error, DotyposPermissionError) and error.permanent and not concerns_all_calls(error)
