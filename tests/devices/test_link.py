"""What bounds a link: how much it reads ahead, how long it waits, and how much waits for a charger that does not read."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from devices.calls import HANGS_AFTER, MOST_CALLS
from devices.ingest import Ingestor
from devices.link import MAILBOX, MOST_AHEAD, Link, Settings, Surroundings
from devices.ocpp.adapter import ADAPTERS
from devices.sockets import GOING_AWAY
from domain.charging.reports import Outcome, Report
from domain.clock import SystemClock
from domain.ids import new_id
from domain.ports import DeviceVerdict, OfferCurrent, OfferStep, Trigger
from tests.fakes import NobodyAsked, RecordingBus

clock = SystemClock()

METER = '[2,"{}","MeterValues",{{"connectorId":1,"transactionId":1,"meterValue":[]}}]'


class Slow(Ingestor):
    """Stores nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__(bus=RecordingBus(), clock=SystemClock(), on_away=lambda: None)
        self.asked: list[asyncio.Future[Outcome]] = []

    def submit(self, report: Report) -> "asyncio.Future[Outcome]":
        """Durable when `finish` says so."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.asked.append(outcome)
        return outcome

    async def finish(self, count: int) -> None:
        """So many reports are durable, each after the one before was answered."""
        done = 0
        while done < count:
            while not self.asked:  # noqa: ASYNC110  turns of the loop, not time
                await asyncio.sleep(0)
            self.asked.pop(0).set_result(Outcome())
            done += 1
            await asyncio.sleep(0)


class Wire:
    """A socket's end: frames that come, and what went out. With `reads` off nothing that is sent ever leaves."""

    def __init__(self, *frames: str, reads: bool = True) -> None:
        self.frames = list(frames)
        self.reads = reads
        self.read = 0
        self.sent: list[str] = []
        self.closed: int | None = None
        self.gone = asyncio.Event()
        self.more = asyncio.Event()

    def answer(self, number: int, word: str = "Accepted") -> None:
        """The call that went out as that one is accepted, or has another word for an answer."""
        self.come(json.dumps([3, json.loads(self.sent[number])[1], {"status": word}]))

    def come(self, *frames: str) -> None:
        """These come next."""
        self.frames += frames
        self.more.set()

    @property
    def actions(self) -> list[str]:
        """The calls that went out."""
        return [json.loads(one)[2] for one in self.sent]

    async def receive_frame(self) -> str | None:
        while self.read == len(self.frames):
            if self.gone.is_set():
                return None
            self.more.clear()
            await self.more.wait()
        self.read += 1
        await asyncio.sleep(0)
        return self.frames[self.read - 1]

    def send_now(self, text: str) -> bool:
        if self.reads:
            self.sent.append(text)
        return self.reads

    async def send_frame(self, text: str) -> None:
        await self.gone.wait()
        raise ConnectionError

    def keep_alive(self, ping_every_s: float | None, on_pong: Callable[[], None]) -> None:
        """It is never pinged."""

    async def close(self, code: int, reason: str) -> None:
        self.closed = code
        self.gone.set()
        self.more.set()


class Unstored(Link):
    """A link without a database."""

    async def keep_cleared(self) -> None:
        """Nobody will ask."""


@asynccontextmanager
async def running(
    wire: Wire, ingestor: Ingestor, *, call_timeout_s: float = 30.0, is_new: bool = False
) -> AsyncIterator[Link]:
    """Inside: a link over that wire."""
    shared = Surroundings(ingestor, SystemClock(), Settings(call_timeout_s=call_timeout_s), NobodyAsked())
    chargers = {1: new_id()}
    link = Unstored(
        wire,
        shared,
        identity="CP-1",
        station_id=new_id(),
        epoch=1,
        chargers=chargers,
        adapter=ADAPTERS["ocpp1.6"],
        profiles_are_ours=not is_new,
    )
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        wire.gone.set()
        wire.more.set()
        async with asyncio.timeout(10):
            await task


async def settled(wire: Wire) -> None:
    """Nothing more is read."""
    seen = -1
    while seen != wire.read:
        seen = wire.read
        for _ in range(20):
            await asyncio.sleep(0)


async def test_a_flood_is_read_no_faster_than_it_is_stored() -> None:
    """With one message under way and a full mailbox nothing more is read; all are answered in the end, in their order."""
    flood = 3 * MAILBOX
    wire, ingestor = Wire(*(METER.format(number) for number in range(flood))), Slow()
    async with running(wire, ingestor):
        await settled(wire)
        assert wire.read == MAILBOX + 2
        async with asyncio.timeout(30):
            await ingestor.finish(flood)
            while len(wire.sent) < flood:  # noqa: ASYNC110
                await asyncio.sleep(0)
    assert wire.sent == [f'[3,"{number}",{{}}]' for number in range(flood)]


async def test_a_charger_that_hangs_is_sent_off() -> None:
    """Three calls in a row without an answer: a new connection is better for it."""
    wire = Wire()
    async with running(wire, Slow(), call_timeout_s=0.01) as link:
        answers = [await link.command(Trigger("Heartbeat"), evse=1, timeout_s=10) for _ in range(HANGS_AFTER)]
        async with asyncio.timeout(10):
            await wire.gone.wait()
        assert {one.verdict for one in answers} == {DeviceVerdict.TIMEOUT}
        assert (len(wire.sent), wire.closed) == (HANGS_AFTER, GOING_AWAY)
        assert (await link.command(Trigger("Heartbeat"), evse=1, timeout_s=10)).verdict is DeviceVerdict.OFFLINE


