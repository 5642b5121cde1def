"""Making plans in tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.plan import PlanHeader, PlannedRow
from airflow_provider_dotypos.writes.plan_file import open_plan
from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
from airflow_provider_dotypos.writes.planning.planning import MadePlan, make_plan
from airflow_provider_dotypos.writes.sources import source_of


def plan(
    client: DotyposClient,
    folder: Path,
    source: Iterable[Mapping[str, Any]] | Any,
    entity: str = "products",
    match: str = "externalId",
    **arguments: Any,
) -> MadePlan:
    """Make a plan into a folder."""
    asked = PlanArguments.of(entity, match, **arguments)
    return make_plan(client, asked, source_of(source), Store(ObjectStoragePath(str(folder))))


def read(path: str) -> tuple[PlanHeader, list[PlannedRow]]:
    """Return what a plan's file holds."""
    with open_plan(path) as opened:
        return opened.header, [*opened.rows()]
