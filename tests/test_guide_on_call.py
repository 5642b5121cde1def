"""The guide *On call*: its metrics, alerts, verdicts and messages are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_dotypos.hooks.metrics import METRICS
from airflow_provider_dotypos.sales.freshness import FAIL_ON, VERDICTS

GUIDE = (Path(__file__).parents[1] / "docs" / "guides" / "on-call.md").read_text()
MAPPING, RULES = (yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.M | re.S))
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]

#: What a name gets in Prometheus beside the kind, by the metric's unit.
UNITS = {"dotypos.watermark.lag": "_seconds", "dotypos.watermark.time": "_seconds", "dotypos.sale.age": "_seconds"}


def in_prometheus(name: str) -> str:
    return name.replace(".", "_") + UNITS.get(name, "") + ("_total" if METRICS[name].kind == "counter" else "")


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading."""
    _, _, rest = GUIDE.partition(f"\n{heading}\n")
    lines = [line for line in rest.split("\n## ")[0].splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return table[2 : next((n for n, row in enumerate(table) if n > 2 and row[0].startswith("---")), len(table))]


def test_the_metrics_are_those_that_are_sent() -> None:
    documented = {
        name.strip("`"): (kind, tuple(tag.strip("` ") for tag in tags.split(",")))
        for name, kind, tags, _ in rows("## Metrics")
    }
    assert documented == {name: tuple(metric) for name, metric in METRICS.items()}


@pytest.mark.parametrize("name", METRICS)
def test_the_exporter_turns_each_name_into_labels(name: str) -> None:
    (mapping,) = [each for each in MAPPING["mappings"] if each["match"].startswith(f"airflow.{name}.*")]
    tags = METRICS[name].tags
    assert mapping["match"] == ".".join(["airflow", name, *("*" for _ in tags)])
    assert mapping["name"] == in_prometheus(name)
    assert mapping["labels"] == {tag: f"${number}" for number, tag in enumerate(tags, 1)}


def test_the_alerts_are_those_of_the_table_and_ask_for_metrics_that_exist() -> None:
    documented = {row[0].strip("`") for row in rows("## Alerts worth having")}
    assert documented == {alert["alert"] for alert in ALERTS}
    known = {in_prometheus(name): set(METRICS[name].tags) for name in METRICS}
    for alert in ALERTS:
        asked = set(re.findall(r"dotypos_\w+", alert["expr"]))
        assert asked
        assert asked <= known.keys()
        labels = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
        assert labels <= set.union(*(known[name] for name in asked))
        assert f'"{alert["labels"]["severity"]}"' in ('"page"', '"ticket"')


def test_the_verdicts_are_those_of_the_check() -> None:
    documented = {row[0].strip("`"): row[-1] for row in rows("### Verdicts")}
    assert [*documented] == [*VERDICTS[:3], "till silent", "no sale"]
    assert {verdict for verdict, fails in documented.items() if fails == "yes"} == {*FAIL_ON}


def test_the_guide_shows_the_lines_that_a_message_has() -> None:
    shown = re.findall(r"^```text\n(.*?)^```", GUIDE, re.M | re.S)[0]
    begins = re.findall(r"^(\w[\w ]*[:?])", shown, re.M)
    source = (Path(__file__).parents[1] / "airflow_provider_dotypos/notifications/failure.py").read_text()
    for begin in begins:
        assert begin.split(":")[0] in source
