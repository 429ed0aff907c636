"""A simulated charge point with one connector, without its socket: car, meter, sessions, and what it has to say.

Time comes from a clock; `advance` moves the world to now. Nothing here waits.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from devices.ocpp.v16.messages import Context, Reason
from devices.simulator.car import JOULES_PER_WH, MIN_CURRENT_A, VOLTAGE_V, Car
from devices.simulator.configuration import (
    AUTHORIZATION_CACHE,
    HEARTBEAT_INTERVAL,
    SAMPLE_INTERVAL,
    SWITCHES_PHASES,
    Configuration,
)
from devices.simulator.ledger import Happening, Kind, Ledger, OfferChange, SessionRecord
from devices.simulator.outbox import Message, Outbox
from devices.simulator.plan import ChargerPlan, Plan, Visit
from devices.simulator.profiles import Limit, Moment, Profiles
from devices.simulator.speech import Facts, Said, Speech, Status, Transaction
from devices.simulator.speech16 import Speech16
from devices.simulator.speech201 import Speech201
from devices.simulator.troubles import Trouble
from devices.simulator.wiring import LINES, loaded_lines
from domain.clock import Clock

DARK = Limit(0.0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DENIED = datetime.min.replace(tzinfo=UTC)

Activity = Literal["Charging", "SuspendedEV", "SuspendedEVSE"]

SPEECHES: dict[str, Speech] = {one.subprotocol: one for one in (Speech16(), Speech201())}


class Station:
    """The charge point's state."""

    def __init__(self, plan: ChargerPlan, fleet: Plan, *, random: Random, clock: Clock, ledger: Ledger) -> None:
        self.plan = plan
        self.fleet = fleet
        self.random = random
        self.clock = clock
        self.ledger = ledger
        self.speech = SPEECHES[plan.protocol]
        quirks = plan.quirks
        self.outbox = Outbox() if quirks.memory is None else Outbox(most=quirks.memory)
        self._late: list[Message] = []
        self._unheard: list[Message] = []
        self._power_lost_s = float("inf")
        self._clock_unset_since_s: float | None = clock.monotonic() if quirks.forgets_clock else None
        self.profiles = Profiles()
        self.configuration = Configuration()
        self.configuration.values[SAMPLE_INTERVAL] = str(fleet.sample_every_s)
        self.configuration.values[SWITCHES_PHASES] = str(plan.can_switch_phases).lower()
        self.local_list_version = 0
        self.local_list: dict[str, datetime | None] = {}
        """Cards that are accepted while there is no connection, and until when."""
        self.remembered: set[str] = set()
        """Cards that were let in here, while AuthorizationCacheEnabled is true."""
        self.is_operative = True
        self.trouble: Trouble | None = None
        """What it finds wrong with itself; nobody charges here meanwhile."""
        self._troubles_told = 0
        self.is_online = False
        self.is_restarting = False
        self.status: Status = "Available"
        self.car: Car | None = None
        self.transaction: Transaction | None = None
        self.awaited_tag: str | None = None
        """A remote start that waits for its car."""
        self._awaited_until_s = 0.0
        self.register_wh = float(plan.first_register_wh)
        self.offer = DARK
        self._shown_offer: tuple[tuple[int, int, int], tuple[int, int, int]] = ((0, 0, 0), (0, 0, 0))
        self._now_s = clock.monotonic()
        self._next_heartbeat_s = float("inf")

    # What the clock says

    def charger_time(self) -> datetime:
        """Now, by this charger's clock."""
        if self._clock_unset_since_s is not None:
            return EPOCH + timedelta(seconds=self.clock.monotonic() - self._clock_unset_since_s)
        quirks = self.plan.quirks
        return self.clock.now() + timedelta(seconds=quirks.clock_offset_s + quirks.local_time_ahead_s)

    def timestamp(self) -> str:
        """Now, as this charger writes it."""
        text = self.charger_time().isoformat(timespec="milliseconds")
        return text.removesuffix("+00:00") if self.plan.quirks.is_zoneless else text.replace("+00:00", "Z")

    def note(self, kind: Kind, detail: str = "") -> None:
        """Tells the ledger."""
        self.ledger.note(Happening(self.plan.identity, kind, self.clock.monotonic(), detail))

    # The passing of time

    def advance(self) -> None:
        """The world is as of now: energy has flowed, the offer and the status are current, samples and heartbeats are due."""
        now_s = self.clock.monotonic()
        elapsed_s, self._now_s = now_s - self._now_s, now_s
        if self.car is not None:
            offered_a = 0.0 if self.plan.quirks.lets_no_current else self.offer.current_a
            self.car.step(elapsed_s, offered_a=offered_a, phases=self._car_phases())
            self.register_wh += sum(self.car.currents) * VOLTAGE_V * elapsed_s / JOULES_PER_WH
        self.refresh_offer()
        if self.transaction is not None:
            self._set_status(self._activity())
            self._sample_if_due(self.transaction, now_s)
            if now_s >= self._power_lost_s:
                self._lose_power()
        if now_s >= self._next_heartbeat_s:
            self._next_heartbeat_s = now_s + self.configuration.seconds(HEARTBEAT_INTERVAL)
            self.say(self.speech.heartbeat())

    def _lose_power(self) -> None:
        """The transaction is over; it is told when the charger has started again."""
        self._power_lost_s = float("inf")
        self.is_online = False
        self.end("PowerLoss")
        self.is_restarting = True
        if self.plan.quirks.forgets_clock:
            self._clock_unset_since_s = self.clock.monotonic()

    def next_due_s(self) -> float:
        """When `advance` has something to do again (monotonic)."""
        physics = self._now_s + self.fleet.step_s if self.transaction is not None else float("inf")
        return min(physics, self._next_heartbeat_s)

    def refresh_offer(self) -> None:
        """The pilot shows what the profiles say now, and the ledger knows."""
        self.offer = self._limit() if self.is_taken else DARK
        shown = self._by_line(self.offer)
        if shown != self._shown_offer:
            self._shown_offer = shown
            self.ledger.offer(OfferChange(self.clock.monotonic(), self.plan.identity, *shown))
            self.note(Kind.OFFERED, f"{self.offer.current_a:.1f} A")

    def _limit(self) -> Limit:
        running = self.transaction
        lasted_s = None if running is None else self.clock.monotonic() - running.started_s
        moment = Moment(self.charger_time(), lasted_s)
        limit = self.profiles.limit(moment, most_a=self.plan.max_current_a)
        return limit if limit.current_a >= MIN_CURRENT_A else DARK

    def _by_line(self, offer: Limit) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        milliamps = round(offer.current_a * 1000)
        wired = LINES[self.plan.rotation]
        usable = loaded_lines(self.plan.rotation, phases=self._car_phases(), network=self.plan.network)
        return _on(usable, milliamps), _on(wired, milliamps)

    def _car_phases(self) -> int:
        if self.car is None:
            return 0
        wired = len(LINES[self.plan.rotation])
        switched = self.offer.phases if self.plan.can_switch_phases else wired
        return min(self.car.spec.phases, wired, switched)

    def _activity(self) -> Activity:
        if self.offer.current_a < MIN_CURRENT_A:
            return "SuspendedEVSE"
        return "SuspendedEV" if self.car is None or self.car.is_full else "Charging"

    def _sample_if_due(self, transaction: Transaction, now_s: float) -> None:
        every_s = self.configuration.seconds(SAMPLE_INTERVAL)
        if every_s and now_s >= transaction.next_sample_s:
            transaction.next_sample_s = now_s + every_s
            self.say(self.speech.metered(self.facts()))

    # People and cars

    def plug_in(self, visit: Visit) -> None:
        """A car is connected; with a card the session begins as soon as the card is accepted."""
        self.advance()
        self.car = Car(visit.car)
        self.note(Kind.PLUGGED, f"{visit.car.phases} phases")
        self._set_status("Preparing" if self.is_operative else "Unavailable")
        if self._begins_with_cable:
            self._begin("")
        if self.awaited_tag is not None and self.clock.monotonic() <= self._awaited_until_s:
            self.begin(self.awaited_tag)
        elif visit.id_tag is not None:
            self.present(visit.id_tag)

    def await_car(self, id_tag: str) -> None:
        """The session begins now, or with the next car that comes within ConnectionTimeOut."""
        self.awaited_tag = id_tag
        self._awaited_until_s = self.clock.monotonic() + self.configuration.seconds("ConnectionTimeOut")
        self.begin(id_tag)

    def present(self, id_tag: str) -> None:
        """A card is held at the reader: asked about where there is a connection, looked up where there is none."""
        if not self.is_operative or self.trouble is not None:
            self.note(Kind.DENIED, "out of service")
        elif self.is_online:
            self.say(self.speech.authorize(id_tag))
        else:
            self.begin_offline(id_tag)

    def let_in(self, id_tag: str) -> None:
        """The card was accepted, which is remembered where that is on."""
        if self._remembers:
            self.remembered.add(id_tag)
        self.begin(id_tag)

    @property
    def _remembers(self) -> bool:
        return self.configuration.values[AUTHORIZATION_CACHE] == "true"

    def begin_offline(self, id_tag: str) -> None:
        """As the local list says, and what is remembered; every card is trusted by a charger that never got a list."""
        until = self.local_list.get(id_tag, DENIED) if self.local_list_version else None
        if self._remembers and id_tag in self.remembered:
            until = None
        if not self.fleet.begins_unlimited and not self.profiles.installed:
            self.note(Kind.DENIED, "was told no limit yet")
        elif until is None or self.charger_time() < until:
            self.begin(id_tag)
        else:
            self.note(Kind.DENIED, "not in the local list")

    @property
    def _begins_with_cable(self) -> bool:
        return self.is_operative and self.plan.quirks.begins_with_cable and self.plan.protocol == Speech201.subprotocol

    @property
    def is_taken(self) -> bool:
        """Whether somebody charges here."""
        return self.transaction is not None and self.transaction.id_tag != ""

    def begin(self, id_tag: str) -> None:
        """The session runs, if a car is there and nobody else charges here; one that began with the cable is theirs."""
        is_able = self.trouble is None and (self.is_operative or self.transaction is not None)
        if self.car is None or self.is_taken or not is_able:
            return
        self.awaited_tag = None
        if self.transaction is None:
            self._begin(id_tag)
            return
        self.transaction.id_tag = self.transaction.record.id_tag = id_tag
        for said in self.speech.claimed(self.facts()):
            self.say(said)
        self.advance()

    def _begin(self, id_tag: str) -> None:
        if self.car is None:
            return
        now_s = self.clock.monotonic()
        record = SessionRecord(
            charger=self.plan.identity,
            id_tag=id_tag,
            started_at=self.clock.now(),
            register_start_wh=int(self.register_wh),
            phases=self._car_phases(),
            car_wh=-self.car.total_wh,
            transaction_id=self.speech.new_transaction_id(self.random),
        )
        self.transaction = Transaction(id_tag, record, now_s, now_s + self.configuration.seconds(SAMPLE_INTERVAL))
        if self.plan.quirks.loses_power_every_s is not None:
            self._power_lost_s = now_s + self.random.expovariate(1 / self.plan.quirks.loses_power_every_s)
        self.ledger.sessions.append(record)
        self.say(self.speech.started(self.facts()))
        self.note(Kind.STARTED, id_tag)
        self.advance()

    def end(self, reason: Reason, *, id_tag: str | None = None) -> None:
        """The session that runs is over, and its final record is on its way; nothing where none runs."""
        self.advance()
        running = self.transaction
        if running is None:
            return
        record = running.record
        record.register_stop_wh = int(self.register_wh)
        record.ended_at = self.clock.now()
        record.reason = reason
        record.car_wh += 0.0 if self.car is None else self.car.total_wh
        self.say(self.speech.ended(self.facts(), reason, id_tag))
        self._power_lost_s = float("inf")
        for late in self._late:
            self.outbox.put(late)
        self._late.clear()
        self.transaction = None
        self.profiles.end_transaction()
        self.refresh_offer()
        self.note(Kind.ENDED, f"{record.energy_wh} Wh")
        self._set_status("Finishing" if self.is_operative else "Unavailable")

    def unplug(self, *, by_card: bool = False) -> None:
        """The car is gone."""
        if by_card and self.transaction is not None and self.is_taken:
            self.end("Local", id_tag=self.transaction.id_tag)
        self.end("EVDisconnected")
        if self.car is not None:
            self.car = None
            self.note(Kind.UNPLUGGED)
        self._set_status("Available" if self.is_operative else "Unavailable")

    def set_operative(self, *, is_operative: bool) -> None:
        """In or out of service; a running session goes on."""
        self.is_operative = is_operative
        if self.transaction is None:
            self._set_status(self._waiting)

    @property
    def _waiting(self) -> Status:
        waiting: Status = "Available" if self.car is None else "Preparing"
        return waiting if self.is_operative else "Unavailable"

    # What breaks

    def break_down(self, trouble: Trouble) -> None:
        """It finds that wrong with itself, and nothing else: a session is over, and no other begins until it is mended."""
        self.mend()
        self.end("Other")
        self.trouble = trouble
        self._tell_trouble(trouble, is_over=False)
        self._set_status("Faulted")

    def mend(self) -> None:
        """Nothing is wrong with it."""
        if self.trouble is not None:
            mended, self.trouble = self.trouble, None
            self._tell_trouble(mended, is_over=True)
            self._set_status(self._waiting)

    def _tell_trouble(self, trouble: Trouble, *, is_over: bool) -> None:
        self._troubles_told += 1
        for said in self.speech.troubled(self.facts(), trouble, self._troubles_told, is_over=is_over):
            self.say(said)

    def worry(self, event: str) -> None:
        """Something concerns its security, by the standard's name of such an event."""
        self.say(self.speech.worried(self.facts(), event))

    # What is said

    def say(self, said: Said) -> None:
        """Puts a message behind the others; without a connection only those of a transaction are kept."""
        record = self.transaction.record if said.is_kept and self.transaction is not None else None
        message = Message(said.action, said.payload, record)
        quirks = self.plan.quirks
        if message.is_reading and record is not None and self.random.random() < quirks.late_reading_rate:
            self._late.append(message)
        elif record is not None or self.is_online:
            self.outbox.put(message)
        elif quirks.replays_statuses and said.action == "StatusNotification":
            self._unheard.append(message)

    def _set_status(self, status: Status) -> None:
        status = status if self.trouble is None else "Faulted"
        if status != self.status:
            before, self.status = self.status, status
            for said in self.speech.changed(before, self.facts()):
                self.say(said)

    def facts(self) -> Facts:
        """Everything as it is now."""
        quirks, running = self.plan.quirks, self.transaction
        zero_wh = running.record.register_start_wh if quirks.counts_from_start and running is not None else 0
        return Facts(
            timestamp=self.timestamp(),
            status=self.status,
            register_wh=self.register_wh - zero_wh,
            zero_wh=zero_wh,
            is_in_kwh=quirks.meters_in_kwh,
            currents=(0.0, 0.0, 0.0) if self.car is None else self.car.currents,
            transaction=self.transaction,
            is_operative=self.is_operative,
            is_online=self.is_online or not quirks.marks_offline,
            trouble=self.trouble,
        )

    def say_meter(self, context: Context) -> None:
        """The meter, of the transaction if one runs."""
        self.say(self.speech.metered(self.facts(), context))

    def say_status(self) -> None:
        """The connector as it is now."""
        self.say(self.speech.statuses(self.facts())[-1])

    # Connection

    def came_online(self, heartbeat_s: float | None) -> None:
        """The other side listens. The statuses go first, then what was kept. `heartbeat_s` is set after a boot."""
        self.is_online = True
        if heartbeat_s is not None:
            self._clock_unset_since_s = None
            if self.plan.quirks.forgets_availability and not self.is_operative:
                self.set_operative(is_operative=True)
        statuses = self.speech.statuses(self.facts())
        told = [Message(said.action, said.payload) for said in statuses]
        self.outbox.put_first([*told, *self._unheard])
        self._unheard.clear()
        if heartbeat_s is not None:
            self.configuration.values[HEARTBEAT_INTERVAL] = str(int(heartbeat_s))
        if self.plan.quirks.sends_heartbeats:
            every_s = self.configuration.seconds(HEARTBEAT_INTERVAL) or float("inf")
            self._next_heartbeat_s = self.clock.monotonic() + self.random.uniform(0.5, 1.0) * every_s

    def went_offline(self) -> None:
        """Nobody listens; a card that was being asked about is trusted."""
        self.is_online = False
        self._next_heartbeat_s = float("inf")
        asked = [self.speech.asked(message.payload) for message in self.outbox.waiting]
        self.outbox.keep_records()
        for id_tag in asked:
            if id_tag is not None:
                self.begin_offline(id_tag)


def _on(lines: tuple[int, ...], milliamps: int) -> tuple[int, int, int]:
    return (milliamps if 0 in lines else 0, milliamps if 1 in lines else 0, milliamps if 2 in lines else 0)
