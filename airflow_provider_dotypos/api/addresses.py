"""The addresses that a connection's webhooks have, and whose webhook an address shows.

An address is a secret: who knows it can deliver. People are shown it without its token.

https://docs.api.dotypos.com/others/webhook
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import SplitResult

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.paths import split_address
from airflow_provider_dotypos.api.settings import Settings, is_loopback
from airflow_provider_dotypos.api.webhooks import DeliveryAddress, delivery_path, delivery_token, read_delivery_path
from airflow_provider_dotypos.provider_info import WEBHOOKS_PATH

_HOW_TO_SET = (
    "set [api] base_url (AIRFLOW__API__BASE_URL) to the address at which Dotypos reaches Airflow, or give base_url: "
    "that address, or the one of what puts deliveries into a queue for Airflow"
)


#: What an address is to a connection: its own today, or with the token of a former secret, or with today's token below
#: another base URL (a former one, or that of another Airflow with the same connection), or somebody else's.
AddressState: TypeAlias = Literal["current", "outdated", "elsewhere", "other"]


class KnownAddress(NamedTuple):
    """What a webhook's address says.

    :param shown: the address for people: of one like ours without its token, of another its host alone.
    :param entity: the list, unless it is somebody else's.
    """

    shown: str
    state: AddressState = "other"
    entity: str | None = None


@dataclass(frozen=True)
class Addresses:
    """The addresses at which a cloud's changes are delivered to one connection.

    :param base_url: where Dotypos reaches this Airflow, or what puts deliveries into a queue for it; ``None`` if that
        isn't known.
    :param on_token: receives every token, so that it can be masked.
    """

    settings: Settings
    conn_id: str
    base_url: str | None
    on_token: Callable[[str], None]

    def of(self, entity: str) -> str:
        """Return a list's address, which is a secret.

        :raises DotyposInputError: if Dotypos can't deliver there.
        """
        path = delivery_path(self.conn_id, self.settings.require_cloud_id(), entity, self._token(entity))
        if read_delivery_path(path) is None:
            raise DotyposInputError(
                "the id of a connection with webhooks is part of their addresses: it must have up to 200 letters (a-z, "
                "A-Z), digits and the characters _ - . and not begin with a dot. Copy the connection under such an id"
            )
        return f"{self.require_base_url()}{WEBHOOKS_PATH}{path}"

    def require_base_url(self) -> str:
        """Return the one form of the base URL.

        :raises DotyposInputError: if Dotypos can't deliver to it.
        """
        if self.base_url is None or self.base_url == "":
            raise DotyposInputError(f"nothing says where Dotypos delivers: {_HOW_TO_SET}")
        parts = parse_base_url(self.base_url)
        if not self.settings.base_url.startswith("http://"):  # only a sandbox is reached so
            if is_loopback(str(parts.hostname)):
                raise DotyposInputError(
                    f"Dotypos can't reach {parts.hostname}, which is this Airflow's own name for itself: {_HOW_TO_SET}"
                )
            if parts.scheme == "http":
                raise DotyposInputError(
                    "base_url must start with https://. By http, anybody in between could read what is delivered, and "
                    "deliver, too"
                )
        return _plain(parts)

    def read(self, url: str) -> KnownAddress:
        """Return what a webhook's address says. An address of ours has this connection's id and cloud."""
        # The API may write an address in a form of its own [U]. And a connection may have the name of our path.
        base, *path = url.strip().rstrip("/").rsplit("/", len(DeliveryAddress._fields))
        address = read_delivery_path(f"/{'/'.join(path)}") if base.endswith(WEBHOOKS_PATH) else None
        parts = split_address(base.removesuffix(WEBHOOKS_PATH))
        if address is None or parts is None:
            return KnownAddress(_host_of(url))
        shown = f"{_plain(parts)}{WEBHOOKS_PATH}{address._replace(token='***').path}"
        own = split_address(self.base_url or "")
        is_here = own is not None and _plain(own) == _plain(parts)
        is_ours = (address.conn_id, address.cloud_id) == (self.conn_id, self.settings.cloud_id)
        if is_ours and hmac.compare_digest(address.token, self._token(address.entity)):
            return KnownAddress(shown, "current" if is_here else "elsewhere", address.entity)
        if is_ours and is_here:
            return KnownAddress(shown, "outdated", address.entity)
        return KnownAddress(shown)

    def _token(self, entity: str) -> str:
        token = delivery_token(self.settings, self.settings.require_cloud_id(), entity)
        self.on_token(token)
        return token


def parse_base_url(base_url: object) -> SplitResult:
    """Return the parts of a base URL, whatever connection it is for.

    :raises DotyposInputError: if it isn't one.
    """
    parts = split_address(base_url) if isinstance(base_url, str) else None
    if parts is None or parts.username or parts.password or parts.query or parts.fragment:
        raise DotyposInputError(
            "base_url must look like https://airflow.example.com, without blank, user name, password, ? and #"
        )
    return parts


def _plain(parts: SplitResult) -> str:
    """Return the one form of a base URL, without a user."""
    port = f":{parts.port}" if parts.port not in (None, {"https": 443, "http": 80}[parts.scheme]) else ""
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def _host_of(address: str) -> str:
    """Return an address of somebody else's for people: what follows the host may be a secret."""
    parts = split_address(address)
    return "unreadable" if parts is None else f"{_plain(parts._replace(path=''))}/…"
