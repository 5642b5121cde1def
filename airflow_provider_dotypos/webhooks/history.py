"""When webhooks last delivered: the asset events that they have made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

#: Among how many events of an asset the last delivery is looked for: a watcher may have made newer ones.
LATEST = 200


def last_deliveries(uris: Iterable[str]) -> dict[str, datetime | None]:
    """Return when webhooks last delivered, by the URIs of those assets that Airflow knows; ``None`` for never."""
    with create_session() as session:
        known = session.scalars(select(AssetModel.uri).where(AssetModel.uri.in_(list(uris))))
        return {uri: _last_delivery(session, uri) for uri in set(known)}


def _last_delivery(session: Session, uri: str) -> datetime | None:
    of_asset = select(AssetEvent.timestamp, AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
    latest = of_asset.where(AssetModel.uri == uri).order_by(AssetEvent.id.desc()).limit(LATEST)
    for timestamp, extra in session.execute(latest):
        if _is_delivery(extra):
            moment: datetime = timestamp.astimezone(timezone.utc)
            return moment
    return None


def _is_delivery(extra: Any) -> bool:
    """Return whether an event is of a webhook. Anybody may make events, with anything in them."""
    payload = extra.get("payload") if isinstance(extra, dict) else None
    return isinstance(payload, dict) and payload.get("source") == "webhook"
