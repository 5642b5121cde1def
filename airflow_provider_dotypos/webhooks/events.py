"""The asset event of what deliveries have said: stored in Airflow's database, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetDagRunQueue, AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import ScalarResult, select, update
from sqlalchemy.orm import Session

from airflow_provider_dotypos.webhooks.deliveries import DeliveredList, Deliveries, Outcome
from airflow_provider_dotypos.webhooks.notices import notices

#: Among how many events of an asset repeats are looked for.
LATEST = 50

#: Most digests of rows that an event holds.
MOST_DIGESTS = 100


def store_event(delivered: DeliveredList, deliveries: Deliveries) -> Outcome:
    """Store the event of a list's deliveries, unless other events hold all of it. Raises nothing."""
    try:
        with create_session() as session:
            return _store(session, delivered, deliveries)
    except Exception as error:  # of a database that is locked or gone, of somebody's listener or asset manager
        # No text of it: that of a database holds the statement's values.
        notices.warn(f"an event of {delivered.uri} couldn't be stored: {type(error).__name__}")
        return Outcome.FAILED


def _store(session: Session, delivered: DeliveredList, deliveries: Deliveries) -> Outcome:
    # Airflow keeps assets that no DAG names any more. It makes an event for those, too, so that a DAG that is broken
    # for a while misses none.
    asset = session.scalar(
        select(AssetModel)
        .where(AssetModel.uri == delivered.uri)
        .order_by(AssetModel.active.has().desc(), AssetModel.id.desc())
        .limit(1)
    )
    if asset is None:
        notices.warn(f"no DAG names the asset {delivered.uri} yet, so deliveries start nothing")
        return Outcome.UNNAMED
    asset_id = asset.id
    _take_turn(session, asset_id)
    digests, keys = _read_latest(session, asset_id)
    fresh = deliveries.change(digests, keys)
    if fresh is None:
        return Outcome.REPEATED
    change, rows = fresh
    event = asset_manager.register_asset_change(
        asset=asset,
        extra={
            "from_webhook": True,
            "payload": change.payload(delivered.cloud_id, delivered.entity, "webhook"),
            "rows": rows if len(rows) <= MOST_DIGESTS else [],
        },
        session=session,
        # Airflow 3.3 lets a team's events start the DAGs that core's own POST would let them start.
        source_is_api=delivered.teams is not None,
        api_user_teams=set(delivered.teams or ()),
    )
    if event is None:
        raise LookupError("the asset manager has made no event")
    _wake(session, asset_id)
    return Outcome.STORED


def _take_turn(session: Session, asset_id: int) -> None:
    """Wait until no other API server stores an event of the asset, and no scheduler makes a run of what is queued.

    Updates that change nothing lock rows in every database, and all of SQLite.
    """
    asset, queue = update(AssetModel), update(AssetDagRunQueue)
    session.execute(asset.where(AssetModel.id == asset_id).values(updated_at=AssetModel.updated_at))
    session.execute(queue.where(AssetDagRunQueue.asset_id == asset_id).values(created_at=AssetDagRunQueue.created_at))


def _read_latest(session: Session, asset_id: int) -> tuple[set[str], set[str]]:
    """Return what the asset's latest events hold: digests of rows, and keys."""
    latest: ScalarResult[Any] = session.scalars(
        select(AssetEvent.extra).where(AssetEvent.asset_id == asset_id).order_by(AssetEvent.id.desc()).limit(LATEST)
    )
    digests: set[str] = set()
    keys: set[str] = set()
    # Anybody may make events of an asset, with anything in them.
    for extra in (extra for extra in latest if isinstance(extra, dict)):
        payload = extra.get("payload")
        if isinstance(payload, dict):
            keys.add(str(payload.get("key")))
            digests.update(map(str, _items(extra.get("rows"))))
    return digests, keys


def _wake(session: Session, asset_id: int) -> None:
    """Have the DAG runs to come take the event in.

    A run takes in events up to the time when its asset was queued. A second event doesn't move that time, so it would
    wait for a third one.
    """
    queued = AssetDagRunQueue.asset_id == asset_id
    session.execute(update(AssetDagRunQueue).where(queued).values(created_at=datetime.now(timezone.utc)))


def _items(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
