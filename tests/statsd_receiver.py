"""A StatsD server of the tests' own, on a real socket, and Airflow's metrics sent to it by this process."""

from __future__ import annotations

import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.hooks import metrics
from tests.patience import PATIENCE


class StatsdReceiver:
    """Receives metrics by UDP. What the kernel holds is taken by a thread of its own.

    :ivar port: where it listens.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._arrived = threading.Condition()
        self._marks = 0
        threading.Thread(target=self._receive, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(65536)
            except OSError:  # closed
                return
            with self._arrived:
                for line in datagram.decode().splitlines():
                    name, _, rest = line.partition(":")
                    value, kind = rest.split("|")[:2]
                    self._values[name, kind].append(float(value))
                self._arrived.notify_all()

    def counter(self, name: str) -> float:
        """Return what a counter has come to."""
        with self._arrived:
            return sum(self._values[name, "c"])

    def gauge(self, name: str) -> list[float]:
        """Return what a gauge was, the newest last."""
        with self._arrived:
            return list(self._values[name, "g"])

    def names(self, part: str = "dotypos.") -> set[str]:
        """Return the names that have come and hold a text."""
        with self._arrived:
            return {name for name, _ in self._values if part in name}

    def settle(self) -> None:
        """Wait until all has come that was sent before, by whatever process: the kernel keeps the order."""
        self._marks += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(f"mark:{self._marks}|g".encode(), ("127.0.0.1", self.port))
        self.wait_for(lambda: self.gauge("mark")[-1:] == [self._marks])

    def wait_for(self, look: Callable[[], Any]) -> Any:
        """Wait until `look` returns something true, and return that."""
        deadline = time.monotonic() + PATIENCE
        with self._arrived:
            while not (seen := look()):
                if not self._arrived.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"in vain; there are {sorted(self.names())}")
        return seen


@contextmanager
def receiving(patch: pytest.MonkeyPatch, **settings: str) -> Iterator[StatsdReceiver]:
    """Have this process send Airflow's metrics to a server of its own.

    :param settings: further options of ``[metrics]``.
    """
    pytest.importorskip("statsd")
    receiver = StatsdReceiver()
    configured = {"statsd_on": "True", "statsd_port": str(receiver.port), "statsd_prefix": "airflow", **settings}
    for option, value in configured.items():
        patch.setenv(f"AIRFLOW__METRICS__{option.upper()}", value)
    _begin_anew()
    try:
        yield receiver
    finally:
        receiver.close()
        for option in configured:
            patch.delenv(f"AIRFLOW__METRICS__{option.upper()}")
        _begin_anew()


def _begin_anew() -> None:
    """Have Airflow's metrics follow the configuration, as a task's process does when it begins."""
    metrics._backend.cache_clear()
    stats: Any = _compat.stats()
    try:
        utils = import_module("airflow.sdk.observability.metrics.stats_utils")
    except ImportError:  # 3.1
        kind: Any = type(stats)
        stats.instance = None
        if "factory" in vars(kind):
            del kind.factory
        kind.__init__(stats)
        return
    if hasattr(stats, "incr") and "incr" in vars(stats):  # 3.3
        stats.initialize(factory=utils.get_stats_factory(), export_legacy_names=False)
    else:
        stats.initialize(factory=utils.get_stats_factory(stats))
