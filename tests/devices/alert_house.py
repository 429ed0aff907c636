"""A house in this process with simulated chargers at real sockets, a meter and a balancer, all on one clock that a test puts forward."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import msgspec

from balancing.loop import Balancer, BalancerPorts
from devices.service import DeviceOptions
from devices.simulator.car import CarSpec
from devices.simulator.charger import Charger
from devices.simulator.fleet import Fleet
from devices.simulator.plan import ChargerPlan, Quirks, Visit
from domain import lifecycle
from domain.clock import SystemClock
from domain.current import offers
from domain.equipment.meters import report_meter
from domain.errors import UnavailableError
from domain.events import InstallationChanged
from domain.models import Alert, ExternalAuthentication, Lease, Station
from domain.ports import EventBus
from domain.roles import AlertKind, ExternalMode, Role, Scope
from domain.units import PhaseAmps
from tests.devices.server import CARD, Server, a_registered_charger, a_server
from tests.devices.simulated import LIMIT_S, PLAN
from tests.factories import Program, Site, a_card, a_grant, a_person, a_program, a_site

STEP_S = 30.0
"""Chargers send a heartbeat twice as often, so that nobody is taken for gone while time is put forward."""
TURN_S = 5.0
"""The balancer holds its lease for longer."""
INFERRED_S = 21.0
"""It is looked as often at what nobody says."""
MOMENT_S = 0.5
LOOK_S = 0.01
OWNER = "olga@example.com"
CHARGERS = 4


class LeapingClock(SystemClock):
    """The machine's clock, which can be put forward: whoever sleeps by it wakes up in time."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._leapt = asyncio.Event()

    def now(self) -> datetime:
        """The instant, put forward."""
        return super().now() + timedelta(seconds=self._ahead_s)

    def monotonic(self) -> float:
        """Seconds, put forward."""
        return super().monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        """Returns when so long has passed by this clock."""
        until_s = self.monotonic() + seconds
        while (left_s := until_s - self.monotonic()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._leapt.wait()
            except TimeoutError:
                return

    def leap(self, seconds: float) -> None:
        """It is so much later."""
        self._ahead_s += seconds
        self._leapt.set()
        self._leapt = asyncio.Event()


class AccessSystem:
    """An external system that lets everybody in, or is away (a CallOuts port)."""

    def __init__(self) -> None:
        self.is_away = False

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        """Its answer."""
        if self.is_away:
            raise UnavailableError("Nobody answers there.")
        return msgspec.json.encode({"decision": "ACCEPTED"})

    async def check(self, url: str) -> None:
        """Any address will do."""


@dataclass
class House:
    """`chargers` are those of `site`; `other` is `elsewhere`, a place of which an external system decides who charges there."""

    clock: LeapingClock
    bus: EventBus
    server: Server
    system: AccessSystem
    site: Site
    elsewhere: Site
    chargers: list[Charger]
    other: Charger
    meter: Program
    _balancer: "asyncio.Task[None] | None" = field(default=None)

    # Time

    async def later(self, seconds: float) -> None:
        """It is so much later, and every charger that is here was heard of meanwhile."""
        while seconds > 0:
            step_s, seconds = min(STEP_S, seconds), seconds - STEP_S
            self.leap(step_s)
            since = self.clock.now() - timedelta(seconds=step_s / 2)
            await self.until(partial(_all_heard, since))

    def leap(self, seconds: float) -> None:
        """It is so much later, at once."""
        self.clock.leap(seconds)
        for charger in (*self.chargers, self.other):
            charger.wake()

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Returns when it is so."""
        async with asyncio.timeout(LIMIT_S):
            while not await holds():  # noqa: ASYNC110  rows tell nobody that they changed
                await asyncio.sleep(LOOK_S)

    # Alerts

    async def until_open(self, kind: AlertKind) -> Alert:
        """The open alert of that kind, once there is one."""
        await self._until(kind, is_open=True)
        found = await Alert.filter(kind=kind, resolved_at=None).order_by("id").first()
        assert found is not None
        return found

    async def until_over(self, kind: AlertKind) -> None:
        """Returns when there is no such alert."""
        await self._until(kind, is_open=False)

    async def _until(self, kind: AlertKind, *, is_open: bool) -> None:
        """What nobody says shows when it is looked for: so time passes where a moment is not enough."""
        async with asyncio.timeout(LIMIT_S):
            while not await self._is_soon(kind, is_open=is_open):
                await self.later(INFERRED_S)
                for site in (self.site, self.elsewhere):
                    await self.bus.publish(InstallationChanged(site.id))

    async def _is_soon(self, kind: AlertKind, *, is_open: bool) -> bool:
        try:
            async with asyncio.timeout(MOMENT_S):
                while await Alert.filter(kind=kind, resolved_at=None).exists() is not is_open:  # noqa: ASYNC110  as above
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            return False
        return True

    # Chargers

    async def until_here(self, *chargers: Charger) -> None:
        """They are connected, and the portal knows it."""

        async def are_here() -> bool:
            names = [one.plan.identity for one in chargers]
            return await Station.filter(identity__in=names, is_connected=True).count() == len(names)

        await self.until(are_here)

    async def until_gone(self, *chargers: Charger) -> None:
        """They are not connected."""

        async def are_gone() -> bool:
            names = [one.plan.identity for one in chargers]
            return not await Station.filter(identity__in=names, is_connected=True).exists()

        await self.until(are_gone)

    # The balancer

    def balance(self) -> None:
        """A balancer begins."""

        async def show(charger_id: UUID, current_a: float, phases: str) -> None:
            await self.bus.publish(*await lifecycle.show_allocation(charger_id, current_a, phases))

        ports = BalancerPorts(commands=self.server.service.commands, bus=self.bus, clock=self.clock, show=show)
        self._balancer = asyncio.create_task(Balancer(ports, holder=str(uuid4())).run(), name="balancer")

    async def end_balancer(self) -> None:
        """Nobody balances any more."""
        if self._balancer is not None:
            self._balancer.cancel()
            await asyncio.wait([self._balancer])

    async def balanced(self, seconds: float) -> None:
        """It is so much later, and the balancer has looked at the site all along."""
        while seconds > 0:
            step_s, seconds = min(TURN_S, seconds), seconds - TURN_S
            self.leap(step_s)
            await self.bus.publish(InstallationChanged(self.site.id))
            await self.until_balanced()

    async def until_balanced(self) -> None:
        """The balancer has looked at the site as it is now."""
        mark = self.clock.now() + timedelta(seconds=TURN_S)
        await self.until(Lease.filter(name=offers.lease_of(self.site.id), until__gt=mark).exists)

    async def flows(self, amps: float) -> None:
        """The meter of the main breaker tells that so much flows on every line."""
        access = await self.meter.access(now=self.clock.now())
        await report_meter(access, self.site.root_id, PhaseAmps.even(amps), bus=self.bus)


async def _all_heard(since: datetime) -> bool:
    return not await Station.filter(is_connected=True, last_seen_at__lt=since).exists()


def a_car(*, stay_s: float = 1e6, card: str | None = CARD) -> Visit:
    """A car that stays, with that card."""
    return Visit(
        after_s=0.0, stay_s=stay_s, car=CarSpec(phases=3, max_current_a=16.0, energy_wanted_wh=1e6), id_tag=card
    )


@asynccontextmanager
async def a_house(bus: EventBus, protocol: str, *, count: int = CHARGERS) -> AsyncIterator[House]:
    """Inside: so many chargers are connected, and balanced; their owner is OWNER, and CARD may charge there."""
    clock, system = LeapingClock(), AccessSystem()
    site, other = await a_site(breaker_a=40.0), await a_site("Elsewhere")
    person = await a_person("Olga", email=OWNER)
    await a_card(person, number=CARD)
    await a_grant(Role.OWNER, site, user_id=person)
    await ExternalAuthentication.create(
        installation_id=other.id, mode=ExternalMode.ENFORCE, url="https://access.example/ask", timeout_s=0.1
    )
    known = [await a_registered_charger(site, f"Space {number + 1}") for number in range(count)]
    known.append(await a_registered_charger(other, "Gate"))
    meter = await a_program(site, scopes=[Scope.SET_AVAILABLE_CURRENT])
    options = DeviceOptions(heartbeat_interval_s=int(STEP_S / 2), check_every_s=0.05)
    async with a_server(bus, options=options, clock=clock, call_outs=system) as server:
        plans = [
            ChargerPlan(identity=one.identity, password=one.password, visits=(), protocol=protocol, quirks=Quirks())
            for one in known
        ]
        plan = replace(PLAN, chargers=tuple(plans), sample_every_s=int(STEP_S))
        fleet = Fleet(f"ws://127.0.0.1:{server.port}/ocpp", plan, clock=clock)
        *chargers, gate = (fleet.chargers[one.identity] for one in known)
        house = House(clock, bus, server, system, site, other, chargers, gate, meter)
        running = asyncio.create_task(fleet.run())
        try:
            await house.until_here(*chargers, gate)
            house.balance()
            await house.until_balanced()
            yield house
            assert not running.done(), running
        finally:
            await house.end_balancer()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
