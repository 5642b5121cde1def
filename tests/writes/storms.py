"""One storm over a plan: requests that fail before, after and late, a till that edits, attempts that end in between.

The sandbox's log of writes is the judge: of every row it says how often a request has changed it. What is promised is
checked after each attempt, and when all is over.
"""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.gate import Gate
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.api.wire import write_time
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN
from airflow_provider_dotypos.writes.applying.applying import apply_plan
from airflow_provider_dotypos.writes.applying.options import ApplyOptions, Create, Method
from airflow_provider_dotypos.writes.applying.report import Report
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.plan_file import Plan
from airflow_provider_dotypos.writes.verdicts import DONE, FINAL
from tests.api.walking import empty_shop
from tests.writes.forks import Appliers, Reaper
from tests.writes.planned import create_of, update_of
from tests.writes.plans import Plans, report_of

#: What happens to requests. A 429 says that nothing was carried out, so it comes before only.
KINDS = (
    *("reset", "closed", "408", "500", "502", "503", "504", "502-html", "401-empty"),
    *("reset-body", "short-body", "cut-json"),
)

FIRST_ID = 7_000_000_000_000_000
BEFORE = {"priceWithVat": "121", "priceWithoutVat": "100"}
AFTER = {"priceWithVat": "242", "priceWithoutVat": "200"}
BACK = float(BEFORE["priceWithVat"])

#: What a product must have besides its name and category.
NEW_PRODUCT: dict[str, Any] = {
    **BEFORE,
    **dict.fromkeys(("discountPercent", "points", "priceInPoints", "flags"), "0"),
    **dict.fromkeys(("display", "discountPermitted", "stockDeduct"), True),
    **dict.fromkeys(("onSale", "requiresPriceEntry"), False),
    "vat": "1.21",
    "unit": "Piece",
    "packaging": "1",
    "hexColor": "#607D8B",
    "stockOverdraft": "ALLOW",
}

#: Seconds of the shop's clock that a request takes.
_REQUEST = 0.05


@dataclass(frozen=True)
class Weather:
    """All that a storm is made of.

    :param seed: makes it the same again, if there is one thread.
    :param method: how rows are updated. :param create: how they are created.
    :param failing: the share of requests that fail. :param late: whether some of them are carried out late.
    :param edits: by a till, in a second of the shop's clock.
    :param rough: whether the till also edits planned fields, and deletes rows.
    """

    seed: int
    method: Method = "patch"
    create: Create = "put"
    updates: int = 30
    creates: int = 20
    behaviour: Behaviour = BEST_KNOWN
    failing: float = 0.0
    late: bool = False
    edits: float = 0.0
    rough: bool = False
    threads: int = 1
    settle: float = 15.0


class Till:
    """Edits products, and remembers what it has set.

    :ivar fields: the last value that it has given to a row's field.
    :ivar deleted: the rows that it has deleted.
    :ivar back: the rows whose price it has put back, and not changed again, after a request had changed them.
    """

    def __init__(self, api: Sandbox, weather: Weather) -> None:
        self.api = api
        self.rate = weather.edits
        self.rough = weather.rough
        self.chance = random.Random(weather.seed)
        self.fields: dict[tuple[int, str], Any] = {}
        self.deleted: set[int] = set()
        self.back: set[int] = set()
        self.edits = 0

    def work(self, seconds: float) -> None:
        """Let some seconds of the shop's clock pass."""
        shop = self.api.shop
        with shop.lock:
            shop.advance(seconds)
            expected = self.rate * seconds
            for _ in range(min(40, int(expected) + (self.chance.random() < expected % 1))):
                self.edit()

    def edit(self) -> None:
        """Edit any product."""
        shop, cloud = self.api.shop, self.api.cloud_ids[0]
        row = self.chance.choice(shop.rows(cloud, "products"))
        if row["deleted"]:
            return
        self.edits += 1
        what = self.chance.random() if self.rough else 1.0
        if what < 0.02:
            self.deleted.add(row["id"])
            shop.delete(cloud, "products", row["id"])
            return
        name, value = "points", float(self.edits)
        if what < 0.1:
            name, value = "priceWithVat", self.chance.choice([242.0, BACK, BACK, 1000.0 + self.edits])
            is_written = any(write.id == row["id"] for write in self.api.writes)
            (self.back.add if value == BACK and is_written else self.back.discard)(row["id"])
        self.fields[row["id"], name] = value
        shop.update(cloud, "products", row["id"], {name: value})

    def edited(self, id: int) -> bool:
        """Return whether it has edited a row, whichever field, or deleted it."""
        return id in self.deleted or any(row == id for row, _ in self.fields)

    def touched(self, id: int) -> bool:
        """Return whether it has edited what the plan changes, or deleted the row."""
        return id in self.deleted or any((id, name) in self.fields for name in AFTER)


