"""The errors a DAG author can catch, in one place. ``DotyposError`` is the root of them all."""

from airflow_provider_dotypos.api.budget import DotyposBudgetError
from airflow_provider_dotypos.api.errors import (
    DotyposAnswerTooLargeError,
    DotyposApiError,
    DotyposAuthenticationError,
    DotyposCancelledError,
    DotyposClockError,
    DotyposConfigurationError,
    DotyposConflictError,
    DotyposConnectionError,
    DotyposEnvironmentError,
    DotyposError,
    DotyposInputError,
    DotyposMissingTokenError,
    DotyposNotFoundError,
    DotyposPermissionError,
    DotyposPreconditionError,
    DotyposRateLimitError,
    DotyposResponseError,
    DotyposServerError,
    DotyposTlsError,
    DotyposUncertainWriteError,
    DotyposUnreadableAnswerError,
    DotyposValidationError,
    DotyposWalkError,
    DotyposWriteError,
)
from airflow_provider_dotypos.api.pos_errors import DotyposBusyError, DotyposPosActionError, DotyposTillError
from airflow_provider_dotypos.api.reach import DotyposListsError
from airflow_provider_dotypos.sales.errors import DotyposSalesReportError
from airflow_provider_dotypos.transfers.errors import DamagedSetError, PandasMissingError, PyarrowMissingError
from airflow_provider_dotypos.transfers.sql.errors import DotyposDatabaseError
from airflow_provider_dotypos.triggers.errors import DotyposTriggerError
from airflow_provider_dotypos.writes.errors import (
    DotyposApprovalError,
    DotyposLimitError,
    DotyposPlanError,
    DotyposWritesFailedError,
)

__all__ = [
    "DamagedSetError",
    "DotyposAnswerTooLargeError",
    "DotyposApiError",
    "DotyposApprovalError",
    "DotyposAuthenticationError",
    "DotyposBudgetError",
    "DotyposBusyError",
    "DotyposCancelledError",
    "DotyposClockError",
    "DotyposConfigurationError",
    "DotyposConflictError",
    "DotyposConnectionError",
    "DotyposDatabaseError",
    "DotyposEnvironmentError",
    "DotyposError",
    "DotyposInputError",
    "DotyposLimitError",
    "DotyposListsError",
    "DotyposMissingTokenError",
    "DotyposNotFoundError",
    "DotyposPermissionError",
    "DotyposPlanError",
    "DotyposPosActionError",
    "DotyposPreconditionError",
    "DotyposRateLimitError",
    "DotyposResponseError",
    "DotyposSalesReportError",
    "DotyposServerError",
    "DotyposTillError",
    "DotyposTlsError",
    "DotyposTriggerError",
    "DotyposUncertainWriteError",
    "DotyposUnreadableAnswerError",
    "DotyposValidationError",
    "DotyposWalkError",
    "DotyposWriteError",
    "DotyposWritesFailedError",
    "PandasMissingError",
    "PyarrowMissingError",
]
