"""The balancer at work: for each site one task that holds its lease, looks, decides, stores, sends and records."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import orjson
import structlog

from balancing.allocate import make_ready
from balancing.circuit import Allocation
from balancing.controller import Decision, Order, SiteController
from balancing.document import dump_allocation, dump_instance
from balancing.explanation import records
from balancing.health import BalancerFigures, CircuitWarnings, SiteHealth, figures_of, health_of
from domain import leases
from domain.alerting import inferred_faults, site_alerts
from domain.clock import Clock
from domain.current import offers
from domain.current.offers import OfferRecord
from domain.durations import Durations
from domain.equipment.capabilities import ChargerModels
from domain.errors import UnavailableError
from domain.events import (
    ChargerStatusChanged,
    CircuitMetered,
    InstallationChanged,
    SessionChanged,
    decode,
    installation_channel,
)
from domain.ports import ChargerCommands, DeviceVerdict, EventBus, Grip
from domain.roles import AlertKind, OperatingMode
from domain.tracing import UNTRACED, Tracing

LEASE_S = 10.0
"""With LOOK_FOR_SITES_S and a tick: a balancer that was killed is taken over within 15 s."""
LEASE_RENEWED_BELOW_S = 7.0
SETTLING_TICK_S = 1.0
"""While an offer is unconfirmed: a measurement that confirms it frees current for those who wait."""
QUIET_TICK_S = 5.0
LOOK_FOR_SITES_S = 1.0
LISTEN_AGAIN_S = 2.0
COMMAND_TIMEOUT_S = 30.0
"""The same as the time after which staging repeats an offer that nobody acknowledged."""
GATHER_S = 0.05
"""Events of one moment are answered by one decision."""

_log = structlog.get_logger(__name__)

CRASHES = 3
CRASHES_WITHIN_S = 600.0

HALF_A_SECOND = timedelta(seconds=0.5)

Shown = tuple[float, str]
Show = Callable[[UUID, float, str], Awaitable[None]]


@dataclass(slots=True)
class BalancerCounts:
    """What balancers of this process did since it began."""

    ticks: Durations = field(default_factory=Durations)
    """From looking at a site until what follows is stored and on its way."""
    decisions: int = 0
    """That said something new."""
    offers: "Counter[DeviceVerdict]" = field(default_factory=Counter)
    """Sent to chargers, by what they answered."""
    crashes: int = 0
    leases_lost: int = 0
    """To another process, or because they ran out."""


@dataclass(frozen=True, slots=True)
class BalancerPorts:
    """What the balancer needs from outside. `show` makes an offer in force visible in a charger's live status."""

    commands: ChargerCommands
    bus: EventBus
    clock: Clock
    show: Show
    models: ChargerModels = field(default_factory=ChargerModels.load)
    tracing: Tracing = UNTRACED