class Wind(Fault):
    """Lets the till work before each request is answered, and harms none."""

    def __init__(self, till: Till) -> None:
        super().__init__("500")
        self.till = till

    def strikes(self, method: str, path: str) -> bool:
        self.till.work(_REQUEST)
        return False


class KilledError(BaseException):
    """A process is killed here: nothing that it does afterwards counts."""


@contextmanager
def death(requests: int, *, answered: bool) -> Iterator[None]:
    """Kill the process that applies a plan in the midst of a request, so that not even the report is written any more.

    :param requests: how many requests pass before.
    :param answered: whether that request still reaches the API.
    """
    left, dying = [requests], threading.Lock()
    send, write = Transport.send, Report.write

    def sending(self: Transport, request: Request) -> Answer:
        with dying:
            left[0] -= 1
            dead, last = left[0] < 0, left[0] == -1
        if last and answered:
            send(self, request)
        if dead:
            raise KilledError
        return send(self, request)

    def writing(self: Report, *, complete: bool) -> None:
        if left[0] >= 0:
            write(self, complete=complete)

    with patch.object(Transport, "send", sending), patch.object(Report, "write", writing):
        yield


@dataclass
class Storm:
    """One storm: a shop, a till, a plan for it, and what attempts to apply it have left.

    :ivar attempts: how many attempts there were.
    :ivar killed: how many processes were killed while they applied the plan.
    :ivar struck: how many requests have failed.
    """

    api: Sandbox
    weather: Weather
    folder: Path
    attempts: int = 0
    killed: int = 0
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        api, weather = self.api, self.weather
        api.shop, api.behaviour = empty_shop(), weather.behaviour
        api.faults.clear()
        api.requests.clear()
        api.writes.clear()
        self.cloud = api.cloud_ids[0]
        category = api.shop.insert(self.cloud, "categories", {"name": "Drinks"})["id"]
        shelf = {"name": "Tea", "vat": 1.21, "priceWithVat": 121.0, "priceWithoutVat": 100.0, "_categoryId": category}
        ids = [api.shop.insert(self.cloud, "products", shelf)["id"] for _ in range(2 * weather.updates)]
        self.updates = [self._new_price(id, number) for number, id in enumerate(ids[: weather.updates], 1)]
        self.creates = [self._new_product(category, weather.updates + n) for n in range(1, weather.creates + 1)]
        self.others = {row["id"]: row for row in api.shop.rows(self.cloud, "products")}
        api.shop.advance(120)
        self.plan = Plans(self.folder, api, self.stack)(*self.updates, *self.creates, match=("externalId",))
        self.till = Till(api, weather)
        api.faults.append(Wind(self.till))
        chance = random.Random(weather.seed)
        self.faults = [self._fault(chance, kind) for kind in KINDS if weather.failing]
        api.faults += self.faults
        self.is_calm = not self.faults

    def _new_price(self, id: int, row: int) -> PlannedRow:
        stored = self.api.shop.get(self.cloud, "products", id) or {}
        version = write_time(stored["versionDate"], self.weather.behaviour)
        return msgspec.structs.replace(update_of(id, BEFORE, AFTER, row), version=version)

    def _new_product(self, category: int, row: int) -> PlannedRow:
        name = {"name": f"New {row}", "externalId": f"P-{row}", "_categoryId": str(category)}
        after = NEW_PRODUCT | name
        if self.weather.create == "post":
            return PlannedRow("create", (f"P-{row}",), row, after=after)
        planned = create_of(FIRST_ID + row, after, row)
        return PlannedRow("create", (f"P-{row}",), row, id=planned.id, after=after)

    def _fault(self, chance: random.Random, kind: str) -> Fault:
        share = self.weather.failing / len(KINDS)
        whens = ["before", "after", *(["late"] if self.weather.late else [])]
        when = chance.choice(whens)
        late = (
            {"seconds": chance.choice([0.0, 1.0, 30.0]), "calls": chance.choice([1, 3, 20])} if when == "late" else {}
        )
        return Fault(kind, times=10**9, probability=share, when=when, seed=chance.randrange(10**6), **late)

    @property
    def struck(self) -> int:
        """How many requests have failed."""
        return sum(10**9 - fault.times for fault in self.faults)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a connection to the shop."""
        extra = {
            "refresh_token": self.api.refresh_token,
            "cloud_id": self.cloud,
            "max_concurrency": self.weather.threads,
        }
        return {"host": self.api.url, "extra": extra}

    @property
    def options(self) -> dict[str, Any]:
        """How the plan is applied."""
        weather = self.weather
        return {"method": weather.method, "create": weather.create, "settle": weather.settle, "fail_on": "none"}

    def attempt(self, plan: Plan | None = None, method: Method | None = None) -> BaseException | None:
        """Apply the plan once, and return what ended it.

        :param plan: the plan, opened by somebody else.
        """
        self.attempts += 1
        client = DotyposClient(Settings.from_fields(**self.fields))
        options = ApplyOptions(**self.options | ({"method": method} if method else {}))
        try:
            apply_plan(client, plan or self.plan, options)
        except (DotyposError, KilledError) as error:
            return error
        finally:
            client.close()
        return None

    def calm(self) -> None:
        """Let what is late come, and nothing happen any more."""
        self.api.carry_out_late_requests()
        self.till.rate = 0.0
        self.is_calm = True
        for fault in self.faults:
            fault.probability = 0.0
        self.api.faults[:] = [fault for fault in self.api.faults if isinstance(fault, Wind) or fault in self.faults]
        self.api.shop.advance(max(60.0, 2 * self.weather.behaviour.commit_lag))

    def changes(self) -> Counter[int]:
        """Return how often requests have changed each row."""
        return Counter(write.id for write in self.api.writes if write.op == "update" and write.id is not None)

    def statuses(self) -> dict[int, str]:
        """Return what the report says of each row, by its number."""
        return {row["row"]: row["status"] for row in report_of(self.plan)[1]}

    def check_report(self, *, alone: bool = True, resumed: bool = False) -> None:
        """Check that the report is true.

        :param alone: whether nobody else applies the plan.
        :param resumed: whether an attempt was killed, so that its writes are *already* there for the next.
        """
        statuses, changes = self.statuses(), self.changes()
        reasons = {row["row"]: row.get("why", "") for row in report_of(self.plan)[1]}
        for planned in self.updates:
            id = int(str(planned.id))
            assert changes[id] <= 1, f"{id} was changed {changes[id]} times"
            status = statuses[planned.row]
            if status == "applied":
                assert changes[id] == 1, f"{id}: applied, and no request has changed it"
            elif status == "already":
                by_till = self.till.touched(id) and not changes[id]
                assert not alone or resumed or by_till, f"{id}: already, and not by the till"
            elif status in ("rejected", "starved") or (status == "not tried" and not resumed):
                assert not (alone and changes[id]), f"{id}: {status}, and a request has changed it"
            elif status == "conflict":
                in_doubt = "put it back" in reasons[planned.row] and self.till.edited(id)
                assert in_doubt or self.till.touched(id), f"{id}: a conflict with nobody"
        created = Counter(write.id for write in self.api.writes if write.op == "create")
        for planned in self.creates:
            made = created[int(planned.id)] if planned.id else self.made(planned)
            status = statuses[planned.row]
            assert made <= 1, f"{planned.key} was created {made} times"
            if status == "applied":
                assert made >= 1, f"{planned.key}: applied, and no request has created it"
            elif status == "rejected" or (status in ("already", "not tried") and not resumed):
                assert not (alone and made), f"{planned.key}: {status}, and a request has created it"
            elif status == "conflict":
                assert any(map(self.till.edited, self.rows_of(planned))), f"{planned.key}: a conflict with nobody"

    def made(self, planned: PlannedRow) -> int:
        """Return how many products have a planned key."""
        return len(self.rows_of(planned))

    def rows_of(self, planned: PlannedRow) -> list[int]:
        """Return the ids of the products that have a planned key."""
        rows = self.api.shop.rows(self.cloud, "products")
        return [row["id"] for row in rows if row["externalId"] == planned.after["externalId"]]

    def check_end(self) -> None:
        """Check that every row is final and as planned, and that nobody's edit was overwritten."""
        statuses = self.statuses()
        assert set(statuses.values()) <= FINAL, Counter(statuses.values())
        stored = {row["id"]: row for row in self.api.shop.rows(self.cloud, "products")}
        for planned in self.updates:
            id = int(str(planned.id))
            if not self.till.edited(id):
                assert statuses[planned.row] in DONE
            if not self.till.touched(id) and statuses[planned.row] in DONE:
                assert stored[id]["priceWithVat"] == float(AFTER["priceWithVat"])
                assert stored[id]["priceWithoutVat"] == float(AFTER["priceWithoutVat"])
        for planned in self.creates:
            made = self.made(planned)
            assert made == 1, f"{planned.key}: {made} rows"
        for (id, name), value in self.till.fields.items():
            as_before = name in BEFORE and value == BACK and id not in self.till.back
            assert stored[id][name] == value or as_before, f"{name} of {id} was overwritten"
        for id in self.till.deleted:
            assert stored[id]["deleted"], f"{id} was revived"
        planned_ids = {int(str(planned.id)) for planned in self.updates}
        for id, row in self.others.items():
            if (
                id not in planned_ids
                and not any(key[0] == id for key in self.till.fields)
                and id not in self.till.deleted
            ):
                assert stored[id] == row, f"{id} was changed, which isn't planned"


