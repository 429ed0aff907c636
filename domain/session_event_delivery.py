"""Takes events of charges to external systems. A service of the running program."""

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from domain import session_events, sql
from domain.authorization.external_system import system_of
from domain.clock import Clock
from domain.errors import StatusError, UnavailableError
from domain.ports import CallOuts, Sealer
from domain.roles import ExternalMode
from domain.session_events import Due

LOOK_EVERY_S = 0.5
AT_ONCE = 64
AT_ONCE_TO_ONE = 8
"""Calls to one host at a time, and one only while it gives no answer: whoever hangs takes little of the room from others."""
TIMEOUT_S = 15.0
LONGEST_PAUSE_S = 3600
"""That a system may ask for: an event has a day."""
CLAIM_S = 60.0
"""Longer than a call may take, so that a slow system does not make a second worker send it again."""

_log = structlog.get_logger(__name__)
_order = Random()


class SessionEventDelivery:
    """Delivers while `run` runs: of each session one event at a time, of all sessions many, to one host a few."""

    def __init__(self, *, call_outs: CallOuts, sealer: Sealer, clock: Clock) -> None:
        self._call_outs = call_outs
        self._sealer = sealer
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        self._silent: set[str] = set()
        """Hosts that gave no answer to the last call."""
        self._is_freed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._is_freed.clear()
                if not await self._begin(tasks):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EVERY_S):
                            await self._is_freed.wait()

    async def deliver_some(self) -> bool:
        """Whether there was anything to deliver; it is delivered, or waits for its next attempt."""
        async with asyncio.TaskGroup() as tasks:
            return await self._begin(tasks)

    async def _begin(self, tasks: asyncio.TaskGroup) -> bool:
        """Whether something is on its way now: as much as there is room for, whichever hosts come first."""
        begun = False
        try:
            places = await session_events.due_places(now=self._clock.now())
            for host, some in _by_host(places):
                to_it = 1 if host in self._silent else AT_ONCE_TO_ONE
                room = min(to_it - self._under_way[host], AT_ONCE - self._under_way.total())
                if room <= 0:
                    continue
                for event in await session_events.claim(some, now=self._clock.now(), for_s=CLAIM_S, limit=room):
                    self._under_way[host] += 1
                    tasks.create_task(self._deliver(event, host), name="event of a charge")
                    begun = True
        except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE):
            _log.warning("events of charges wait for the database")
        return begun

    async def _deliver(self, event: Due, host: str) -> None:
        try:
            await self._tell(event, host)
        except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE):
            # When its claim is over it goes out again, under the same id.
            _log.warning("an event of a charge waits for the database", event_id=str(event.event_id))
        except Exception as error:  # whatever befell one event, the others go on; it goes out again as above
            _log.error("an event could not be delivered", event_id=str(event.event_id), reason=type(error).__name__)
        finally:
            self._under_way[host] -= 1
            self._is_freed.set()

    async def _tell(self, event: Due, host: str) -> None:
        url: str | None = None
        try:
            system = await system_of(event.installation_id, sealer=self._sealer, now=self._clock.now())
            url = system.url
            if url is None or system.mode is ExternalMode.OFF or system.is_gone:
                reason = session_events.GONE if system.is_gone else session_events.NOT_TOLD
                await session_events.fail(event, error=reason, now=self._clock.now())
                return
            await self._call_outs.post(
                url,
                event_id=str(event.event_id),
                content=event.payload.encode(),
                secrets=system.secrets,
                timeout_s=TIMEOUT_S,
            )
        except UnavailableError as error:
            if url is not None:
                self._heard(host, is_silent=not isinstance(error, StatusError))
            await self._not_taken(event, url, error)
        else:
            self._heard(host, is_silent=False)
            await session_events.delivered(event, now=self._clock.now())

    def _heard(self, host: str, *, is_silent: bool) -> None:
        if is_silent:
            self._silent.add(host)
        else:
            self._silent.discard(host)

    async def _not_taken(self, event: Due, url: str | None, error: UnavailableError) -> None:
        _log.warning("an event of a charge waits", event_id=str(event.event_id), reason=error.message)
        now = self._clock.now()
        is_gone = isinstance(error, StatusError) and error.is_gone
        if is_gone and url is not None and await session_events.gone(event, url=url, now=now):
            return
        if error.retry_after_s and url is not None:
            wait_s = min(error.retry_after_s, LONGEST_PAUSE_S)
            await session_events.pause(event, url=url, until=now + timedelta(seconds=wait_s))
        # Calls that wait for an answer, or for their time, are too few to try all that grew old meanwhile.
        concerns_all = bool(error.retry_after_s) or not isinstance(error, StatusError)
        await session_events.retry(event, error=error.message, now=now, concerns_all=concerns_all)


def _by_host(places: dict[UUID, str | None]) -> list[tuple[str, list[UUID]]]:
    """(host, the installations whose system is there), in any order: nobody is always the last."""
    hosts: dict[str, list[UUID]] = {}
    for installation_id, url in places.items():
        hosts.setdefault(urlsplit(url or "").netloc, []).append(installation_id)
    found = list(hosts.items())
    _order.shuffle(found)
    return found
