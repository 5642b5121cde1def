"""What the Test button says: which cloud was reached, or which field of the form is wrong and what to do.

Airflow shows the message unmasked, so it is made of safe parts alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposAuthenticationError,
    DotyposConfigurationError,
    DotyposConnectionError,
    DotyposError,
    DotyposPermissionError,
    DotyposResponseError,
    DotyposTlsError,
)
from airflow_provider_dotypos.api.reading import Reader, Row
from airflow_provider_dotypos.api.retry import Patience

#: Somebody is looking at a spinning button.
_PATIENCE = Patience(faults=4.0, throttling=8.0)

_LISTED_CLOUDS = 10


def check_connection(
    new_client: Callable[[int | str | None, Patience], DotyposClient], cloud_id: int | str | None
) -> tuple[bool, str]:
    """Return whether the connection works, and a sentence for the person who pressed Test."""
    try:
        client = new_client(cloud_id, _PATIENCE)
        if client.settings.cloud_id is None:
            return False, f"Signed in, but Cloud ID is missing. {_offer(Reader(client).clouds())}"
        try:
            cloud = Reader(client).check_cloud()
        except DotyposAuthenticationError:
            return False, _why_refused(client)
        notes = [note for note in ("expired", "restricted", "deleted") if cloud.get(note) is True]
        aside = f"; Dotypos marks it {' and '.join(notes)}" if notes else ""
        return True, f"Connected to cloud {_named(cloud)}{aside}"
    except DotyposConfigurationError as error:
        return False, str(error)
    except DotyposAuthenticationError:
        return False, _WRONG_TOKEN
    except DotyposPermissionError as error:
        return False, f"Signed in, but refused: {error}"
    except DotyposTlsError as error:
        return False, f"TLS failed: {error}"
    except DotyposConnectionError as error:
        return False, f"Dotypos can't be reached; check API base URL, Port, and the network: {error}"
    except (DotyposResponseError, DotyposApiError) as error:
        return False, f"The server at API base URL doesn't answer like Dotypos; check API base URL: {error}"
    except DotyposError as error:
        return False, str(error)


_WRONG_TOKEN = (
    "Refresh Token was refused: it is wrong, revoked, or of another Dotypos server. Connect the cloud anew and store "
    "the token that the connector gives."
)


def _why_refused(client: DotyposClient) -> str:
    """Tell a wrong token from a wrong cloud: sign-in answers 401 to both, but needs no cloud to list the clouds."""
    anyone = DotyposClient(dataclasses.replace(client.settings, cloud_id=None), patience=_PATIENCE)
    try:
        clouds = Reader(anyone).clouds()
    except DotyposAuthenticationError:
        return _WRONG_TOKEN
    return f"Refresh Token is good, but not for Cloud ID {client.settings.cloud_id}. {_offer(clouds)}"


def _offer(clouds: list[Row]) -> str:
    if not clouds:
        return "The token may use no cloud at all; connect a cloud anew."
    listed = ", ".join(_named(cloud) for cloud in clouds[:_LISTED_CLOUDS])
    more = f" and {len(clouds) - _LISTED_CLOUDS} more" if len(clouds) > _LISTED_CLOUDS else ""
    return f"The token may use: {listed}{more}."


def _named(cloud: Row) -> str:
    return f"{str(cloud.get('name') or 'without a name')[:60]} ({cloud.get('id')})"
