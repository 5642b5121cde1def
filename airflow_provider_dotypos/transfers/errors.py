"""Errors of transfers that a DAG author can catch; ``exceptions`` exports them."""

from __future__ import annotations

from airflow_provider_dotypos.api.errors import DotyposError


class DamagedSetError(DotyposError, ValueError):
    """A file of a committed set holds other bytes than were written."""


class SetsChangedError(DotyposError):
    """Sets were replaced or removed while their rows were read."""


class PyarrowMissingError(DotyposError, ImportError):
    """Parquet or Arrow was asked for, and pyarrow isn't installed."""


class PandasMissingError(DotyposError, ImportError):
    """A data frame was asked for, and pandas isn't installed."""