@contextmanager
def storm_over(api: Sandbox, weather: Weather, folder: Path) -> Iterator[Storm]:
    """Make a storm. While it lasts, clients wait no time, and the shop's clock moves on instead."""
    channel.forget_tokens()
    storm = Storm(api, weather, folder)

    def sleep(self: DotyposClient, seconds: float) -> None:
        if seconds > 0:
            storm.till.work(seconds)

    # A gate looks at the machine's clock, which stands still here: it would never open.
    with (
        storm.stack,
        patch.object(DotyposClient, "sleep", sleep),
        patch.object(Gate, "close", lambda self, seconds: None),
    ):
        yield storm
    api.faults.clear()
    api.behaviour = BEST_KNOWN
    channel.forget_tokens()


def weather_through(
    api: Sandbox, weather: Weather, folder: Path, between: Callable[[Storm], object] = lambda storm: None
) -> Storm:
    """Apply a plan in a storm until every row is final, and check all that is promised.

    :param between: what happens before each attempt but the first.
    """
    with storm_over(api, weather, folder) as storm:
        while storm.attempt() is not None or set(storm.statuses().values()) - FINAL:
            storm.check_report()
            if storm.attempts == 5:
                storm.calm()
            assert storm.attempts < 10, Counter(storm.statuses().values())
            between(storm)
        storm.check_report()
        if not storm.is_calm:
            storm.calm()
        storm.check_end()
        done = {planned.id for planned in storm.updates if storm.statuses()[planned.row] in DONE}
        written = len(api.writes)
        assert storm.attempt() is None
        again = {str(write.id) for write in api.writes[written:]}
        assert not again & done, "what was done was written again"
        assert weather.rough or not again
        storm.check_report()
    return storm


def kill(api: Sandbox, weather: Weather, folder: Path, appliers: Appliers, kills: int) -> Storm:
    """Apply a plan by processes that are killed, and then by one that isn't.

    :param kills: how many are killed, each in the midst of a request.
    """
    with storm_over(api, weather, folder) as storm:
        chance = random.Random(weather.seed)
        for _ in range(kills):
            requests = chance.randrange(1, 30 if weather.method == "patch" else 8)
            reaper = Reaper(appliers.fork(storm.plan.path, storm.fields, storm.options), requests)
            api.faults.insert(0, reaper)
            code = appliers.run()
            api.faults.remove(reaper)
            assert code in (0, -signal.SIGKILL)
            storm.killed += code != 0
        assert storm.attempt() is None
        storm.check_report(resumed=True)
        storm.check_end()
    return storm
