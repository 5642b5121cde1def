"""How the audit log describes an edit: which fields changed and, unless they may be secret, from what to what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dotypos.api.redaction import redact, without_user

#: The fields whose values the audit log may show, as Airflow's list of connections does.
_SHOWN = frozenset({"client_id", "cloud_id", "cloud_name", "deleted_filter", "host", "port"})

_LONGEST = 200


def describe_edits(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what became of each field that differs: ``{"old": …, "new": …}``, or ``set``, ``changed``, ``removed``."""
    names = sorted(before.keys() | after.keys())
    return {
        name: _describe(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }


def _describe(name: str, old: Any, new: Any) -> Any:
    if name in _SHOWN:
        return {"old": _shown(old), "new": _shown(new)}
    if new in (None, ""):
        return "removed"
    return "set" if old in (None, "") else "changed"


def _shown(value: Any) -> str | int | None:
    """Return a value without a user name and a password, which an address may hold."""
    if value is None or isinstance(value, int):
        return value
    return without_user(redact(str(value)[:_LONGEST]))
