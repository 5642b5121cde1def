"""Ways to bring a cloud's lists to files, each run from where the last one ended: ours, and the peers'."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from airflow.sdk import BaseOperator

from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.manifest import read_manifest
from benchmarks.peers.lists import Line, lines_of, lines_of_table
from benchmarks.peers.setup import python
from benchmarks.scenes import SIGN_IN, Scene
from benchmarks.stage import WATERMARKS, Stage
from benchmarks.turns import TOP

#: The children that are nested in orders, and by what.
INCLUDES = {"order-items": "orderItems", "money-logs": "moneyLogs"}

#: Before what moment changes have settled, in milliseconds before now: ours by default, and for the peers alike.
SETTLE = 60_000


#: How long after a DAG run's time its tasks begin: a nested history waits for another minute otherwise.
LATE = timedelta(milliseconds=SETTLE)


class Pipeline:
    """A way to read lists.

    :param scene: the cloud.
    :param folder: an empty folder.
    :param lists: names of the lists.
    """

    def __init__(self, scene: Scene, folder: Path, lists: Sequence[str]) -> None:
        self.scene = scene
        self.folder = folder
        self.lists = list(lists)

    def run(self) -> None:
        """Bring what has changed since the last run."""
        raise NotImplementedError

    def lines(self, name: str) -> Iterator[Line]:
        """Yield id and version of each row of a list that came so far."""
        raise NotImplementedError


class TaskEach(Pipeline):
    """Our operator, with a task for each list."""

    def __init__(self, scene: Scene, folder: Path, lists: Sequence[str], **arguments: Any) -> None:
        super().__init__(scene, folder, lists)
        self._stage = Stage(folder)
        self._arguments = {
            "destination": self._stage.lake, "concurrency": 1, "outlets": [WATERMARKS], **arguments
        }  # fmt: skip
        self._manifests: dict[str, list[str]] = {name: [] for name in lists}

    def run(self) -> None:
        at = self.scene.now - LATE
        for operator in self._operators(self._arguments):
            for name, result in self._results(self._stage.run(operator, at)).items():
                self._manifests[name] += result["manifests"]

    def lines(self, name: str) -> Iterator[Line]:
        for manifest in self._manifests[name]:
            for file in read_manifest(manifest).files:
                yield from lines_of(Path(file.path))

    def _operators(self, arguments: dict[str, Any]) -> Iterable[BaseOperator]:
        for name in self.lists:
            yield DotyposToObjectStorageOperator(task_id=name, entity=name, **arguments)

    def _results(self, result: Any) -> dict[str, Any]:
        return {result["entity"]: result}


class OneTask(TaskEach):
    """Our operator of many lists: one task for all."""

    def _operators(self, arguments: dict[str, Any]) -> Iterable[BaseOperator]:
        from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import (
            DotyposEntitiesToObjectStorageOperator,
        )

        yield DotyposEntitiesToObjectStorageOperator(task_id="lists", entities=self.lists, **arguments)

    def _results(self, result: Any) -> dict[str, Any]:
        entities: dict[str, Any] = result["entities"]
        return entities


class Peer(Pipeline):
    """A peer, in its own environment: a resource or a stream for each list, incremental on its cursor.

    A token is given to it, by one sign-in, which counts.

    :param name: ``dlt`` or ``airbyte``.
    :param nested: whether it reads orders alone, and their items and payments below them.
    """

    def __init__(self, name: str, scene: Scene, folder: Path, lists: Sequence[str], *, nested: bool = False) -> None:
        super().__init__(scene, folder, lists)
        self._name = name
        self._nested = nested
        described = {one["name"]: one for one in scene.lists()}
        with_children = [described["orders"] | {"include": ",".join(INCLUDES.values())}]
        self._described = with_children if nested else [described[name] for name in lists]

    def run(self) -> None:
        job = {
            "url": self.scene.sandbox.url,
            "token": self._sign_in(),
            "lists": self._described,
            "until": self.scene.shop.now() - SETTLE,
            "folder": str(self.folder),
        }
        command = [python(self._name), "-m", f"benchmarks.peers.{self._name}_lists"]
        done = subprocess.run(command, cwd=TOP, input=json.dumps(job), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self._name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")

    def lines(self, name: str) -> Iterator[Line]:
        rows = self.folder / "rows"
        if self._nested and name in INCLUDES:
            return lines_of_table(rows, "orders", below=INCLUDES[name])
        return lines_of_table(rows, name)

    def _sign_in(self) -> str:
        sandbox = self.scene.sandbox
        headers = {"Authorization": f"User {sandbox.refresh_token}"}
        answer = requests.post(sandbox.url + SIGN_IN, json={"_cloudId": self.scene.cloud_id}, headers=headers)
        return str(answer.json()["accessToken"])


def missing(pipeline: Pipeline, lists: Iterable[str]) -> int:
    """Return how many rows of lists didn't come as they are in the shop now."""
    return sum(len(set(pipeline.scene.versions(name).items()) - set(pipeline.lines(name))) for name in lists)


def doubled(pipeline: Pipeline, lists: Iterable[str]) -> int:
    """Return how many times a version of a row came again."""
    counts = (Counter(pipeline.lines(name)) for name in lists)
    return sum(count.total() - len(count) for count in counts)
