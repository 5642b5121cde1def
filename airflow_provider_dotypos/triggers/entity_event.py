"""``DotyposEntityEventTrigger``: starts DAGs when the rows of a list change, as an asset's watcher."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError
from airflow_provider_dotypos.api.overrides import describe, read_given_cloud_id
from airflow_provider_dotypos.api.watch import OVERLAP, State, Watch
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.triggers.failures import LONGEST_WAIT
from airflow_provider_dotypos.triggers.kept_state import KeptState
from airflow_provider_dotypos.triggers.subscriptions import Step, Subscription, subscribe
from airflow_provider_dotypos.triggers.trouble import mistake

log = logging.getLogger(__name__)

#: The state of a watcher in which nothing has changed is kept after so many polls. A restart asks from there.
_KEPT_AFTER = 10

#: Seconds that arguments can be, least and most.
_LIMITS = {"poll_interval": (1.0, 86_400.0), "overlap": (0.0, 86_400.0), "lookback": (0.0, 30 * 86_400.0)}


class Delivery(NamedTuple):
    """What a watcher hands to Airflow at once.

    :param payload: of the event; ``None`` if there is only a state to keep.
    :param state: kept once the event is stored.
    """

    payload: dict[str, Any] | None
    state: State


class DotyposEntityEventTrigger(BaseEventTrigger):
    """Fires an event for each change of a list's rows: at least once, and an equal repeat has the same key.

    Give it to an ``AssetWatcher``, or have ``airflow_provider_dotypos.assets.dotypos_asset`` do so. All watchers of a
    list share one poll. On Airflow 3.3 a watcher goes on from its last event that Airflow has stored. Earlier versions
    keep nothing, so there it looks back at each start.

    :param entity: the list to watch, such as ``orders``.
    :param filter: only rows that meet it count: text in the API's grammar, such as ``"paid|eq|true"``. Defaults to all.
    :param deleted: whether deleted rows count. Defaults to true.
    :param cloud_id: the cloud. Defaults to the connection's.
    :param dotypos_conn_id: the Airflow connection. Defaults to ``dotypos_default``.
    :param poll_interval: seconds between polls, 1 to 86,400; the request budget may make them more. Defaults to 60, and
        to 600 where a webhook of ours reports the list's changes to the same asset.
    :param overlap: seconds for which a change may show late in the API. Defaults to 60.
    :param lookback: seconds to look back at a start without a kept state. Defaults to 600.
    :param asset: name of the watched asset, which keeps the state. Defaults to the only one.
    :raises DotyposInputError: if an argument can't be used, the list has no cursor, or the filter can't be evaluated.

    https://docs.api.dotypos.com/api-reference/general/filter
    """

    def __init__(
        self,
        *,
        entity: str,
        filter: str = "",
        deleted: bool = True,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        poll_interval: float | None = None,
        overlap: float = OVERLAP,
        lookback: float = 600.0,
        asset: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        check_conn_id(dotypos_conn_id)
        if not isinstance(filter, str):
            raise DotyposInputError(
                f'filter must be text in the API\'s grammar, such as "paid|eq|true", not {describe(filter)}'
            )
        if not isinstance(deleted, bool):
            raise DotyposInputError(f"deleted must be True or False, not {describe(deleted)}")
        if asset is not None and (not isinstance(asset, str) or not asset):
            raise DotyposInputError(f"asset must be the name of an asset, not {describe(asset)}")
        self.entity = entity
        self.filter = filter
        self.deleted = deleted
        self.cloud_id = None if cloud_id is None else read_given_cloud_id(cloud_id)
        self.dotypos_conn_id = dotypos_conn_id
        self.poll_interval = None if poll_interval is None else _seconds(poll_interval, "poll_interval")
        self.overlap = _seconds(overlap, "overlap")
        self.lookback = _seconds(lookback, "lookback")
        self.asset = asset
        self._watch = Watch.of(entity, filter or None, deleted=deleted)
        self._mistakes = mistake(f"A watcher of {entity}")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the arguments that make this trigger again: what Airflow tells triggers apart by."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "entity": self.entity,
                "filter": self.filter,
                "deleted": self.deleted,
                "cloud_id": self.cloud_id,
                "dotypos_conn_id": self.dotypos_conn_id,
                "poll_interval": self.poll_interval,
                "overlap": self.overlap,
                "lookback": self.lookback,
                "asset": self.asset,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each change (Airflow 3.1 and 3.2, which keep no state)."""
        async for delivery in self.deliveries():
            if delivery.payload is not None:
                yield TriggerEvent(delivery.payload)  # type: ignore[no-untyped-call]

    def shared_stream_key(self) -> Hashable:
        """Return what names the stream of this watcher alone (Airflow 3.3).

        Airflow says when the events of a whole stream are stored. So each watcher has one of its own: none waits for
        another's, and none has to doubt its own for another's sake. What they share is the poll below.
        """
        return "dotypos", self.trigger_id, _arguments(self.serialize()[1])

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """Return what feeds the stream of the watcher with these arguments, and keeps its state (Airflow 3.3)."""
        return _compat.stream_producer(EventProducer)(_watchers[_arguments(kwargs)])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Delivery]) -> AsyncIterator[TriggerEvent]:
        """Yield the events of this watcher's stream (Airflow 3.3)."""
        _watchers[_arguments(self.serialize()[1])] = self  # before the stream begins, which needs the loop for that
        async for delivery in shared_stream:
            if delivery.payload is not None:
                yield TriggerEvent(delivery.payload)  # type: ignore[no-untyped-call]

    async def cleanup(self) -> None:
        """Forget this watcher: Airflow has ended it."""
        arguments = _arguments(self.serialize()[1])
        if _watchers.get(arguments) is self:
            del _watchers[arguments]

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield what is to be handed to Airflow, for ever. A failure is waited out; the log says so once an hour."""
        state = await self._kept.read()
        async with subscribe(
            self.dotypos_conn_id,
            self.cloud_id,
            self._watch,
            state or State.begin(0),
            poll_interval=self.poll_interval,
            overlap=self.overlap,
            soon=False,
            asset=self.asset,
        ) as subscription:
            if state is None:
                await self._begin(subscription)
            polls = 0
            while True:
                step = await self._next(subscription)
                polls += 1
                if step.change is not None:
                    yield Delivery(step.change.payload(step.cloud_id, self.entity), step.state)
                elif polls % _KEPT_AFTER == 0:
                    yield Delivery(None, step.state)

    async def keep(self, state: State) -> None:
        """Keep the state from which the next start goes on."""
        await self._kept.write(state)

    @cached_property
    def _kept(self) -> KeptState:
        """Where the state is kept. Airflow gives the asset's store to a trigger that it has made."""
        watched = [self.dotypos_conn_id, self.cloud_id, self.entity, self.filter, self.deleted]
        return KeptState(self, self.asset, watched)

    async def _begin(self, subscription: Subscription) -> None:
        """Begin now, or as far back as nothing says what was seen, and keep that before the first poll."""
        back = 0.0 if self._kept.is_new else self.lookback
        try:
            await subscription.begin(back)
        except Exception as error:  # whatever it is: the polls will meet it again, and say so
            # This machine's clock may be ahead. Too early a beginning repeats changes, too late a one loses some.
            log.debug("The watcher begins by the clock of this machine: %s", type(error).__name__)
            subscription.state = State.begin(int((time.time() - self.lookback - self.overlap) * 1000))
        await self.keep(subscription.state)

    async def _next(self, subscription: Subscription) -> Step:
        while True:
            try:
                with suppress(DotyposError):  # it is in the log, for all who watch the list
                    return await subscription.next()
            except Exception as error:  # of ours: Airflow would start the watcher again every two seconds
                if self._mistakes.note(error, LONGEST_WAIT):
                    log.exception("Its frames:")
                await asyncio.sleep(LONGEST_WAIT)


