"""A charger lives as hypothesis wants it, over real sockets: whatever befell its line, the portal's charges are its own."""

import asyncio
import shutil
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.database import Database, opened
from app.redis_bus import RedisBus
from domain.models import ChargerStatus, ChargeSession
from domain.roles import Role, SessionState
from tests.devices.server import RawCharger, Registered, Server, a_raw_charger, a_registered_charger, a_server
from tests.factories import a_card, a_grant, a_person, a_site

CARD, STRANGE_CARD = "04A1B2C3", "04FFFFFF"
STEP = timedelta(seconds=60)
MOST_WH = 200
"""In a step: less than the charger's rating allows."""

T = TypeVar("T")


@dataclass
class Charge:
    """What happened at the charger, in its own account."""

    number: int
    began_wh: int
    now_wh: int
    is_over: bool = False
    portal_id: int | None = None
    """OCPP 1.6: by which the portal knows it, once it has said so."""
    told: int = 0
    """OCPP 2.0.1: how many events there are of it."""


@dataclass(frozen=True)
class Event:
    """Something of a charge that the portal is to be told, in order."""

    charge: Charge
    kind: str
    at: datetime
    register_wh: int
    card: str = CARD
    number: int = 0


class Speech(Protocol):
    """How a version tells it."""

    subprotocol: str
    boot: dict[str, Any]

    def say(self, event: Event) -> tuple[str, dict[str, Any]]:
        """The message."""
        ...

    def heard(self, event: Event, answer: dict[str, Any]) -> None:
        """What the answer to it teaches."""
        ...


class Speech16:
    """OCPP 1.6."""

    subprotocol = "ocpp1.6"
    boot: dict[str, Any] = {"chargePointVendor": "Acme", "chargePointModel": "One"}

    def say(self, event: Event) -> tuple[str, dict[str, Any]]:
        """StartTransaction, MeterValues or StopTransaction."""
        at, number = event.at.isoformat(), event.charge.portal_id
        if event.kind == "start":
            return "StartTransaction", {
                "connectorId": 1,
                "idTag": event.card,
                "meterStart": event.register_wh,
                "timestamp": at,
            }
        if event.kind == "end":
            return "StopTransaction", {"transactionId": number, "meterStop": event.register_wh, "timestamp": at}
        values = [{"timestamp": at, "sampledValue": [{"value": str(event.register_wh)}]}]
        return "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": values}

    def heard(self, event: Event, answer: dict[str, Any]) -> None:
        """The portal's number of the charge."""
        if event.kind == "start":
            assert event.charge.portal_id in (None, answer["transactionId"])
            event.charge.portal_id = answer["transactionId"]


class Speech201:
    """OCPP 2.0.1."""

    subprotocol = "ocpp2.0.1"
    boot: dict[str, Any] = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "X"}}
    _SPELLED = {
        "start": ("Started", "Transaction.Begin", "Authorized"),
        "meter": ("Updated", "Sample.Periodic", "MeterValuePeriodic"),
        "end": ("Ended", "Transaction.End", "EVDeparted"),
    }

    def say(self, event: Event) -> tuple[str, dict[str, Any]]:
        """TransactionEvent."""
        kind, context, reason = self._SPELLED[event.kind]
        at = event.at.isoformat()
        said: dict[str, Any] = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": reason,
            "seqNo": event.number,
            "transactionInfo": {"transactionId": f"T-{event.charge.number}"},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": at, "sampledValue": [{"value": event.register_wh, "context": context}]}],
        }
        if event.kind == "start":
            said["idToken"] = {"idToken": event.card, "type": "ISO14443"}
        return "TransactionEvent", said

    def heard(self, event: Event, answer: dict[str, Any]) -> None:
        """The charge's number is the charger's own."""


@dataclass
class World:
    """The portal, its database, and the charger's end of the line."""

    runner: asyncio.Runner
    stack: AsyncExitStack
    bus: RedisBus
    charger: Registered
    server: Server | None = None
    serving: AsyncExitStack = field(default_factory=AsyncExitStack)
    line: RawCharger | None = None
    calling: AsyncExitStack = field(default_factory=AsyncExitStack)


