"""What a peer needs to know to read lists again and again, and what it left: one folder of JSON lines for each list.

The peers' environments don't have our package, so this comes as JSON on the standard input.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.orders import PAGE

#: A row's id, and its version in epoch milliseconds.
Line = tuple[str, int]


@dataclass(frozen=True)
class ListJob:
    """One run over some lists of a cloud. The next run with the same folder continues.

    :param url: the server.
    :param token: an access token, by one sign-in. That is the best case: several resources share it.
    :param lists: the lists, see `benchmarks.scenes.Scene.lists`.
    :param until: where the run's window ends, in epoch milliseconds, for peers that have an end.
    :param folder: where state and rows are kept.
    """

    url: str
    token: str
    lists: list[dict[str, Any]]
    until: int
    folder: str

    @property
    def rows(self) -> Path:
        """The folder of rows."""
        return Path(self.folder) / "rows"


def params(one: dict[str, Any], since: str | None, until: str | None = None) -> dict[str, str]:
    """Return the parameters of a list: deleted rows as well, changes since the last run, the oldest first.

    :param since: the place of the cursor's lower bound in a template.
    :param until: the place of its upper bound.
    """
    if not one["paged"]:
        return {}
    conditions = ["deleted|in|0,1"] if one["deleted"] else []
    if one["cursor"] and since:
        conditions.append(f"{one['cursor']}|gteq|{since}")
    if one["cursor"] and until:
        conditions.append(f"{one['cursor']}|lt|{until}")
    query = {"filter": ";".join(conditions), "sort": one["cursor"] if one["sorted"] else None, "limit": str(PAGE)}
    query["include"] = one.get("include")
    return {name: value for name, value in query.items() if value}


def table(name: str) -> str:
    """Return the name of a list's table, as tools write it."""
    return name.replace("-", "_")


def run(read: Callable[[ListJob], None]) -> None:
    """Read the lists of the job on the standard input."""
    read(ListJob(**json.load(sys.stdin)))


def lines_of_table(rows: Path, name: str, below: str | None = None) -> Iterator[Line]:
    """Yield id and version of each row of a list that was written.

    :param below: yield those of the rows that it nests by this name instead.
    """
    for path in sorted((rows / table(name)).glob("*.jsonl")):
        yield from lines_of(path, below)


def lines_of(path: Path, below: str | None = None) -> Iterator[Line]:
    """Yield id and version of each row in a file, or of the rows nested in them."""
    with path.open("rb") as file:
        for line in file:
            row = json.loads(line)
            for each in [row] if below is None else row.get(below) or row.get(_snake(below)) or ():
                yield str(each["id"]), _milliseconds(each.get("versionDate") or each.get("version_date"))


def _snake(name: str) -> str:
    """Return a name as dlt writes it."""
    return re.sub("([A-Z])", r"_\1", name).lower()


def _milliseconds(version: str | None) -> int:
    return 0 if version is None else round(datetime.fromisoformat(version.replace("Z", "+00:00")).timestamp() * 1000)