class EventProducer:
    """Feeds the stream of one watcher, and keeps its state once Airflow has stored the events (Airflow 3.3).

    :param trigger: the watcher.
    """

    def __init__(self, trigger: DotyposEntityEventTrigger) -> None:
        self._trigger = trigger
        self._in_doubt = False

    async def open_stream(self) -> AsyncIterator[tuple[Delivery, State]]:
        """Yield what the watcher hands to Airflow, each with the state to keep when that is stored."""
        async for delivery in self._trigger.deliveries():
            yield delivery, delivery.state

    async def advance(self, batch: Sequence[tuple[State, Any]]) -> None:
        """Keep the last state of which Airflow has stored all that led to it.

        After an event that wasn't stored no state is kept any more: it would pass over that event. Airflow ends such a
        watcher. Its next start goes on before the event.
        """
        stored: State | None = None
        for state, outcome in batch:
            self._in_doubt = self._in_doubt or not outcome.is_clean
            stored = stored if self._in_doubt else state
        if stored is not None:
            await self._trigger.keep(stored)


#: The watchers of this process by their arguments, from which alone Airflow makes the producer of a stream. Of two with
#: the same, while one takes the other's place, the later one: it is about to get its stream.
_watchers: dict[Hashable, DotyposEntityEventTrigger] = {}


def _arguments(kwargs: dict[str, Any]) -> Hashable:
    return tuple(sorted(kwargs.items()))


def _seconds(value: object, argument: str) -> float:
    """Return a number of seconds, as one kind of number: Airflow takes 60 and 60.0 for two triggers.

    :param argument: what the caller's argument is called.
    :raises DotyposInputError: if there can't be as many.
    """
    least, most = _LIMITS[argument]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise DotyposInputError(f"{argument} must be {least:g} to {most:,.0f} seconds, not {describe(value)}")
    return float(value)
