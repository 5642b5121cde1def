"""Measure the time that importing our modules adds to a DAG file's own imports, and list the packages that they load.

A fresh process each time imports ``airflow.sdk`` and its ``BaseOperator`` first, as every DAG file does. Then it
imports one module, or short names from the package, on the clock. HttpOperator's module shows the scale.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from statistics import median

from benchmarks.machine import machine, spread

#: Each is a module, or a module and names that are imported from it.
MODULES = (
    "airflow_provider_dotypos",
    "airflow_provider_dotypos DotyposHook",
    "airflow_provider_dotypos DotyposToObjectStorageOperator read_manifest",
    "airflow_provider_dotypos DotyposEntitiesToSqlOperator DotyposSalesReportCheckOperator dotypos_asset",
    "airflow_provider_dotypos.hooks.dotypos",
    "airflow_provider_dotypos.operators.dotypos",
    "airflow_provider_dotypos.operators.sales_report_check",
    "airflow_provider_dotypos.operators.webhooks",
    "airflow_provider_dotypos.sensors.dotypos",
    "airflow_provider_dotypos.triggers.entity_event",
    "airflow_provider_dotypos.retry_policies",
    "airflow_provider_dotypos.transfers.dotypos_to_object_storage",
    "airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage",
    "airflow_provider_dotypos.transfers.dotypos_to_sql",
    "airflow_provider_dotypos.transfers.dotypos_entities_to_sql",
    "airflow.providers.http.operators.http",
)

_CHILD = """
import json, sys, time
from airflow.sdk import BaseHook, BaseOperator, DAG
before = set(sys.modules)
module, *names = sys.argv[1].split()
started = time.perf_counter()
imported = __import__(module, fromlist=names)
for name in names:
    getattr(imported, name)
seconds = time.perf_counter() - started
new = set(sys.modules) - before
known = {name.partition(".")[0] for name in before}
packages = sorted({name.partition(".")[0] for name in new} - known - sys.stdlib_module_names)
watched = [name for name in ("requests", "fastapi", "pyarrow", "sqlalchemy") if name in sys.modules]
print(json.dumps({"ms": seconds * 1000, "modules": len(new), "packages": packages, "loaded": watched}))
"""


def imported(module: str, home: str) -> dict[str, object]:
    # Without byte code, each round would compile our modules, and those alone: installed packages have theirs.
    environment = {**os.environ, "AIRFLOW_HOME": home, "PYTHONDONTWRITEBYTECODE": ""}
    output = subprocess.run(
        [sys.executable, "-c", _CHILD, module], env=environment, capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, object] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Import time above Airflow's own.")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    print(machine())
    times: dict[str, list[float]] = {name: [] for name in MODULES}
    last: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        imported(MODULES[0], home)  # writes byte code and Airflow's configuration
        for number in range(asked.rounds):
            turn = number % len(MODULES)
            for name in MODULES[turn:] + MODULES[:turn]:
                last[name] = imported(name, home)
                times[name].append(float(str(last[name]["ms"])))
    print("\n| module, after `airflow.sdk` | ms | new modules | new packages |")
    print("|---|---|---|---|")
    for name in MODULES:
        packages = last[name]["packages"]
        names = ", ".join(packages) if isinstance(packages, list) and packages else "none"
        print(f"| {name} | {spread(times[name], 1)} | {last[name]['modules']} | {names} |")
    slowest = max(median(times[name]) for name in MODULES if name.startswith("airflow_provider_dotypos"))
    print(f"\nHttpOperator's module compared with our slowest: {median(times[MODULES[-1]]) / slowest:.0f} to 1.")
    print(f"Loaded with ours, by Airflow or by us: {last[MODULES[3]]['loaded']}.")


if __name__ == "__main__":
    main()
