"""Keeps the connectors of every charger here in service where they are to be, and out of it where they are not."""

import asyncio
import contextlib
import operator
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from devices.following import Following
from devices.link import Link
from devices.registry import Registry
from devices.signal import Signal
from domain import events, sql
from domain.clock import Clock
from domain.equipment import availability
from domain.equipment.availability import Standing
from domain.errors import UnavailableError
from domain.events import AvailabilityOutdated
from domain.ports import DeviceAnswer, DeviceVerdict, EventBus, SetAvailability

BOOT_EXPECTED_S = 2.0
"""A charger that has just started is not asked anything before it said so."""
STATUS_EXPECTED_S = 5.0
"""It says how its connectors are by itself after that, and after a reconnect when it is asked."""
GATHER_S = 0.5
"""What was just said is stored by then, and changes that come together are one."""
LOOK_AGAIN_S = 900.0
"""How often it is looked at least, in case a change was not heard of."""
TELL_AGAIN_S = 60.0
"""A charger that agreed and says something else is told again after so long at the earliest."""
ANSWER_TIMEOUT_S = 120.0
"""A call may wait for others of the same charger."""
MOST_AT_ONCE = 8
"""Stations that are read from the database at the same time."""

STATION = 0

_AWAY = (UnavailableError, *sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a connector was told over this connection, and when (monotonic)."""

    is_wanted: bool
    at_s: float
    is_taken: bool


@dataclass
class Availability:
    """The chargers that are connected to this process. `run` hears of changes, `keep` runs beside each link."""

    registry: Registry
    bus: EventBus
    clock: Clock
    counts: "Counter[str]"
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def run(self) -> None:
        """Until cancelled."""
        outdated: Callable[[Link], Signal] = operator.attrgetter("availability_outdated")
        channel = events.AVAILABILITY_CHANNEL
        await Following(channel, AvailabilityOutdated, outdated, self.registry, self.bus, self.clock).run()

    async def keep(self, link: Link) -> None:
        """The link's connectors are told what they are not, now and at each change, for as long as it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BOOT_EXPECTED_S):
                await link.booted.wait()
        told: dict[int, _Told] = {}
        wait_s = STATUS_EXPECTED_S
        while True:
            await self._wait(link, wait_s)
            link.availability_outdated.clear()
            wait_s = LOOK_AGAIN_S
            try:
                async with self._room:
                    standings = await availability.standings(link.station_id)
            except _AWAY as error:
                _log.info("availability waits for the database", identity=link.identity, reason=type(error).__name__)
                continue
            link.in_service = {evse: one.is_wanted for evse, one in standings.items()}
            for evse, one in standings.items():
                due_in_s = self._due_in_s(one, told.get(evse))
                if due_in_s <= 0:
                    told[evse] = await self._tell(link, evse, standings)
                wait_s = min(wait_s, due_in_s) if due_in_s > 0 else wait_s

    async def _wait(self, link: Link, for_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await link.availability_outdated.wait()
        await self.clock.sleep(GATHER_S)

    def _due_in_s(self, one: Standing, told: _Told | None) -> float:
        """When it is to be told: at once where it differs and was not told. A refusal stands until the next connection, and the end of
        a charge is waited for.
        """
        if one.is_as_wanted:
            return float("inf")
        if told is None or told.is_wanted is not one.is_wanted:
            return 0.0
        is_final = not told.is_taken or one.is_charging
        return float("inf") if is_final else max(0.0, TELL_AGAIN_S - (self.clock.monotonic() - told.at_s))

    async def _tell(self, link: Link, evse: int, standings: Mapping[int, Standing]) -> _Told:
        """The connector is told. One that is to be in service may be out of it with its whole station, which is told first, then."""
        command = SetAvailability(standings[evse].is_wanted)
        if command.is_operative and all(one.is_wanted for one in standings.values()):
            await link.command(command, evse=STATION, timeout_s=ANSWER_TIMEOUT_S)
        answer = await link.command(command, evse=evse, timeout_s=ANSWER_TIMEOUT_S)
        is_taken = answer.verdict is DeviceVerdict.ACCEPTED
        if not is_taken and answer.verdict is not DeviceVerdict.OFFLINE:
            self._refused(link, evse, command, answer)
        return _Told(command.is_operative, self.clock.monotonic(), is_taken)

    def _refused(self, link: Link, evse: int, command: SetAvailability, answer: DeviceAnswer) -> None:
        self.counts["availability refused"] += 1
        _log.warning(
            "a charger does not take its availability",
            identity=link.identity,
            evse=evse,
            is_operative=command.is_operative,
            verdict=answer.verdict.value,
            detail=answer.detail,
        )
