"""Apache Airflow provider for the Dotypos (Dotykačka) point-of-sale cloud.

What DAGs import is here, by short names: ``from airflow_provider_dotypos import DotyposHook``. A name's module is
imported when the name is first asked for, because Airflow imports this package in every process for its metadata.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: The short names, each with the module that defines it. The imports below say the same to type checkers.
_SHORT_NAMES = {
    "CommittedSet": "transfers.manifest",
    "DotyposApplyPlanOperator": "operators.apply_plan",
    "DotyposCompactOperator": "operators.compact",
    "DotyposEntitiesToObjectStorageOperator": "transfers.dotypos_entities_to_object_storage",
    "DotyposEntitiesToSqlOperator": "transfers.dotypos_entities_to_sql",
    "DotyposEntityEventTrigger": "triggers.entity_event",
    "DotyposEntitySensor": "sensors.dotypos",
    "DotyposEraseCustomerOperator": "operators.erase_customer",
    "DotyposFailureNotifier": "notifications.failure",
    "DotyposFreshnessCheckOperator": "operators.freshness_check",
    "DotyposHook": "hooks.dotypos",
    "DotyposOperator": "operators.dotypos",
    "DotyposPlanWritesOperator": "operators.plan_writes",
    "DotyposPosActionOperator": "operators.pos_action",
    "DotyposPruneOperator": "operators.prune",
    "DotyposRetryPolicy": "retry_policies",
    "DotyposSalesReportCheckOperator": "operators.sales_report_check",
    "DotyposStockOperator": "operators.stock",
    "DotyposToObjectStorageOperator": "transfers.dotypos_to_object_storage",
    "DotyposToSqlOperator": "transfers.dotypos_to_sql",
    "DotyposWebhookOperator": "operators.webhooks",
    "DotyposWriteOperator": "operators.write",
    "Sql": "writes.sources",
    "changed_window": "assets",
    "dotypos_asset": "assets",
    "failure_message": "notifications.failure",
    "failure_subject": "notifications.failure",
    "queued_change": "webhooks.queued",
    "read_entity": "lake.current",
    "read_manifest": "transfers.manifest",
    "removed_ids": "transfers.snapshots",
}

__all__ = list(_SHORT_NAMES)

if TYPE_CHECKING:
    from airflow_provider_dotypos.assets import changed_window as changed_window
    from airflow_provider_dotypos.assets import dotypos_asset as dotypos_asset
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook as DotyposHook
    from airflow_provider_dotypos.lake.current import read_entity as read_entity
    from airflow_provider_dotypos.notifications.failure import DotyposFailureNotifier as DotyposFailureNotifier
    from airflow_provider_dotypos.notifications.failure import failure_message as failure_message
    from airflow_provider_dotypos.notifications.failure import failure_subject as failure_subject
    from airflow_provider_dotypos.operators.apply_plan import DotyposApplyPlanOperator as DotyposApplyPlanOperator
    from airflow_provider_dotypos.operators.compact import DotyposCompactOperator as DotyposCompactOperator
    from airflow_provider_dotypos.operators.dotypos import DotyposOperator as DotyposOperator
    from airflow_provider_dotypos.operators.erase_customer import (
        DotyposEraseCustomerOperator as DotyposEraseCustomerOperator,
    )
    from airflow_provider_dotypos.operators.freshness_check import (
        DotyposFreshnessCheckOperator as DotyposFreshnessCheckOperator,
    )
    from airflow_provider_dotypos.operators.plan_writes import DotyposPlanWritesOperator as DotyposPlanWritesOperator
    from airflow_provider_dotypos.operators.pos_action import DotyposPosActionOperator as DotyposPosActionOperator
    from airflow_provider_dotypos.operators.prune import DotyposPruneOperator as DotyposPruneOperator
    from airflow_provider_dotypos.operators.sales_report_check import (
        DotyposSalesReportCheckOperator as DotyposSalesReportCheckOperator,
    )
    from airflow_provider_dotypos.operators.stock import DotyposStockOperator as DotyposStockOperator
    from airflow_provider_dotypos.operators.webhooks import DotyposWebhookOperator as DotyposWebhookOperator
    from airflow_provider_dotypos.operators.write import DotyposWriteOperator as DotyposWriteOperator
    from airflow_provider_dotypos.retry_policies import DotyposRetryPolicy as DotyposRetryPolicy
    from airflow_provider_dotypos.sensors.dotypos import DotyposEntitySensor as DotyposEntitySensor
    from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import (
        DotyposEntitiesToObjectStorageOperator as DotyposEntitiesToObjectStorageOperator,
    )
    from airflow_provider_dotypos.transfers.dotypos_entities_to_sql import (
        DotyposEntitiesToSqlOperator as DotyposEntitiesToSqlOperator,
    )
    from airflow_provider_dotypos.transfers.dotypos_to_object_storage import (
        DotyposToObjectStorageOperator as DotyposToObjectStorageOperator,
    )
    from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator as DotyposToSqlOperator
    from airflow_provider_dotypos.transfers.manifest import CommittedSet as CommittedSet
    from airflow_provider_dotypos.transfers.manifest import read_manifest as read_manifest
    from airflow_provider_dotypos.transfers.snapshots import removed_ids as removed_ids
    from airflow_provider_dotypos.triggers.entity_event import DotyposEntityEventTrigger as DotyposEntityEventTrigger
    from airflow_provider_dotypos.webhooks.queued import queued_change as queued_change
    from airflow_provider_dotypos.writes.sources import Sql as Sql
else:  # a type checker that saw this would take every name for one of the package

    def __getattr__(name: str) -> Any:
        if name not in _SHORT_NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_SHORT_NAMES[name]}"), name)
        globals()[name] = value  # asked for once
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_SHORT_NAMES})


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow learns of this provider (entry point ``apache_airflow_provider``)."""
    from airflow_provider_dotypos.provider_info import provider_info

    return provider_info()
