"""Asking a cloud questions: GETs whose refusals count as answers, and a page of some lists, read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Parent, find_entity
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposRateLimitError,
    DotyposResponseError,
)
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.markers import Finding
from airflow_provider_dotypos.api.reading import Row
from airflow_provider_dotypos.api.refusals import is_foreign
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings

#: A cloud that asks for fewer requests shouldn't get a hundred more.
_PATIENCE = Patience(faults=4.0, throttling=5.0)

#: An id that no row has. Only rows of the system have ids below 1, and theirs are small.
NOBODY = -(2**31)


class UnclearError(Exception):
    """A probe has no finding. The message says why, and holds nothing of the cloud's content."""


@dataclass(frozen=True)
class NewestRows:
    """The newest rows of a list at one moment.

    :param date: the server's time, to the second.
    :param versions: each row's version date in epoch milliseconds, by its id.
    :param full: whether there may be more rows than these.
    """

    date: datetime
    versions: Mapping[str, int]
    full: bool


class ProbedCloud:
    """A cloud to ask.

    :ivar headers: names of the headers of all answers so far.
    :ivar address_length: the length of the last address sent.
    :ivar first_look: the newest rows of some lists before the first probe.
    :ivar null_markers: what the filter for live and deleted rows was seen to do with a null marker, if it was seen.
    :ivar throttled: how the cloud asked for fewer requests, if it did.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = DotyposClient(
            settings, on_token=_airflow.mask_secret, patience=_PATIENCE, observer=self._observe
        )
        self._samples: dict[str, list[Row]] = {}
        self._parent_ids: dict[str, str] = {}
        self._answers = 0
        self._refusal = Answer(0, {}, b"")
        self.headers: set[str] = set()
        self.address_length = 0
        self.first_look: Mapping[str, NewestRows] = {}
        self.null_markers: Finding | None = None
        self.throttled = ""
        self._rate_limit_error: DotyposRateLimitError | None = None

    def ask(self, path: str, params: Mapping[str, object] | None = None, version: str | None = "BC1") -> Answer:
        """Return the answer to a GET, even if it is a refusal.

        :param version: the value of ``Allow-Version``; ``None`` for no such header.
        :raises UnclearError: if the server failed or refused the token, which says nothing about the question.
        :raises DotyposRateLimitError: if the cloud asks for fewer requests; from then on none is sent.
        """
        if self._rate_limit_error is not None:
            raise self._rate_limit_error
        headers = {"Allow-Version": version} if version else {}
        try:
            return self._client.call("GET", path, params=params, headers=headers, decode=lambda answer: answer)
        except DotyposRateLimitError as error:
            after = "no Retry-After" if error.retry_after is None else f"Retry-After {error.retry_after:.0f} s"
            self.throttled = f"throttled after {self._answers} requests, {after}"
            self._rate_limit_error = error
            raise
        except DotyposApiError as error:
            if error.status == 401 or error.status >= 500:
                raise UnclearError(f"answered {error.status}") from None
            return self._refusal
        except DotyposResponseError as error:
            if error.status is None or error.status < 400:
                raise
            raise UnclearError(f"answered {error.status}, but not by Dotypos") from None

    def ask_list(self, name: str, params: Mapping[str, object], version: str | None = "BC1") -> Answer:
        """Return the answer to a GET of an entity's list."""
        entity = find_entity(name)
        parent = self._parent_id(entity.parent) if entity.parent is not None else None
        return self.ask(entity.url_path(parent), params, version)

    def list_rows(self, name: str, params: Mapping[str, object]) -> list[Row]:
        """Return the rows of one page of a list.

        :raises UnclearError: if the list is refused.
        """
        answer = self.ask_list(name, params)
        if answer.status == 404:
            return []
        if answer.status != 200:
            raise UnclearError(f"{name} answered {answer.status}")
        return rows_of(answer)

    def sample(self, name: str) -> list[Row]:
        """Return a page of a list without a sort, read once; no rows if it is refused."""
        if name not in self._samples:
            try:
                self._samples[name] = self.list_rows(name, {"limit": 100})
            except UnclearError:
                self._samples[name] = []
        return self._samples[name]

    def samples(self, names: Sequence[str]) -> dict[str, list[Row]]:
        """Return a page of each list that has rows.

        :raises UnclearError: if none has.
        """
        filled = {name: rows for name in names if (rows := self.sample(name))}
        if not filled:
            raise UnclearError(f"no rows to see in {', '.join(names)}")
        return filled

    def _observe(self, request: Request, answer: Answer | None) -> None:
        """Keep what a caller is usually spared: the address, the headers, and a refusal's body.

        :raises UnclearError: if something in between refused; the address may be too long for it. It isn't asked again.
        """
        self.address_length = len(request.url)
        if answer is not None:
            self._answers += 1
            self.headers |= {name.lower() for name in answer.headers}
            self._refusal = answer
            if is_foreign(answer.status, answer.body):
                raise UnclearError(f"answered {answer.status}, but not by Dotypos")

    def _parent_id(self, parent: Parent) -> str:
        """Return the id of a row to look in.

        :raises UnclearError: if there is none.
        """
        if parent.entity not in self._parent_ids:
            rows = self.list_rows(parent.entity, {"limit": 1})
            if not rows:
                raise UnclearError(f"no {parent.noun} to look in")
            self._parent_ids[parent.entity] = str(rows[0]["id"])
        return self._parent_ids[parent.entity]


def envelope_of(answer: Answer) -> Mapping[str, Any]:
    """Return the paging fields around a list's rows; a bare list has none."""
    body = answer.json()
    return body if isinstance(body, dict) else {}


def rows_of(answer: Answer) -> list[Row]:
    """Return the rows of a list's answer.

    :raises UnclearError: if it holds none.
    """
    body = answer.json()
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnclearError("answered with something that isn't a list of rows")
    return rows


def outcome(answer: Answer) -> str:
    """Return how a question to a list was answered."""
    if answer.status == 200:
        return "200 with rows" if rows_of(answer) else "200 without rows"
    if answer.status == 404:
        return "404 with a body" if answer.body.strip() else "404 without a body"
    return str(answer.status)


def each(names: Iterable[str], find: Callable[[str], str]) -> str:
    """Return the finding for each name, as one text; a name without one doesn't hide the others."""

    def outcome_of(name: str) -> str:
        try:
            return find(name)
        except UnclearError as error:
            return f"can't tell: {error}"

    return grouped({name: outcome_of(name) for name in names})


def grouped(outcomes: Mapping[str, str]) -> str:
    """Return outcomes by name as one text, the most frequent one first: ``200 (orders, taxes); 404 (tags)``."""
    by_outcome: dict[str, list[str]] = {}
    for name, text in outcomes.items():
        by_outcome.setdefault(text, []).append(name)
    if len(by_outcome) == 1 and len(outcomes) > 3:
        return f"{next(iter(by_outcome))} (all {len(outcomes)})"
    ordered = sorted(by_outcome.items(), key=lambda item: -len(item[1]))
    return "; ".join(f"{text} ({', '.join(names)})" for text, names in ordered)
