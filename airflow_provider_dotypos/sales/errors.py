"""What the checks of sales raise; ``exceptions`` exports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_dotypos.api.errors import DotyposError


class DotyposSalesReportError(DotyposError):
    """A table or files don't hold the sales that the API's sales report shows.

    :ivar differences: the days that differ, as the operator returns them.
    """

    def __init__(self, message: str, differences: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.differences = differences


class DotyposFreshnessError(DotyposError):
    """A branch has had no sale for too long, or what was loaded doesn't reach far enough to tell.

    :ivar branches: the branches that it is about, as the operator returns them.
    """

    def __init__(self, message: str, branches: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.branches = branches
