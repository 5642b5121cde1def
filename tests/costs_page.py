"""``make costs`` writes the table of what reading a list costs: requests, counted on the sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, cloud_lists, find_entity
from airflow_provider_dotypos.api.markers import Finding
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox, Shop
from airflow_provider_dotypos.transfers.engine import extract
from airflow_provider_dotypos.transfers.selection import Selection
from tests.transfers.memory_sink import MemorySink, Place

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "limits.md"

START, END = "<!-- costs: `make costs` writes this table. -->\n", "<!-- /costs -->"

HEAD = """\
| list | a quiet window | by two filters | where empty lists are 404s | a first load, up to 99 rows |
|---|---|---|---|---|
"""

HOUR = 3_600_000

#: Where an empty list is a 404.
AS_404 = Behaviour(allow_version="ignored")


def page(old: str) -> str:
    """Return the page's text with a table that is counted anew."""
    before, _, rest = old.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{HEAD}{''.join(_lines())}{END}{after}"


def _lines() -> Iterator[str]:
    sums: Counter[int] = Counter()
    with Sandbox(Shop.empty()) as sandbox:
        sandbox.shop.insert(sandbox.cloud_ids[0], "warehouses", {"name": "Cellar"})
        for name in cloud_lists():
            entity = find_entity(name)
            costs = [
                _requests(sandbox, entity),
                _requests(sandbox, entity, finding=None),
                _requests(sandbox, entity, behaviour=AS_404),
                _requests(sandbox, entity, finding=None, is_quiet=False),
            ]
            sums.update(dict(enumerate(costs)))
            yield _line(f"[`{name}`](entities.md#{name})", costs)
    yield _line("all of them", [*sums.values()])


def _line(name: str, costs: Sequence[int]) -> str:
    return f"| {name} | {' | '.join(map(str, costs))} |\n"


def _requests(
    sandbox: Sandbox,
    entity: Entity,
    *,
    is_quiet: bool = True,
    finding: Finding | None = "no_null",
    behaviour: Behaviour | None = None,
) -> int:
    """Return how many requests the engine makes to read one window of a list, without the sign-in.

    :param finding: what an earlier read has found of the list, and of what it lies below.
    """
    channel.forget_tokens()
    sandbox.behaviour = behaviour or Behaviour()
    sandbox.requests.clear()
    cloud_id = sandbox.cloud_ids[0]
    settings = Settings.from_fields(
        host=sandbox.url, extra={"refresh_token": sandbox.refresh_token, "cloud_id": cloud_id}
    )
    now = sandbox.shop.now()
    window = Window(now - 2 * HOUR if is_quiet and entity.cursors else None, now - HOUR)
    selection = Selection.of(entity.name, cloud_id=cloud_id)
    if finding is not None:
        for name in (entity.name, "warehouses"):
            selection.division.findings.note(name, finding)
    extract(selection, window, Reader(DotyposClient(settings)), MemorySink(window, Place()))
    paths = Counter(request.path.rpartition("/")[2] for request in sandbox.requests)
    return paths.total() - paths["token"] - paths[str(cloud_id)]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
