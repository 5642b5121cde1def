"""What a working connection can be used for: whether the clocks agree, and which lists it may read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.api.errors import DotyposError, DotyposPermissionError
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.reading import Reader

#: Seconds that this machine's clock may be off. The connector accepts a signature for about a minute [D2].
_CLOCK_MAY_BE_OFF = 30.0


@dataclass(frozen=True)
class Check:
    """One check and its result.

    :param result: ``ok``, ``readable``, ``empty``, ``skipped``, ``unknown``; or ``off``, ``refused``, ``failed``.
    """

    check: str
    result: str
    detail: str = ""

    @property
    def needs_attention(self) -> bool:
        """Whether a person should act on it."""
        return self.result in ("off", "refused", "failed")

    def row(self) -> dict[str, str]:
        """Return the check as a row to print."""
        return asdict(self)


def check_access(client: DotyposClient, cloud: str) -> list[Check]:
    """Check what a working connection can be used for, by reading one row of each list.

    :param cloud: a sentence about the cloud.
    """
    signed_in = Check("sign-in", "ok", f"Signed in at {client.settings.base_url}")
    lists = [check_list(Reader(client), entity) for entity in entities().values() if entity.listed]
    return [signed_in, Check("cloud", "ok", cloud), _clock(client), *lists]


def _clock(client: DotyposClient) -> Check:
    """Compare this machine's clock with the server's: the connector refuses signatures of a wrong clock."""
    seconds = client.call("GET", f"/clouds/{client.settings.cloud_id}", decode=_seconds_ahead)
    if seconds is None:
        return Check("clock", "unknown", "The server doesn't show its time")
    if abs(seconds) <= _CLOCK_MAY_BE_OFF:
        return Check("clock", "ok", f"{abs(seconds):.0f} s off the server's")
    side = "ahead of" if seconds > 0 else "behind"
    return Check(
        "clock",
        "off",
        f"This machine is {abs(seconds):.0f} s {side} the server: set its clock (NTP), or connecting a cloud fails",
    )


def _seconds_ahead(answer: Answer) -> float | None:
    """Return by how many seconds this machine's clock is ahead of the one that dated the answer."""
    now = datetime.now(timezone.utc)
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    if date.tzinfo is None:
        return None
    # A Date is cut to whole seconds, so the server's clock is half a second ahead of it on average.
    return (now - date).total_seconds() - 0.5


def check_list(reader: Reader, entity: Entity) -> Check:
    """Read one row of a list, and return whether it may be read."""
    try:
        place: dict[str, Any] = {}
        if entity.parent is not None:
            parent = next(reader.rows(entity.parent.entity, limit=1), None)
            if parent is None:
                return Check(entity.name, "skipped", f"There is no {entity.parent.noun} to look in")
            place = {entity.parent.argument: parent["id"]}
        row = next(reader.rows(entity.name, limit=1, **place), None)
    except DotyposPermissionError as error:
        return Check(entity.name, "refused", str(error))
    except DotyposError as error:
        return Check(entity.name, "failed", str(error))
    return Check(entity.name, "empty" if row is None else "readable")
