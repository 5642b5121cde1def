"""Reading a committed set: what DAGs import. The manifest itself is in ``files.manifest``."""

from airflow_provider_dotypos.transfers.files.manifest import CommittedSet, Manifest, Part, manifest_name, read_manifest

__all__ = ["CommittedSet", "Manifest", "Part", "manifest_name", "read_manifest"]