class ChargerLife(RuleBasedStateMachine):
    """One charger with one connector. Its account is `charges`; what it has not been able to tell waits in `untold`."""

    template: Path
    redis_url: str
    folder: Callable[[], Path]

    def __init__(self) -> None:
        super().__init__()
        self.charges: list[Charge] = []
        self.untold: deque[Event] = deque()
        self.register_wh = 1_000
        self.now = datetime.now(UTC) - timedelta(hours=12)  # noqa: TID251  what a real charger says
        self.speech: Speech = Speech16()
        self.runner = asyncio.Runner()
        self.world = self.run(self._made())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """In this life's own loop."""
        return self.runner.run(work)

    async def _made(self) -> World:
        stack = AsyncExitStack()
        file = Path(shutil.copy(self.template, type(self).folder() / "lade.sqlite3"))
        await stack.enter_async_context(opened(Database(sqlite_file=file)))
        bus = await stack.enter_async_context(RedisBus(self.redis_url))
        site = await a_site()
        user_id = await a_person("Kari Nordmann")
        await a_card(user_id, number=CARD)
        await a_grant(Role.USER, site, user_id=user_id)
        world = World(self.runner, stack, bus, await a_registered_charger(site))
        await self._serve(world)
        return world

    async def _serve(self, world: World, *, is_orderly: bool = True) -> None:
        world.server = await world.serving.enter_async_context(a_server(world.bus, is_orderly=is_orderly))

    # What happens to the line

    @initialize(is_newer=st.booleans())
    def choose_a_version(self, is_newer: bool) -> None:
        """It speaks one version all its life."""
        self.speech = Speech201() if is_newer else Speech16()

    @precondition(lambda self: self.world.line is None)
    @rule(boots=st.booleans())
    def connect(self, boots: bool) -> None:
        """The line is up, after a start of the charger or without one."""
        self.run(self._connect(boots))

    async def _connect(self, boots: bool) -> None:
        world = self.world
        assert world.server is not None
        opening = a_raw_charger(world.server, world.charger, subprotocols=(self.speech.subprotocol,))
        world.line = await world.calling.enter_async_context(opening)
        world.line.answers["TriggerMessage"] = {"status": "Rejected"}
        if boots:
            assert (await world.line.call("BootNotification", self.speech.boot))["status"] == "Accepted"

    @precondition(lambda self: self.world.line is not None)
    @rule()
    def drop(self) -> None:
        """The line is down."""
        self.run(self._drop())

    async def _drop(self) -> None:
        self.world.line = None
        await self.world.calling.aclose()

    @rule(is_orderly=st.booleans())
    def restart_the_portal(self, is_orderly: bool) -> None:
        """The portal ends, in an orderly way or in the middle of whatever it did, and another begins on the same rows."""
        self.run(self._restart(is_orderly))

    async def _restart(self, is_orderly: bool) -> None:
        await self._drop()
        await self.world.serving.aclose()
        await self._serve(self.world, is_orderly=is_orderly)

    # What happens at the charger

    @property
    def running(self) -> Charge | None:
        """The charge that goes on."""
        return self.charges[-1] if self.charges and not self.charges[-1].is_over else None

    def _note(self, charge: Charge, kind: str, card: str = CARD) -> None:
        self.now += STEP
        self.untold.append(Event(charge, kind, self.now, self.register_wh, card, charge.told))
        charge.told += 1

    @precondition(lambda self: self.running is None)
    @rule(card=st.sampled_from((CARD, STRANGE_CARD)))
    def begin(self, card: str) -> None:
        """A car is plugged in and a card shown."""
        charge = Charge(len(self.charges), self.register_wh, self.register_wh)
        self.charges.append(charge)
        self._note(charge, "start", card)

    @precondition(lambda self: self.running is not None)
    @rule(wh=st.integers(0, MOST_WH))
    def charge(self, wh: int) -> None:
        """Energy flows, and is read."""
        assert self.running is not None
        self.register_wh += wh
        self.running.now_wh = self.register_wh
        self._note(self.running, "meter")

    @precondition(lambda self: self.running is not None)
    @rule(wh=st.integers(0, MOST_WH))
    def end(self, wh: int) -> None:
        """The car leaves."""
        charge = self.running
        assert charge is not None
        self.register_wh += wh
        charge.now_wh, charge.is_over = self.register_wh, True
        self._note(charge, "end")

    # What is told

    @precondition(lambda self: self.world.line is not None and self.untold)
    @rule(times=st.integers(1, 3), count=st.integers(1, 6))
    def tell(self, times: int, count: int) -> None:
        """Some of what waits is told, each so often under new ids, and the answer heard."""
        self.run(self._tell(min(count, len(self.untold)), times))

    async def _tell(self, count: int, times: int = 1) -> None:
        for _ in range(count):
            event = self.untold[0]
            action, payload = self.speech.say(event)
            assert self.world.line is not None
            frames = [self.world.line.frame(action, payload) for _ in range(times)]
            for kind, _, *answer in [await one for one in frames]:
                assert kind == 3, answer
                self.speech.heard(event, answer[0])
            self.untold.popleft()

    @precondition(lambda self: self.world.line is not None and self.untold)
    @rule(waits=st.booleans())
    def tell_and_hear_nothing(self, waits: bool) -> None:
        """The line breaks before the answer comes, so that it will be told again."""
        self.run(self._tell_in_vain(waits))

    async def _tell_in_vain(self, waits: bool) -> None:
        line = self.world.line
        assert line is not None
        answer = line.begin(*self.speech.say(self.untold[0]))
        if waits:
            await answer
        await self._drop()

    @precondition(lambda self: self.world.line is not None and len(self.charges) > 0 and self.charges[-1].is_over)
    @rule()
    def tell_of_a_free_connector(self) -> None:
        """A status that may come before the end of the charge does."""
        self.run(self._free())

    async def _free(self) -> None:
        line = self.world.line
        assert line is not None
        self.now += STEP
        at = self.now.isoformat()
        status = (
            {"connectorId": 1, "status": "Available", "errorCode": "NoError", "timestamp": at}
            if isinstance(self.speech, Speech16)
            else {"evseId": 1, "connectorId": 1, "connectorStatus": "Available", "timestamp": at}
        )
        assert await line.call("StatusNotification", status) == {}

    # What is true

    @invariant()
    def nothing_is_there_twice(self) -> None:
        """The portal has no more charges than the charger."""
        assert self.run(self._count()) <= len(self.charges)

    async def _count(self) -> int:
        return await ChargeSession.all().count()

    def teardown(self) -> None:
        """Once everything is told, the portal's charges are the charger's, to the Wh."""
        try:
            self.run(self._compare())
        finally:
            self.run(self._end())
            self.runner.close()

    async def _compare(self) -> None:
        if self.world.line is None:
            await self._connect(boots=False)
        await self._tell(len(self.untold))
        found = await ChargeSession.filter(station_id=self.world.charger.station_id).order_by("started_at")
        assert [(one.energy_wh, one.state is SessionState.ENDED) for one in found] == [
            (charge.now_wh - charge.began_wh, charge.is_over) for charge in self.charges
        ]
        live = await ChargerStatus.get(charger_id=self.world.charger.charger_id)
        assert (live.session_id is not None) is (self.running is not None)
        assert live.is_online

    async def _end(self) -> None:
        await self._drop()
        await self.world.serving.aclose()
        await self.world.stack.aclose()


def test_whatever_befalls_its_line_the_charges_are_the_chargers_own(
    sqlite_template: Path, redis_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Broken lines, lost answers, repetitions, restarts of either side, in any order: each charge is there once, with its energy."""

    class Life(ChargerLife):
        template = sqlite_template
        redis_url = redis_urls["sqlite"]
        folder = staticmethod(lambda: tmp_path_factory.mktemp("life"))

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
