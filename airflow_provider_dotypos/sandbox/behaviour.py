"""Switches for what is unknown of the real API. A client should work in every position of each.

Marks: [D] documented, [D2] documented second-hand, [Cn] seen in n clients, [A] assumed, [U] unknown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

#: The positions of each switch that has a fixed set, the default first.
CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "timestamp_precision": ("ms", "s"),
        "timestamp_zone": ("Z", "+0000", "+01:00"),
        "ties": ("stable", "shuffled"),
        "deleted_null": ("live", "excluded"),
        "allow_version": ("honoured", "ignored"),
        "next_page": ("filled", "null"),
        "nulls": ("null", "omitted"),
        "numbers": ("text", "number"),
        "over_limit": ("refused", "cut"),
        "order_version_moves_with_items": (False, True),
    }
)

#: The same of the switches that only a write finds out, a POS action and a warehouse operation included.
WRITE_CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "own_ids": ("taken", "refused", "unknown"),
        "list_creates": ("free", "guarded"),
        "refused_lists": ("whole", "partly"),
        "price_coupling": ("prices", "vat", "none"),
        "unknown_fields": ("refused", "ignored", "taken"),
        "read_only_fields": ("ignored", "refused", "taken"),
        "if_match_star": ("mismatch", "match"),
        "etags": ("unique", "recurring"),
        "version_in_body": ("checked", "ignored"),
        "undelete": ("applied", "ignored", "refused"),
        "external_ids": ("free", "unique"),
        "filter_escapes": ("none", "backslash"),
        "violation_paths": ("indexed", "bare", "path"),
        "delete_if_match": ("ignored", "checked", "required"),
        "idempotency_key": ("echoed", "honoured"),
        "pos_validity": ("s", "ms"),
        "status_host": ("api", "foreign"),
        "stock_taking": ("absolute", "dated"),
    }
)

#: The same of the switches that show in deliveries of webhooks only, which no request finds out.
DELIVERY_CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType({"delivered_ids": ("number", "text", "exponent")})


@dataclass(frozen=True)
class Behaviour:
    """One way the API may behave. The defaults are the best known one.

    :param timestamp_precision: the precision of times in answers, ``ms`` or ``s``. Rows and filters stay exact [U].
    :param timestamp_zone: the form of the zone in answers: ``Z``, ``+0000`` or ``+01:00`` [U].
    :param ties: the order of rows that are equal under the sort: ``stable``, or ``shuffled`` at every request [U].
        Without a sort all rows are equal. No entity can be sorted by ``id`` [D2].
    :param deleted_null: whether ``deleted|in|0,1`` returns rows whose ``deleted`` is null (``live``) or omits them
        (``excluded``). A null counts as not deleted [D]; its effect here is unknown [U].
    :param commit_lag: seconds between a row's version date and the moment from which it can be read. Until then its
        earlier state is read. Some seconds have been seen [C2]; how many is unknown [U].
    :param allow_version: whether lists respect ``Allow-Version: BC1``, by which an empty list is 200, not 404 [D,
        contradicted].
    :param next_page: ``nextPage`` on lists without totals (orders, order items): filled after a full page [C3, A], or
        always null [U].
    :param nulls: whether fields without a value are ``null`` or omitted [U].
    :param numbers: whether numbers come as JSON ``text`` [D, C7] or as real numbers [U].
    :param over_limit: whether a ``limit`` above 100 is refused or cut to 100 [C1, A]. Refusing is the strict choice.
    :param order_version_moves_with_items: whether an order's version date moves when one of its items or payments
        changes [U].
    :param nested_lists: the most rows that a list nested by ``include`` shows. Shows all by default; whether it does is
        unknown [U].
    :param unsortable: fields by which lists can't be sorted (400) although the documents say so, such as
        ``tables.locationName``. Whether the documents are right about each field is unknown [U].
    :param added_fields: fields that rows of lists have and no document names, such as ``orders.loyaltyTier``. Their
        values are text. The API adds fields without notice [A].
    :param changed_types: documented fields whose values are of another type, such as ``products.vat``: an object that
        holds the value [A].
    :param delivered_ids: how deliveries of webhooks write ids: as a ``number`` [D, C2], as ``text`` [C1], or large ones
        as an ``exponent`` such as 4.10e+15, which has lost digits [D].
    :param delivery_tries: how often a delivery is tried that isn't answered by 2xx. Whether it is repeated is unknown
        [U].
    :param own_ids: what a PUT to an id does that no row has: ``taken`` creates the row with it [D2], ``refused`` is a
        400, ``unknown`` a 404 [U].
    :param list_creates: whether a list PUT of new rows alone needs no ``If-Match`` (``free``), or is a 428 without it
        (``guarded``) [U].
    :param refused_lists: what becomes of a list of which a row is refused (400): nothing is stored (``whole``), or the
        rows before it are (``partly``) [U].
    :param price_coupling: what moves a product's prices: one price moves the other (``prices``), a new VAT rate moves
        the price with VAT, too (``vat``), or each is stored as it was sent (``none``) [U].
    :param unknown_fields: what becomes of a body's fields that no document names: ``refused`` with 400 [A],
        ``ignored``, or ``taken`` and returned from then on [U].
    :param read_only_fields: the same of fields that only the server sets: ``ignored`` [A], ``refused`` or ``taken``
        [U]. The id, the cloud and the version date can't be taken.
    :param if_match_star: whether ``If-Match: *`` is a ``mismatch`` (412) or a ``match`` [U].
    :param etags: whether a row that is changed back gets a new ETag (``unique``), or its earlier one
        (``recurring``) [U].
    :param version_in_body: whether a body's ``versionDate`` is ``checked`` (409 if it isn't the row's) [D2] or
        ``ignored`` [U].
    :param undelete: what a body with ``deleted: false`` does to a deleted row: ``applied`` makes it live again,
        ``ignored`` leaves it deleted, ``refused`` is a 400 [U].
    :param external_ids: whether live rows may share an ``externalId`` (``free``), or not (``unique``, 409) [U].
    :param filter_escapes: what escapes ``;``, ``|`` and ``,`` in a filter's value: nothing (``none``), or a
        ``backslash`` [U].
    :param violation_paths: how a 400 names a field of a list's row: with the row's number (``indexed``), without it
        (``bare``), or as an array in place of ``fieldName`` (``path``) [U].
    :param delete_if_match: whether DELETE ignores ``If-Match`` (``ignored``) [D2], refuses one that doesn't match
        (``checked``), or demands it (``required``) [U].
    :param idempotency_key: whether a POS action's ``idempotency-key`` is only ``echoed`` [D2], or ``honoured``: the
        same key again has the first one's result and does nothing [U].
    :param pos_validity: whether a till reads an action's ``validity`` in seconds (``s``), "Unix time" [D2], or in
        milliseconds (``ms``) [C1].
    :param status_host: the host of a stock taking's ``statusWebhookUrl``: that of the ``api``, or a
        ``foreign`` one [U].
    :param stock_taking: what a stock taking of an earlier date does: it sets the stock as it is now (``absolute``), or
        as of its date, so that later movements stay (``dated``) [U].
    """

    timestamp_precision: str = "ms"
    timestamp_zone: str = "Z"
    ties: str = "stable"
    deleted_null: str = "live"
    commit_lag: float = 0.0
    allow_version: str = "honoured"
    next_page: str = "filled"
    nulls: str = "null"
    numbers: str = "text"
    over_limit: str = "refused"
    order_version_moves_with_items: bool = False
    nested_lists: int | None = None
    unsortable: tuple[str, ...] = ()
    added_fields: tuple[str, ...] = ()
    changed_types: tuple[str, ...] = ()
    delivered_ids: str = "number"
    delivery_tries: int = 1
    own_ids: str = "taken"
    list_creates: str = "free"
    refused_lists: str = "whole"
    price_coupling: str = "prices"
    unknown_fields: str = "refused"
    read_only_fields: str = "ignored"
    if_match_star: str = "mismatch"
    etags: str = "unique"
    version_in_body: str = "checked"
    undelete: str = "applied"
    external_ids: str = "free"
    filter_escapes: str = "none"
    violation_paths: str = "indexed"
    delete_if_match: str = "ignored"
    idempotency_key: str = "echoed"
    pos_validity: str = "s"
    status_host: str = "api"
    stock_taking: str = "absolute"

    def __post_init__(self) -> None:
        for name, positions in {**CHOICES, **WRITE_CHOICES, **DELIVERY_CHOICES}.items():
            if getattr(self, name) not in positions:
                raise ValueError(f"{name} must be one of {positions}, not {getattr(self, name)!r}")
        if not 0 <= self.commit_lag < math.inf:
            raise ValueError("commit_lag must be a number of seconds, 0 or more")
        if self.nested_lists is not None and self.nested_lists < 0:
            raise ValueError("nested_lists must be a number of rows, 0 or more")
        for name in ("added_fields", "changed_types"):
            if any(text.count(".") != 1 for text in getattr(self, name)):
                raise ValueError(f"{name} must name fields with their list, such as orders.loyaltyTier")
        if self.delivery_tries < 1:
            raise ValueError("delivery_tries must be 1 or more")

    @classmethod
    def combinations(cls, **fixed: Any) -> Iterator[Behaviour]:
        """Yield every combination of the switches that reads find out, with those in `fixed` as given."""
        free = {name: positions for name, positions in CHOICES.items() if name not in fixed}
        for values in itertools.product(*free.values()):
            yield cls(**dict(zip(free, values, strict=True)), **fixed)

    @classmethod
    def of_writes(cls, **fixed: Any) -> Iterator[Behaviour]:
        """Yield the best known behaviour, and each other position of each switch that writes find out, one at a time.

        :param fixed: switches that all of them have in common.
        """
        yield cls(**fixed)
        for name, positions in WRITE_CHOICES.items():
            for position in positions[1:] if name not in fixed else ():
                yield cls(**{name: position}, **fixed)


#: The best known behaviour.
BEST_KNOWN = Behaviour()
