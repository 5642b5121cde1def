"""Comparing snapshots: what DAGs import. The comparison itself is in ``files.snapshots``."""

from airflow_provider_dotypos.transfers.files.snapshots import removed_ids

__all__ = ["removed_ids"]