async def test_what_waits_for_a_charger_that_does_not_read_is_bounded() -> None:
    """So many calls wait and no more; who asked is told, and at the end of the connection all are."""
    wire = Wire(reads=False)
    async with running(wire, Slow()) as link:
        asking = [
            asyncio.create_task(link.command(Trigger("Heartbeat"), evse=1, timeout_s=30)) for _ in range(MOST_CALLS + 9)
        ]
        refused, waiting = await asyncio.wait(asking, timeout=0.1)
        assert {one.result().detail for one in refused} == {"too many commands wait for this charger"}
        assert (len(refused), len(waiting)) == (9, MOST_CALLS)
        await link.close(GOING_AWAY, "")
        assert {(await one).verdict for one in waiting} == {DeviceVerdict.OFFLINE}


async def test_what_is_answered_at_once_is_bounded_too() -> None:
    """So many statuses are answered before they are stored; then each waits, and the mailbox fills behind them."""
    status = '[2,"{}","StatusNotification",{{"connectorId":1,"errorCode":"NoError","status":"Available"}}]'
    flood = MOST_AHEAD + 2 * MAILBOX
    wire, ingestor = Wire(*(status.format(number) for number in range(flood))), Slow()
    async with running(wire, ingestor):
        await settled(wire)
        assert (len(wire.sent), wire.read) == (MOST_AHEAD, MOST_AHEAD + MAILBOX + 2)
        async with asyncio.timeout(30):
            await ingestor.finish(flood)
            while len(wire.sent) < flood:  # noqa: ASYNC110
                await asyncio.sleep(0)
    assert ingestor.asked == []


async def test_limits_of_another_portal_go_only_with_an_offer_behind() -> None:
    """An offer that nobody waits for any more clears nothing; the next one does, and follows though its asker gives up meanwhile."""
    offer = OfferCurrent((OfferStep(0, 10.0),), None)
    wire = Wire()
    async with running(wire, Slow(), is_new=True) as link:
        busy = asyncio.create_task(link.command(Trigger("Heartbeat"), evse=1, timeout_s=10))
        await settled(wire)
        assert (await link.command(offer, evse=1, timeout_s=0.01)).verdict is DeviceVerdict.TIMEOUT
        wire.answer(0)
        await busy
        await settled(wire)
        assert wire.actions == ["TriggerMessage"]
        assert (await link.command(offer, evse=1, timeout_s=0.05)).verdict is DeviceVerdict.TIMEOUT
        assert wire.actions == ["TriggerMessage", "ClearChargingProfile"]
        wire.answer(1)
        await settled(wire)
        assert wire.actions == ["TriggerMessage", "ClearChargingProfile", "SetChargingProfile"]


async def test_a_limit_goes_before_everything_else_that_waits() -> None:
    """A fuse does not wait for what is asked of a charger, only for the call that is out; limits keep their order."""
    offers = [OfferCurrent((OfferStep(0, current_a),), None) for current_a in (10.0, 6.0)]
    wire = Wire()
    async with running(wire, Slow()) as link:
        asked = [asyncio.create_task(link.command(Trigger("Heartbeat"), evse=1, timeout_s=10)) for _ in range(3)]
        await settled(wire)
        asked += [asyncio.create_task(link.command(offer, evse=1, timeout_s=10)) for offer in offers]
        for number in range(5):
            await settled(wire)
            wire.answer(number)
        await asyncio.gather(*asked)
    limit, other = "SetChargingProfile", "TriggerMessage"
    assert wire.actions == [other, limit, limit, other, other]
    schedules = [json.loads(one)[3]["csChargingProfiles"]["chargingSchedule"] for one in wire.sent[1:3]]
    assert [one["chargingSchedulePeriod"][0]["limit"] for one in schedules] == [10.0, 6.0]


def status_of(age: timedelta, *, connector: int = 1) -> str:
    """A status that is so old by the charger's clock."""
    said = {"connectorId": connector, "errorCode": "NoError", "status": "Available"}
    return json.dumps([2, str(new_id()), "StatusNotification", said | {"timestamp": stamp(clock.now() - age)}])


def stamp(instant: datetime) -> str:
    """As chargers write it."""
    return instant.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("word", ["Accepted", "Rejected"])
async def test_only_a_status_that_follows_the_chargers_consent_tells_its_clock(word: str) -> None:
    """A replayed one that crosses the question says nothing of it, nor one that was read before and waited, nor any after a refusal."""
    replayed, current = status_of(timedelta(hours=2)), status_of(timedelta(hours=1))
    wire, ingestor = Wire(), Slow()
    async with running(wire, ingestor) as link:
        (question,) = link.adapter.questions(evse=1)
        asked = asyncio.create_task(link.call(question, timeout_s=10))
        await settled(wire)
        wire.come(replayed, METER.format("busy"), replayed)
        await settled(wire)
        wire.answer(0, word)
        await asked
        await ingestor.finish(3)
        crossed = link.offset.value
        assert crossed is None
        wire.come(status_of(timedelta(hours=1), connector=2), current)
        await settled(wire)
        offset = link.offset.value
    if word == "Accepted":
        assert offset is not None
        assert round(offset / timedelta(hours=1), 3) == 1.0
    else:
        assert offset is None