class Balancer:
    """Balances every site whose lease this process can get."""

    def __init__(self, ports: BalancerPorts, *, holder: str) -> None:
        self._ports = ports
        self._holder = holder
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._sites: dict[UUID, SiteLoop] = {}
        self._making_ready: asyncio.Task[None] | None = None
        self._crashes: dict[UUID, list[float]] = {}
        self._crashing: frozenset[UUID] | None = None
        self.counts = BalancerCounts()

    @property
    def sending(self) -> int:
        """Offers that chargers have not answered yet."""
        return sum(site.sending for site in self._sites.values())

    @property
    def figures(self) -> BalancerFigures:
        """Of the sites that are balanced here now."""
        return figures_of(site.health for site in self._sites.values() if site.health is not None)

    async def run(self) -> None:
        """Until cancelled: one task for each active site. A site's task that crashed is begun anew."""
        # Beside the event loop: meanwhile chargers are answered, and told what holds without us.
        self._making_ready = asyncio.create_task(asyncio.to_thread(make_ready), name="balancer:machine-code")
        try:
            while True:
                if self._making_ready.done():
                    self._making_ready.result()
                wanted = set(await offers.balanced_installations())
                for gone in set(self._tasks) - wanted:
                    await _ended(self._tasks.pop(gone))
                    del self._sites[gone]
                for installation_id in wanted:
                    self._keep_task(installation_id)
                await self._tell_of_crashes()
                await self._ports.clock.sleep(LOOK_FOR_SITES_S)
        finally:
            await asyncio.gather(*(_ended(task) for task in (self._making_ready, *self._tasks.values())))

    def _is_ready(self) -> bool:
        return self._making_ready is not None and self._making_ready.done()

    async def _tell_of_crashes(self) -> None:
        """Sites whose balancing crashed three times in ten minutes have an alert, until it has not for as long."""
        clock = self._ports.clock
        now_s = clock.monotonic()
        if self._crashing is None:
            self._crashing = await site_alerts.crashing()
            self._crashes.update((one, [now_s] * CRASHES) for one in self._crashing)
        for site, times in list(self._crashes.items()):
            self._crashes[site] = [one for one in times if now_s - one < CRASHES_WITHIN_S]
        still = {one for one in self._crashing if self._crashes.get(one)}
        crashing = frozenset(still | {one for one, times in self._crashes.items() if len(times) >= CRASHES})
        for site in crashing ^ self._crashing:
            events = await site_alerts.balancing_crashes(site, does=site in crashing, now=clock.now())
            await self._ports.bus.publish(*events)
        self._crashing = crashing

    def _keep_task(self, installation_id: UUID) -> None:
        task = self._tasks.get(installation_id)
        if task is not None and task.done() and not task.cancelled() and (error := task.exception()) is not None:
            _log.error("balancing of a site crashed and begins anew", installation=str(installation_id), exc_info=error)
            self.counts.crashes += 1
            self._crashes.setdefault(installation_id, []).append(self._ports.clock.monotonic())
        if task is None or task.done():
            site = SiteLoop(
                installation_id, self._ports, holder=self._holder, can_allocate=self._is_ready, counts=self.counts
            )
            self._sites[installation_id] = site
            self._tasks[installation_id] = asyncio.create_task(site.run(), name=f"balancer:{installation_id}")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


