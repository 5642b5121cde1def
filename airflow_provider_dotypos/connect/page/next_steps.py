"""What a person does once a connection works: a DAG to copy, and the provider's documentation."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, metadata

from airflow_provider_dotypos.connect import pages
from airflow_provider_dotypos.provider_info import provider_info


def write_first_dag(conn_id: str) -> str:
    """Return the source of README's first DAG with a connection of its own."""
    return pages.render(
        "first_dag.py.jinja",
        conn_id=_literal(conn_id),
        dag_id=_literal(f"{re.sub(r'[^a-zA-Z0-9_.-]', '_', conn_id)[:200]}_orders"),
    )


def _literal(text: str) -> str:
    """Return a text as Python writes it between double quotes."""
    return json.dumps(text, ensure_ascii=False)


def find_documentation() -> str | None:
    """Return the address of the provider's documentation, as the installed package names it."""
    try:
        addresses = metadata(provider_info()["package-name"]).get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a folder that isn't installed
        return None
    named = dict(address.split(", ", 1) for address in addresses if ", " in address)
    return named.get("Documentation")
