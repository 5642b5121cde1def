"""The provider's metrics, sent by Airflow's own: which there are, and the one place that sends them.

Nothing here raises, whatever the backend does: a metric is never worth a task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

from airflow_provider_dotypos import _compat

log = logging.getLogger(__name__)


class Metric(NamedTuple):
    """A metric.

    :param tags: the names of its tags. A backend that takes none has their values at the end of the name.
    """

    kind: Literal["counter", "gauge"]
    tags: tuple[str, ...]


#: All of them, by their names without the prefix that Airflow's configuration gives.
METRICS = {
    "dotypos.requests": Metric("counter", ("cloud",)),
    "dotypos.throttled": Metric("counter", ("cloud", "status")),
    "dotypos.budget.used": Metric("gauge", ("cloud",)),
    "dotypos.budget.left": Metric("gauge", ("cloud",)),
    "dotypos.rows": Metric("counter", ("cloud", "entity")),
    "dotypos.misfits": Metric("counter", ("cloud", "entity")),
    "dotypos.writes": Metric("counter", ("cloud", "entity", "verdict")),
    "dotypos.watermark.lag": Metric("gauge", ("cloud", "entity", "stream")),
    "dotypos.watermark.time": Metric("gauge", ("cloud", "entity", "stream")),
    "dotypos.sale.age": Metric("gauge", ("cloud", "branch")),
}


class _Backend(NamedTuple):
    """What Airflow sends metrics by.

    :param stats: its functions ``incr`` and ``gauge``.
    :param takes_tags: whether tags arrive.
    """

    stats: Any
    takes_tags: bool


@cache
def _backend() -> _Backend | None:
    """Return what Airflow sends metrics by, as it is configured; ``None`` if it sends none."""
    try:
        on = _compat.metrics_settings()
        if not (on["statsd_on"] or on["statsd_datadog_enabled"] or on["otel_on"]):
            return None
        plain = on["statsd_on"] and not on["statsd_datadog_enabled"] and not on["statsd_influxdb_enabled"]
        return _Backend(_compat.stats(), not plain)
    except Exception:  # whatever is odd about a configuration
        log.debug("Airflow's metrics can't be used.", exc_info=True)
        return None


def are_on() -> bool:
    """Return whether Airflow sends metrics."""
    return _backend() is not None


def send(name: str, value: float, **tags: object) -> None:
    """Send a metric, if Airflow sends any.

    :param name: one of `METRICS`.
    :param value: by how much a counter grows, or what a gauge is.
    :param tags: its tags; ``None`` is sent as ``none``.
    """
    backend = _backend()
    if backend is None:
        return
    try:
        kind, names = METRICS[name]
        named = {tag: _text(tags[tag]) for tag in names}
        stat = name if backend.takes_tags else ".".join([name, *named.values()])
        given = {"tags": named} if backend.takes_tags else {}
        if kind == "counter":
            if value:
                backend.stats.incr(stat, round(value), **given)
        else:
            backend.stats.gauge(stat, value, **given)
    except Exception:  # whatever a backend raises: no task fails for a metric
        log.debug("The metric %s couldn't be sent.", name, exc_info=True)


def send_list(cloud_id: int | None, entity: str, *, rows: int, misfits: int = 0) -> None:
    """Count what was read of a list.

    :param misfits: how many values didn't fit their column.
    """
    send("dotypos.rows", rows, cloud=cloud_id, entity=entity)
    send("dotypos.misfits", misfits, cloud=cloud_id, entity=entity)


def send_watermark(cloud_id: int, entity: str, key: str, reached: int | None) -> None:
    """Send where a list's watermark is.

    :param key: the watermark's name, see `watermark_key`.
    :param reached: epoch milliseconds; ``None`` before the first success.
    """
    if reached is not None:
        tags = {"cloud": cloud_id, "entity": entity, "stream": key.rpartition("/")[2]}
        send("dotypos.watermark.lag", round(time.time() - reached / 1000, 3), **tags)
        send("dotypos.watermark.time", round(reached / 1000, 3), **tags)


def send_verdicts(cloud_id: int, entity: str, counts: Mapping[str, int]) -> None:
    """Count what became of planned rows.

    :param counts: how many have each verdict.
    """
    for verdict, number in counts.items():
        send("dotypos.writes", number, cloud=cloud_id, entity=entity, verdict=verdict)


class TaskMeter:
    """Counts the calls of a task, see `Meter`."""

    def sent(self, cloud_id: int | None) -> None:
        """Count a request that leaves."""
        send("dotypos.requests", 1, cloud=cloud_id)

    def throttled(self, cloud_id: int | None, status: int) -> None:
        """Count an answer that asks to slow down."""
        send("dotypos.throttled", 1, cloud=cloud_id, status=status)

    def budgeted(self, cloud_id: int | None, used: int, left: int) -> None:
        """Send how much of the request budget is in use."""
        send("dotypos.budget.used", used, cloud=cloud_id)
        send("dotypos.budget.left", left, cloud=cloud_id)


def task_meter() -> TaskMeter | None:
    """Return what counts a task's calls; ``None`` if Airflow sends no metrics."""
    return TaskMeter() if are_on() else None


def _text(value: object) -> str:
    """Return a tag's value, without what ends a part of a name."""
    return "none" if value is None else str(value).replace(".", "_").replace(" ", "_")