class SiteLoop:
    """One site's balancing, from getting its lease to losing it."""

    def __init__(
        self,
        installation_id: UUID,
        ports: BalancerPorts,
        *,
        holder: str,
        can_allocate: Callable[[], bool] = lambda: True,
        counts: BalancerCounts | None = None,
    ) -> None:
        self._counts = counts or BalancerCounts()
        self._can_allocate = can_allocate
        self._installation_id = installation_id
        self._ports = ports
        self._holder = holder
        self._controller = SiteController()
        self._grip: Grip | None = None
        self._turns: dict[UUID, asyncio.Lock] = {}
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._last_recorded: object = None
        self._shown: dict[UUID, Shown] = {}
        self._kept: dict[UUID, OfferRecord] = {}
        self._warned_of: frozenset[UUID] | None = None
        self._circuit_warnings: CircuitWarnings | None = None
        self._circuits_told: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self.health: SiteHealth | None = None
        """As of the last decision; None while this task decides nothing."""

    @property
    def sending(self) -> int:
        """Offers that are on their way."""
        return len(self._sending)

    async def run(self) -> None:
        """Until cancelled, or until the lease is lost or the site is gone."""
        clock = self._ports.clock
        self._grip = grip = await self._lease()
        if grip is None:
            return
        listener = asyncio.create_task(self._listen(), name=f"balancer-listener:{self._installation_id}")
        trigger = "start"
        try:
            while grip is not None and await self.tick(grip, trigger):
                trigger = await self._next()
                if (grip.until - clock.now()).total_seconds() < LEASE_RENEWED_BELOW_S:
                    self._grip = grip = await self._renewed(grip)
        finally:
            self.health = None
            for task in (listener, *self._sending):
                task.cancel()
            await asyncio.gather(listener, *self._sending, return_exceptions=True)
            if grip is not None:
                await leases.give_back(grip, self._holder, now=clock.now())

    async def tick(self, grip: Grip, trigger: str) -> bool:
        """One look at the site and what follows from it; False when the site is gone, or another balances it by now."""
        began_s = asyncio.get_running_loop().time()
        with self._ports.tracing.span("balance", installation=str(self._installation_id), trigger=trigger):
            is_on = await self._tick(grip, trigger)
        self._counts.ticks.note(asyncio.get_running_loop().time() - began_s)
        return is_on

    async def _tick(self, grip: Grip, trigger: str) -> bool:
        clock = self._ports.clock
        self._grip = grip
        now, now_s = clock.now(), clock.monotonic()
        facts = await offers.site(self._installation_id, now=now, models=self._ports.models)
        if facts is None:
            return False
        can_allocate = self._can_allocate()
        decision = self._controller.decide(facts, now=now, now_s=now_s, can_allocate=can_allocate)
        kept = records(facts, decision.allocation, self._controller, now=now, now_s=now_s)
        if not await self._keep(kept, grip, is_sending=bool(decision.orders)):
            _log.warning("another process balances this site by now", installation=str(self._installation_id))
            return False
        histories = self._controller.meter_news(now=now, now_s=now_s)
        if histories and not await offers.keep_meters(self._installation_id, histories, fence=grip.fence):
            return False
        for order in decision.orders:
            self._send(order, grip)
        if can_allocate:
            await self._record(decision, trigger)
        self._tell(health_of(self._controller.meter_states, decision.instance.circuits))
        await self._warn(self._controller.disobedient)
        if can_allocate:
            await self._warn_of_circuits(now_s)
        for record in kept:
            await self._show(record.charger_id, record.target_a, record.target_phases)
        return True

    def _tell(self, health: SiteHealth) -> None:
        """What begins to be amiss, and what ends, is in the log."""
        for circuit, said, more in health.since(self.health or SiteHealth()):
            _log.warning(said, installation=str(self._installation_id), circuit=circuit, **more)
        self.health = health

    async def _warn(self, disobedient: frozenset[UUID]) -> None:
        """Their alerts are open, and nobody else's."""
        if disobedient == self._warned_of:
            return
        now = self._ports.clock.now()
        await self._ports.bus.publish(*await inferred_faults.draw_too_much(self._installation_id, disobedient, now=now))
        self._warned_of = disobedient

    async def _warn_of_circuits(self, now_s: float) -> None:
        """Those that are overloaded or not read for a while have an alert, and no others."""
        if self._circuit_warnings is None:
            told = await site_alerts.of_circuits(self._installation_id)
            self._circuits_told = (
                frozenset(map(str, told[AlertKind.CIRCUIT_OVERLOAD])),
                frozenset(map(str, told[AlertKind.METER_STALE])),
            )
            overloaded, unread = self._circuits_told
            self._circuit_warnings = CircuitWarnings(overloaded=overloaded, unread=unread)
        health = self.health or SiteHealth()
        news = self._circuit_warnings.look(health, now_s)
        if news == self._circuits_told:
            return
        overloaded, unread = news
        events = await site_alerts.circuits_are(
            self._installation_id,
            overloaded={UUID(one): health.overloads.get(one, 0.0) for one in overloaded},
            unread=frozenset(map(UUID, unread)),
            now=self._ports.clock.now(),
        )
        await self._ports.bus.publish(*events)
        self._circuits_told = news

    async def _lease(self) -> Grip | None:
        name = offers.lease_of(self._installation_id)
        return await leases.take(name, self._holder, now=self._ports.clock.now(), for_s=LEASE_S)

    async def _renewed(self, grip: Grip) -> Grip | None:
        """The same lease for longer; None when it was lost in between, so that this task ends and knows nothing more."""
        again = await self._lease()
        if again is not None and again.fence == grip.fence:
            return again
        self._counts.leases_lost += 1
        return None

    def _send(self, order: Order, grip: Grip) -> None:
        task = asyncio.create_task(self._in_turn(order, grip), name=f"offer:{order.charger_id}")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _in_turn(self, order: Order, grip: Grip) -> None:
        """The order goes out when those before it to the same charger were answered, if it may still go out then.

        Over the bus to another process two that are under way at once could overtake each other.
        """
        async with self._turns.setdefault(order.charger_id, asyncio.Lock()):
            if self._holds(grip) and self._controller.is_wanted(order):
                await self._carry_out(order, grip)

    def _holds(self, grip: Grip) -> bool:
        """Whether the lease under which an order was made is still this task's, renewed or not."""
        newest = self._grip
        return newest is not None and newest.fence == grip.fence and self._ports.clock.now() < newest.until

    async def _carry_out(self, order: Order, grip: Grip) -> None:
        command = replace(order.command, lease=grip.name, fence=grip.fence)
        answer = await self._ports.commands.send(order.charger_id, command, timeout_s=COMMAND_TIMEOUT_S)
        self._counts.offers[answer.verdict] += 1
        self._controller.answered(
            order,
            is_accepted=answer.verdict is DeviceVerdict.ACCEPTED,
            is_refused=answer.verdict is DeviceVerdict.REJECTED,
            now_s=self._ports.clock.monotonic(),
        )
        if answer.verdict is not DeviceVerdict.ACCEPTED:
            _log.warning(
                "offer was not accepted",
                charger=str(order.charger_id),
                verdict=answer.verdict.value,
                detail=answer.detail,
            )
        if order.is_alert:
            _log.error("charger does not follow its offers", charger=str(order.charger_id), reason=order.reason)
        self._wake.set()

    async def _keep(self, kept: Sequence[OfferRecord], grip: Grip, *, is_sending: bool) -> bool:
        """Whether what is new about the offers is stored, before any of them is sent; False when that is no longer ours to do."""
        news = [record for record in kept if self._kept.get(record.charger_id) != _what_counts(record)]
        if not (news or is_sending):
            return True
        if not await offers.keep(self._installation_id, news, fence=grip.fence, now=self._ports.clock.now()):
            return False
        self._kept.update((record.charger_id, _what_counts(record)) for record in news)
        return True

    async def _record(self, decision: Decision, trigger: str) -> None:
        """The decision is stored when it says something new."""
        said = _what_it_says(decision.allocation)
        if said == self._last_recorded:
            return
        self._last_recorded = said
        self._counts.decisions += 1
        await offers.record_decision(
            self._installation_id,
            triggered_by=trigger,
            instance=orjson.dumps(dump_instance(decision.instance)).decode(),
            allocation=orjson.dumps(dump_allocation(decision.allocation)).decode(),
            now=self._ports.clock.now(),
        )

    async def _show(self, charger_id: UUID, current_a: float | None, phases: str) -> None:
        if current_a is None or self._shown.get(charger_id) == (current_a, phases):
            return
        self._shown[charger_id] = (current_a, phases)
        await self._ports.show(charger_id, current_a, phases)

    async def _next(self) -> str:
        """Why the next look is taken: something happened, or it is time."""
        is_waiting = self._controller.is_settling or not self._can_allocate()
        tick_s = SETTLING_TICK_S if is_waiting else QUIET_TICK_S
        try:
            async with asyncio.timeout(tick_s):
                await self._wake.wait()
        except TimeoutError:
            return "time"
        await self._ports.clock.sleep(GATHER_S)
        self._wake.clear()
        return "change"

    async def _listen(self) -> None:
        """Until cancelled. While the bus is away the site is looked at by the clock alone, and once more when it is back."""
        while True:
            with suppress(UnavailableError):
                async with self._ports.bus.subscribe(installation_channel(self._installation_id)) as messages:
                    self._wake.set()
                    await self._hear(messages)
            await self._ports.clock.sleep(LISTEN_AGAIN_S)

    async def _hear(self, messages: AsyncIterator[bytes]) -> None:
        modes: dict[UUID, tuple[OperatingMode, bool]] = {}
        async for message in messages:
            with suppress(msgspec.DecodeError):
                match decode(message):
                    case ChargerStatusChanged() as status:
                        mode = (status.mode, status.is_online)
                        if modes.get(status.charger_id) != mode:
                            modes[status.charger_id] = mode
                            self._wake.set()
                    case SessionChanged(change="STARTED" | "ENDED") | InstallationChanged() | CircuitMetered():
                        self._wake.set()


def _what_counts(record: OfferRecord) -> OfferRecord:
    """The record with its instants in whole seconds: they are computed from another clock and jitter below that."""
    return replace(
        record,
        targeted_at=_to_seconds(record.targeted_at),
        acknowledged_at=_to_seconds(record.acknowledged_at),
        waiting_since=_to_seconds(record.waiting_since),
        charging_since=_to_seconds(record.charging_since),
        next_slot_at=_to_seconds(record.next_slot_at),
    )


def _to_seconds(at: datetime | None) -> datetime | None:
    return None if at is None else (at + HALF_A_SECOND).replace(microsecond=0)


def _what_it_says(allocation: Allocation) -> object:
    return (
        tuple((s.charger, s.current, s.phases, s.limit, s.limiting_circuit) for s in allocation.setpoints),
        allocation.overloaded,
    )
