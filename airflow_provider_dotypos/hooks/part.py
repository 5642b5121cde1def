"""What parts of ``DotyposHook`` take from the whole."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.client import DotyposClient


class HookPart:
    """The base of the hook's parts. ``DotyposHook`` implements it."""

    def get_conn(self) -> DotyposClient:
        """Return the client, see ``DotyposHook``."""
        raise NotImplementedError

    def _errors(self) -> AbstractContextManager[None]:
        """Name the connection in errors."""
        raise NotImplementedError

    def _report(self, entity: str) -> None:
        """Report to lineage that a list was read."""
        raise NotImplementedError
