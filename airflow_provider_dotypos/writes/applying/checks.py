"""Whether a plan may be applied at all: for this cloud, at this API, now, and in this way."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import milliseconds
from airflow_provider_dotypos.writes.applying.options import ApplyOptions
from airflow_provider_dotypos.writes.errors import DotyposPlanError
from airflow_provider_dotypos.writes.plan import PlanHeader


def check_place(header: PlanHeader, settings: Settings) -> None:
    """Raise unless a plan is for the connection's cloud and API.

    :raises DotyposPlanError: if it is for another.
    """
    cloud_id = settings.require_cloud_id()
    if header.cloud_id != cloud_id:
        raise DotyposPlanError(
            f"the plan is for cloud {header.cloud_id}, and {settings.origin_of(cloud_id)} names cloud {cloud_id}: "
            "apply it there, or plan again for this one"
        )
    if header.base_url != settings.base_url:
        raise DotyposPlanError(
            f"the plan was made at {header.base_url}, and the connection is to {settings.base_url}: rows there may "
            "have the same ids and be others. Plan again by this connection"
        )


def check_age(header: PlanHeader, max_age: timedelta, resumed_at: str | None, now: datetime | None = None) -> None:
    """Raise if a plan is too old.

    :param resumed_at: when an attempt that is resumed was broken off, in ISO 8601. A plan that was begun in time may be
        brought to its end, as long as its attempts are no further apart.
    :param now: the time. Defaults to now.
    :raises DotyposPlanError: if it is.
    """
    since = timestamp(resumed_at or header.made_at)
    age = timedelta(milliseconds=milliseconds(now or datetime.now(timezone.utc)) - since)
    if age > max_age:
        what = "its last attempt was broken off" if resumed_at else "it was made"
        raise DotyposPlanError(
            f"the plan is too old: {what} {age // timedelta(minutes=1)} minutes ago, and max_age allows "
            f"{max_age // timedelta(minutes=1)}. Plan again, or raise max_age"
        )


def check_creates(header: PlanHeader, entity: Entity, options: ApplyOptions) -> None:
    """Raise if the rows that a plan creates can't be created as asked.

    :raises DotyposPlanError: if they can't.
    """
    creates = header.counts.get("create", 0)
    if not creates:
        return
    if options.create == "put" and "PUT" not in entity.writes.row_methods:
        raise DotyposPlanError(
            f'{entity.name} can\'t be created under ids of ours, so not exactly once. create="post" creates them by '
            "POST: a row whose answer is lost is looked up by its key, and a request that is carried out very late can "
            "create it twice"
        )
    if options.create == "post" and "POST" not in entity.writes.list_methods:
        raise DotyposPlanError(f"{entity.name} can't be created by POST")
