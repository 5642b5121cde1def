"""``check --probe``: how this cloud's API behaves where it isn't documented. Read-only.

A report is made to be shared: it holds shapes, counts and the API's own names, and no content. A probe is one small
function that returns a finding. The numbers are the points of ``docs/reference/commands.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dotypos.api.errors import DotyposApiError, DotyposRateLimitError
from airflow_provider_dotypos.commands.probes import filters, lists, values, versions
from airflow_provider_dotypos.commands.probes.asking import ProbedCloud, UnclearError


@dataclass(frozen=True)
class Probe:
    """A question about the API.

    :param point: the number of the unknown that it is about.
    :param how: what it reads.
    :param find: asks a cloud and returns the finding.
    """

    point: int
    name: str
    how: str
    find: Callable[[ProbedCloud], str]


#: In this order. The first look comes before all of them; the second look is in the last but one.
PROBES = (
    Probe(2, "timestamps", "text of all times in a page of some lists, digits left out", values.timestamps),
    Probe(3, "limit above 100", "orders with limit=101", lists.over_limit),
    Probe(3, "next page", "page 1 of orders and order-items, one row a page", lists.next_page),
    Probe(3, "default order", "a page of some lists without sort, compared with their fields", lists.default_order),
    Probe(3, "ties", "a list three times, without sort and sorted by display", lists.ties),
    Probe(4, "order moves with items", "newest orders against their items and payments", versions.order_moves),
    Probe(5, "escaping in filters", "products like ab, two letters of a name seen, with more", filters.escaping),
    Probe(5, "longest address", "taxes, asked for more and more ids that don't exist", filters.longest_address),
    Probe(6, "empty list with BC1", "every list, filtered so that nothing is left", lists.empty_with_bc1),
    Probe(6, "empty list without BC1", "orders and products in the same way", lists.empty_without_bc1),
    Probe(7, "vat of order items", "range of vat in a page of order items", values.vat),
    Probe(7, "rate in the sales report", "a report on the day of the newest order", values.report_rate),
    Probe(12, "numbers", "kind of all numbers in a page of some lists", values.numbers),
    Probe(12, "numbers in the sales report", "kind of all numbers in the same report", values.report_numbers),
    Probe(12, "error bodies", "an unknown filter field, and a row that isn't there", values.error_bodies),
    Probe(12, "fields without a value", "fields of a page of some lists", values.nulls),
    Probe(13, "deleted null", "deleted|in|0,1 for a row whose deleted is null", lists.deleted_null),
    Probe(4, "rows without a change date", "how many of each list have versionDate|eq|null", lists.undated),
    Probe(13, "deleted where it is missing", "deleted|eq|1 on lists without that field", lists.deleted_missing),
    Probe(13, "deleted in rows without it", "fields of a row of tables, reservations, …", lists.deleted_undocumented),
    Probe(4, "lag of versionDate", "the newest rows of three lists, twice, against the server's Date", versions.lag),
    Probe(1, "rate limit headers", "names of the headers of all answers of this run", values.rate_limit),
)

_FIRST_LOOK = Probe(4, "first look", "the newest rows of three lists", versions.look_first)

#: Points that can't be settled by reading, and why.
NOT_PROBED = (
    (8, "webhooks", "deliveries go to a server of yours, not to a command"),
    (9, "revoking an application", "somebody would have to revoke this one"),
    (10, "other hosts, legacy connector", "secrets go to the connection's own host alone"),
    (11, "the connector's time limits", "only a person in a browser gets that far"),
)


def examine(cloud: ProbedCloud) -> list[dict[str, str]]:
    """Probe a cloud and return the report's rows."""
    answer_to(_FIRST_LOOK, cloud)  # if it fails, the probe with the second look says so
    rows = [_row(probe.point, probe.name, answer_to(probe, cloud), probe.how) for probe in PROBES]
    rows += [_row(point, name, "not probed", why) for point, name, why in NOT_PROBED]
    return sorted(rows, key=lambda row: int(row["point"]))


def answer_to(probe: Probe, cloud: ProbedCloud) -> str:
    """Return a probe's finding, or why there is none.

    Of an error only its kind is shown, as its text may name rows. An unexpected answer may make a probe fail in any
    way: that is a finding, too, and must not end the report.
    """
    try:
        return probe.find(cloud)
    except UnclearError as error:
        return f"can't tell: {error}"
    except DotyposRateLimitError:
        return f"not asked: {cloud.throttled}"
    except DotyposApiError as error:
        return f"can't tell: answered {error.status} {error.reason or ''}".rstrip()
    except Exception as error:
        return f"can't tell: {type(error).__name__}"


def _row(point: int, name: str, finding: str, how: str) -> dict[str, str]:
    return {"point": str(point), "probe": name, "found": finding, "how": how}
