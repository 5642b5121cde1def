"""What a row says about its planned write: done, to be sent, or in conflict. Three-way comparison, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict


def judge(entity: Entity, planned: PlannedRow, now: Mapping[str, Any] | None, cloud_id: int) -> Verdict | None:
    """Return the verdict on an update or a delete as its row stands; ``None`` if the write is to be sent.

    :param now: the row as it was just read; ``None`` if there is none.
    :param cloud_id: the plan's cloud.
    """
    raise NotImplementedError
