"""Takes events of charges to external systems. A service of the running program."""

import asyncio

import structlog

from domain import session_events, sql
from domain.authorization.external_system import system_of
from domain.clock import Clock
from domain.errors import UnavailableError
from domain.ports import CallOuts, Sealer
from domain.session_events import Due

LOOK_EVERY_S = 0.5
AT_ONCE = 50
TIMEOUT_S = 15.0
CLAIM_S = 60.0
"""Longer than a call may take, so that a slow system does not make a second worker send it again."""

_log = structlog.get_logger(__name__)


class SessionEventDelivery:
    """Delivers while `run` runs: of each session one event at a time, of all sessions many."""

    def __init__(self, *, call_outs: CallOuts, sealer: Sealer, clock: Clock) -> None:
        self._call_outs = call_outs
        self._sealer = sealer
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not await self.deliver_some():
                await self._clock.sleep(LOOK_EVERY_S)

    async def deliver_some(self) -> bool:
        """Whether there was anything to deliver."""
        try:
            due = await session_events.claim(now=self._clock.now(), for_s=CLAIM_S, limit=AT_ONCE)
        except sql.DATABASE_AWAY:
            _log.warning("events of charges wait for the database")
            return False
        async with asyncio.TaskGroup() as tasks:
            for event in due:
                tasks.create_task(self._deliver(event), name="event of a charge")
        return bool(due)

    async def _deliver(self, event: Due) -> None:
        try:
            await self._tell(event)
        except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE):
            # When its claim is over it goes out again, under the same id.
            _log.warning("an event of a charge waits for the database", event_id=str(event.event_id))

    async def _tell(self, event: Due) -> None:
        try:
            await self._post(event)
        except UnavailableError as error:
            _log.warning("an event of a charge waits", event_id=str(event.event_id), reason=error.message)
            await session_events.retry(event, error=error.message, now=self._clock.now())
        else:
            await session_events.delivered(event, now=self._clock.now())

    async def _post(self, event: Due) -> None:
        system = await system_of(event.installation_id, sealer=self._sealer, now=self._clock.now())
        if system.url is None:
            raise UnavailableError("No address is set for the site's system.")
        await self._call_outs.post(
            system.url,
            event_id=str(event.event_id),
            content=event.payload.encode(),
            secrets=system.secrets,
            timeout_s=TIMEOUT_S,
        )
