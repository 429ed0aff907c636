"""What external systems are told of charges: nothing is lost, nothing overtakes, and what comes again has the same id."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from domain import session_events, sql
from domain.access import Access
from domain.authorization.settings import ExternalChanges, Outside, configure_external
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, StatusError, UnavailableError
from domain.ids import new_id
from domain.models import ExternalAuthentication, SessionEvent
from domain.roles import ExternalMode, Role, Scope, SessionEventKind
from domain.session_event_delivery import AT_ONCE_TO_ONE, SessionEventDelivery
from domain.session_events import Due
from domain.views.authentication_views import authentication_of
from tests.domain.rig import Rig, a_rig, at, reading
from tests.factories import NOW, Town, a_grant, a_person, a_program, a_site, a_town, access
from tests.fakes import AwayFor, HandClock, OpenSeals, RecordingBus

pytestmark = pytest.mark.usefixtures("database")


@dataclass
class Receiver:
    """CallOuts to one system, which fails as often as it is told to."""

    failing: int = 0
    error: UnavailableError = field(default_factory=lambda: StatusError(500))
    random: Random | None = None
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    attempts: int = 0

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        self.attempts += 1
        if self.failing > 0 or (self.random is not None and self.random.random() < 0.5):
            self.failing -= 1
            raise self.error
        self.taken.append((event_id, json.loads(content)))
        if self.random is not None and self.random.random() < 0.2:
            raise UnavailableError("No answer within 15 s.")  # it was heard, and its answer was lost
        return b""

    async def check(self, url: str) -> None:
        return None


async def a_told_rig(mode: ExternalMode = ExternalMode.SHADOW, url: str | None = "https://system.example/lade") -> Rig:
    """A rig whose site tells a system of its charges."""
    rig = await a_rig()
    row = ExternalAuthentication(installation_id=rig.site.id, mode=mode, url=url, secret="sealed:whsec_AAAA")
    await ExternalAuthentication.bulk_create([row])
    return rig


async def _charge(rig: Rig, *, minutes: float = 30.0) -> None:
    await rig.start(NOW)
    transaction = (await rig.session()).transaction_id
    for minute in range(1, int(minutes)):
        await rig.meter(transaction, reading(1000 + 100 * minute, at(minute)))
    await rig.stop(transaction, at(minutes), meter=5000)


async def _kinds() -> list[SessionEventKind]:
    return [one.kind for one in await SessionEvent.all().order_by("id")]


async def test_a_charge_is_told_from_its_start_to_its_end() -> None:
    """In between every five minutes at most, each with the whole session as it was."""
    await _charge(await a_told_rig())
    kinds = await _kinds()
    assert kinds[0] is SessionEventKind.STARTED
    assert kinds[-1] is SessionEventKind.ENDED
    assert 4 <= kinds.count(SessionEventKind.UPDATED) <= 6
    last = json.loads((await SessionEvent.all().order_by("-id").first()).payload)  # type: ignore[union-attr]
    assert last["type"] == "session.ended"
    assert last["data"]["session"]["energyKwh"] == "4.000"
    assert last["data"]["session"]["state"] == "ENDED"


@pytest.mark.parametrize(("mode", "url"), [(ExternalMode.OFF, "https://system.example/"), (ExternalMode.ENFORCE, None)])
async def test_nobody_is_told_where_nobody_listens(mode: ExternalMode, url: str | None) -> None:
    """No system, or one without an address."""
    await _charge(await a_told_rig(mode, url), minutes=2)
    assert await _kinds() == []


async def test_what_is_not_stored_is_not_told() -> None:
    """A start that is said again is one charge and one event."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.start(NOW, received=at(0.1))
    assert await _kinds() == [SessionEventKind.STARTED]


async def _delivered(receiver: Receiver, clock: HandClock, *, rounds: int) -> None:
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    for _ in range(rounds):
        while await delivery.deliver_some():
            pass
        clock.advance(timedelta(minutes=10))


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_and_nothing_overtakes(seed: int) -> None:
    """However often the system is away or its answer is lost: in order for each charge, and the same again has the same id."""
    rig = await a_told_rig()
    await _charge(rig)
    await rig.start(at(40), meter=5000)
    receiver = Receiver(random=Random(seed))
    await _delivered(receiver, HandClock(at(60)), rounds=120)
    told = [str(one.event_id) for one in await SessionEvent.all().order_by("id")]
    heard: dict[str, list[str]] = {}
    for event_id, content in receiver.taken:
        mine = heard.setdefault(content["data"]["session"]["id"], [])
        if event_id not in mine:
            mine.append(event_id)
    assert sorted(one for ids in heard.values() for one in ids) == sorted(told)
    for ids in heard.values():
        assert ids == [one for one in told if one in ids]
    assert len({(event_id, json.dumps(content)) for event_id, content in receiver.taken}) == len(told)
    assert (await session_events.pending(rig.site.id)).count == 0


@dataclass
class Watched(Receiver):
    """CallOuts that see whether two calls about one charge are ever under way at a time, or one before the one before it was taken."""

    told: dict[str, list[str]] = field(default_factory=dict)
    """Session → its events, in the order in which they happened."""
    under_way: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        session_id = json.loads(content)["data"]["session"]["id"]
        taken = {event_id for event_id, _ in self.taken}
        ids = self.told[session_id]
        if session_id in self.under_way or not set(ids[: ids.index(event_id)]) <= taken:
            self.wrong.append(event_id)
        self.under_way.add(session_id)
        try:
            await asyncio.sleep(0)
            return await super().post(url, event_id=event_id, content=content, secrets=secrets, timeout_s=timeout_s)
        finally:
            self.under_way.discard(session_id)


@pytest.mark.parametrize("seed", range(2))
async def test_two_processes_deliver_in_order(seed: int) -> None:
    """Whoever of them is quicker, however often a call fails and although one of them ends in the midst of its calls."""
    rig = await a_told_rig()
    await _charge(rig)
    for number in range(10):
        await rig.start(at(40 + number), meter=5_000, card=f"CARD{number:04}")
    receiver, clock = Watched(random=Random(seed)), HandClock(at(60))
    for one in await SessionEvent.all().order_by("id"):
        session_id = json.loads(one.payload)["data"]["session"]["id"]
        receiver.told.setdefault(session_id, []).append(str(one.event_id))
    first, second = (SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock) for _ in range(2))
    ending = asyncio.create_task(first.deliver_some())
    while not receiver.under_way:  # noqa: ASYNC110  the moment when a call has begun
        await asyncio.sleep(0)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    while (await session_events.pending(rig.site.id)).count:
        await asyncio.gather(first.deliver_some(), second.deliver_some())
        clock.advance(timedelta(seconds=61))
    assert receiver.wrong == []
    assert {event_id for event_id, _ in receiver.taken} == {one for ids in receiver.told.values() for one in ids}
    assert not await SessionEvent.filter(failed_at__not_isnull=True).exists()


async def test_a_charge_whose_event_waits_holds_up_no_other() -> None:
    """Only what comes after it of the same charge."""
    rig = await a_told_rig()
    await _charge(rig, minutes=2)
    await rig.start(at(10), meter=5000)
    first = await session_events.claim([rig.site.id], now=at(20), for_s=60, limit=10)
    assert len(first) == 2
    await session_events.retry(first[0], error="away", now=at(20))
    await session_events.delivered(first[1], now=at(20))
    assert await session_events.claim([rig.site.id], now=at(20), for_s=60, limit=10) == []
    (again,) = await session_events.claim([rig.site.id], now=at(20.2), for_s=60, limit=10)
    assert again.event_id == first[0].event_id


async def test_a_correction_never_overtakes_what_it_replaces() -> None:
    """Else the end that comes after it would be counted beside it."""
    rig = await a_told_rig()
    await _charge(rig, minutes=2)
    (begun,) = await session_events.claim([rig.site.id], now=at(3), for_s=60, limit=10)
    await session_events.delivered(begun, now=at(3))
    (ended,) = await session_events.claim([rig.site.id], now=at(3), for_s=60, limit=10)
    await session_events.retry(ended, error="away", now=at(3))
    for minute in (0.5, 1.5):
        await rig.meter("1", reading(1000 + round(1000 * minute), at(minute)), received=at(3.01))
    heard = []
    for minute in (3.05, 4, 4, 4, 4):
        for event in await session_events.claim([rig.site.id], now=at(minute), for_s=60, limit=10):
            await session_events.delivered(event, now=at(minute))
            heard.append((json.loads(event.payload)["type"], minute))
    assert heard == [("session.ended", 4), ("session.replaced", 4), ("session.replaced", 4)]


async def test_a_worker_that_dies_gives_its_events_back() -> None:
    """When its claim is over; until then no other has them."""
    rig = await a_told_rig()
    await rig.start(NOW)
    (mine,) = await session_events.claim([rig.site.id], now=at(1), for_s=60, limit=10)
    assert await session_events.claim([rig.site.id], now=at(1.5), for_s=60, limit=10) == []
    (theirs,) = await session_events.claim([rig.site.id], now=at(2.1), for_s=60, limit=10)
    assert theirs.event_id == mine.event_id


async def test_an_event_waits_for_the_database() -> None:
    """It goes out when the claim is over; those beside it go on."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.start(at(0.1), meter=2000, card="UNKNOWN99")
    clock, receiver = HandClock(at(1)), Receiver()
    delivery = SessionEventDelivery(call_outs=receiver, sealer=AwayFor(1), clock=clock)
    await delivery.deliver_some()
    assert len(receiver.taken) == 1
    clock.advance(timedelta(seconds=61))
    await delivery.deliver_some()
    told = {str(one.event_id) for one in await SessionEvent.all()}
    assert {event_id for event_id, _ in receiver.taken} == told
    assert len(receiver.taken) == 2


class Losing(Receiver):
    """CallOuts to a system that takes an event while the database goes away."""

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        body = await super().post(url, event_id=event_id, content=content, secrets=secrets, timeout_s=timeout_s)
        if self.attempts == 1:
            await sql.execute("ALTER TABLE session_events RENAME TO session_events_away")
        return body


async def test_delivery_goes_on_when_the_database_is_back() -> None:
    """What was taken meanwhile comes again under its id when its claim is over; what follows goes out after it."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.stop((await rig.session()).transaction_id, at(1), meter=2_000)
    clock, receiver = HandClock(at(1)), Losing()
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    assert await delivery.deliver_some()
    assert not await delivery.deliver_some()
    await sql.execute("ALTER TABLE session_events_away RENAME TO session_events")
    assert not await delivery.deliver_some()
    clock.advance(timedelta(seconds=60))
    assert await delivery.deliver_some()
    assert await delivery.deliver_some()
    first, last = [str(one.event_id) for one in await SessionEvent.all().order_by("id")]
    assert [event_id for event_id, _ in receiver.taken] == [first, first, last]
    assert (await session_events.pending(rig.site.id)).count == 0


class Broken(Receiver):
    """CallOuts with a defect, which shows once."""

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        self.attempts += 1
        if self.attempts == 1:
            raise RuntimeError("a defect")
        return await super().post(url, event_id=event_id, content=content, secrets=secrets, timeout_s=timeout_s)


async def test_a_defect_that_befalls_one_event_ends_no_other() -> None:
    """Whatever it is; the event goes out again when its claim is over."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.start(at(0.1), meter=2000, card="UNKNOWN99")
    clock, receiver = HandClock(at(1)), Broken()
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    assert await delivery.deliver_some()
    assert len(receiver.taken) == 1
    clock.advance(timedelta(seconds=61))
    assert await delivery.deliver_some()
    assert {event_id for event_id, _ in receiver.taken} == {str(one.event_id) for one in await SessionEvent.all()}


async def test_what_is_not_taken_for_a_day_is_given_up_and_kept() -> None:
    """Each time twice as late, up to an hour, and a last time when a day is over since it was made; the reason stands beside the event."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.stop((await rig.session()).transaction_id, at(1), meter=2_000)
    clock, receiver = HandClock(at(1)), Receiver(failing=10**6)
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    while (await session_events.pending(rig.site.id)).count:
        await delivery.deliver_some()
        clock.advance(timedelta(minutes=1))
    assert 30 <= receiver.attempts <= 40
    first, last = await SessionEvent.all().order_by("id")
    assert (first.failed_at, last.failed_at) == (NOW + timedelta(hours=24), at(1) + timedelta(hours=24))
    assert first.error == last.error == "The system answered with status 500."


async def test_what_follows_an_event_that_is_given_up_goes_on() -> None:
    """It goes out soon afterwards, and is tried once at least, whatever its age; a day begins anew with a replay."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.stop((await rig.session()).transaction_id, at(1), meter=2_000)
    clock, receiver = HandClock(NOW + timedelta(days=3)), Receiver(failing=1)
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    assert await delivery.deliver_some()
    assert not await delivery.deliver_some()
    clock.advance(timedelta(seconds=5))
    assert await delivery.deliver_some()
    first, last = await SessionEvent.all().order_by("id")
    assert (first.failed_at, last.delivered_at) == (NOW + timedelta(days=3), clock.now())
    owner = await a_person()
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    await session_events.replay(await access(owner, now=clock.now()), rig.site.id, first.event_id)
    receiver.failing = 1
    assert await delivery.deliver_some()
    assert (await SessionEvent.get(id=first.id)).failed_at is None
    clock.advance(timedelta(seconds=6))
    await _delivered(receiver, clock, rounds=1)
    assert [event_id for event_id, _ in receiver.taken[1:]] == [str(first.event_id), str(last.event_id)]


@pytest.mark.parametrize("error", [UnavailableError("No answer within 15 s."), StatusError(503, retry_after_s=3_600)])
async def test_what_waits_for_a_system_that_takes_nothing_does_not_grow(error: UnavailableError) -> None:
    """So few calls to it are made that what has had its day is given up together; what is younger waits."""
    rig = await a_told_rig()
    for number in range(20):
        await rig.start(at(number), meter=1_000, card=f"CARD{number:04}")
    clock, receiver = HandClock(at(15) + timedelta(hours=24)), Receiver(failing=10**6, error=error)
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    await delivery.deliver_some()
    assert receiver.attempts == AT_ONCE_TO_ONE
    events = await SessionEvent.all().order_by("id")
    assert [one.failed_at for one in events] == [clock.now()] * 16 + [None] * 4
    assert {one.error for one in events[:16]} == {error.message}


async def test_a_system_that_is_away_for_days_is_not_asked_more_often() -> None:
    """Events that are given up one after another share their patience, and none waits longer than its day."""
    rig = await a_told_rig()
    await _charge(rig, minutes=60)
    clock, receiver = HandClock(at(60)), Receiver(failing=10**6)
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    while (await session_events.pending(rig.site.id)).count:
        await delivery.deliver_some()
        clock.advance(timedelta(seconds=30))
    events = await SessionEvent.all().order_by("id")
    assert all(one.failed_at == one.created_at + timedelta(hours=24) for one in events)
    assert len(events) >= 12
    assert receiver.attempts < 40 + 2 * len(events)


@pytest.mark.parametrize(("status", "asked_s", "waits_s"), [(503, 1_800, 1_800), (429, 999_999, 3_600)])
async def test_a_system_may_say_how_long_it_wants_to_be_left_alone(status: int, asked_s: int, waits_s: int) -> None:
    """Retry-After counts for the events of every charge, an hour of it at most."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.stop((await rig.session()).transaction_id, at(1), meter=2_000)
    clock = HandClock(at(2))
    receiver = Receiver(failing=1, error=StatusError(status, retry_after_s=asked_s))
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    assert await delivery.deliver_some()
    await rig.start(at(2), meter=2_000, card="UNKNOWN99")
    clock.advance(timedelta(seconds=waits_s - 1))
    assert not await delivery.deliver_some()
    assert receiver.attempts == 1
    clock.advance(timedelta(seconds=1))
    assert await delivery.deliver_some()
    assert await delivery.deliver_some()
    assert [content["type"] for _, content in receiver.taken] == ["session.started", "session.started", "session.ended"]


async def test_settings_that_are_written_end_a_pause() -> None:
    """Whoever changes the address does not wait for what the one before asked for."""
    rig = await a_told_rig()
    await rig.start(NOW)
    clock = HandClock(at(2))
    receiver = Receiver(failing=1, error=StatusError(429, retry_after_s=1_800))
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    assert await delivery.deliver_some()
    owner = await a_person()
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    outside = Outside(call_outs=receiver, sealer=OpenSeals(), bus=RecordingBus())
    changes = ExternalChanges(url="https://other.example/lade")
    await configure_external(await access(owner, now=at(2)), rig.site.id, changes, outside=outside)
    clock.advance(timedelta(seconds=6))
    assert await delivery.deliver_some()
    assert len(receiver.taken) == 1


async def test_who_says_that_it_is_gone_is_left_alone_until_the_settings_are_written_again() -> None:
    """What waited and what happens meanwhile is kept as failed; all of it can be replayed afterwards, and not before."""
    rig = await a_told_rig()
    await rig.start(NOW)
    clock, receiver = HandClock(at(1)), Receiver(failing=1, error=StatusError(410))
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    await delivery.deliver_some()
    row = await SessionEvent.get()
    assert (row.error, row.delivered_at) == (session_events.GONE, None)
    await rig.start(at(2), meter=2_000, card="UNKNOWN99")
    later = await SessionEvent.all().order_by("-id").first()
    assert later is not None
    assert (later.error, later.failed_at) == (session_events.GONE, at(2))
    owner = await a_person()
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    held: Access = await access(owner, now=at(3))
    with pytest.raises(ConflictError):
        await session_events.replay(held, rig.site.id, row.event_id)
    shown = await authentication_of(rig.site.id)
    assert shown is not None
    assert shown.external is not None
    assert shown.external.gone_at == at(1)
    outside = Outside(call_outs=receiver, sealer=OpenSeals(), bus=RecordingBus())
    await configure_external(held, rig.site.id, ExternalChanges(timeout_s=6.0), outside=outside)
    await session_events.replay(held, rig.site.id, row.event_id)
    clock.advance(timedelta(minutes=2))
    assert await delivery.deliver_some()
    assert [event_id for event_id, _ in receiver.taken] == [str(row.event_id), str(later.event_id)]


class Moved(Receiver):
    """CallOuts to an address that is gone when the settings name another one already."""

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        if url != "https://new.example/lade":
            await ExternalAuthentication.all().update(url="https://new.example/lade")
            raise StatusError(410)
        return await super().post(url, event_id=event_id, content=content, secrets=secrets, timeout_s=timeout_s)


async def test_what_an_old_address_says_holds_for_no_other() -> None:
    """A late 410 of it does not end the calls to the new one, which gets the event."""
    rig = await a_told_rig()
    await rig.start(NOW)
    clock, receiver = HandClock(at(1)), Moved()
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    await delivery.deliver_some()
    assert (await ExternalAuthentication.get()).gone_at is None
    clock.advance(timedelta(seconds=6))
    await delivery.deliver_some()
    assert [event_id for event_id, _ in receiver.taken] == [str((await SessionEvent.get()).event_id)]


@pytest.mark.parametrize("changes", [ExternalChanges(mode=ExternalMode.OFF), ExternalChanges(url=None)])
async def test_who_is_set_anew_hears_of_what_happens_from_then_on(changes: ExternalChanges) -> None:
    """What waited for the one before is kept as failed when that is taken away; it goes out when somebody asks for it."""
    rig = await a_told_rig()
    await rig.start(NOW)
    clock, receiver = HandClock(at(1)), Receiver(failing=1)
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    await delivery.deliver_some()
    owner = await a_person()
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    held: Access = await access(owner, now=at(1.01))
    outside = Outside(call_outs=receiver, sealer=OpenSeals(), bus=RecordingBus())
    await configure_external(held, rig.site.id, changes, outside=outside)
    again = ExternalChanges(mode=ExternalMode.SHADOW, url="https://other.example/lade")
    await configure_external(held, rig.site.id, again, outside=outside)
    clock.advance(timedelta(hours=2))
    await delivery.deliver_some()
    assert receiver.taken == []
    first = await SessionEvent.get()
    assert first.error == session_events.NOT_TOLD
    await rig.start(at(121), meter=2_000, card="UNKNOWN99")
    await delivery.deliver_some()
    assert [content["type"] for _, content in receiver.taken] == ["session.started"]
    await session_events.replay(held, rig.site.id, first.event_id)
    await delivery.deliver_some()
    assert receiver.taken[1][0] == str(first.event_id)


@pytest.mark.parametrize("change", [{"mode": ExternalMode.OFF}, {"url": None}, {"gone_at": NOW}])
async def test_nothing_goes_to_a_system_that_was_switched_off(change: dict[str, object]) -> None:
    """Nor to one that is gone, however the event came to wait: it is kept as failed, and can be replayed."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await ExternalAuthentication.filter(installation_id=rig.site.id).update(**change)
    receiver = Receiver()
    await SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=HandClock(at(1))).deliver_some()
    assert receiver.attempts == 0
    assert (await SessionEvent.get()).failed_at is not None


@dataclass
class Hanging:
    """CallOuts to two systems, one of which never answers."""

    asked: list[str] = field(default_factory=list)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    all_told: asyncio.Event = field(default_factory=asyncio.Event)
    quick: int = 0

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        if "slow" not in url:
            self.quick -= 1
            if self.quick == 0:
                self.all_told.set()
            return b""
        self.asked.append(event_id)
        await self.goes_on.wait()
        return b""

    async def check(self, url: str) -> None:
        return None


async def test_a_system_that_hangs_holds_up_no_other() -> None:
    """Of what waits for it a few calls are under way; all that is for the other is told meanwhile."""
    slow, quick = [await a_site(name) for name in ("slow", "quick")]
    for site in (slow, quick):
        url = f"https://{'slow' if site is slow else 'quick'}.example/lade"
        row = ExternalAuthentication(installation_id=site.id, mode=ExternalMode.SHADOW, url=url)
        await ExternalAuthentication.bulk_create([row])
        for _ in range(20):
            await SessionEvent.create(
                installation_id=site.id,
                session_id=new_id(),
                kind=SessionEventKind.STARTED,
                payload="{}",
                created_at=NOW,
                due_at=NOW,
            )
    calls = Hanging(quick=20)
    delivery = SessionEventDelivery(call_outs=calls, sealer=OpenSeals(), clock=HandClock(at(30)))
    running = asyncio.create_task(delivery.run())
    async with asyncio.timeout(20):
        await calls.all_told.wait()
    assert 1 < len(calls.asked) <= AT_ONCE_TO_ONE
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_system_that_gives_no_answer_is_called_by_one_at_a_time() -> None:
    """Until it answers again, whatever it says: many that are away together take little room from those that are there."""
    rig = await a_told_rig()
    for number in range(12):
        await rig.start(at(number), meter=1_000, card=f"CARD{number:04}")
    silence = UnavailableError("No answer within 15 s.")
    clock, receiver = HandClock(at(60)), Receiver(failing=AT_ONCE_TO_ONE + 3, error=silence)
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    calls = []
    for _ in range(6):
        before = receiver.attempts
        await delivery.deliver_some()
        calls.append(receiver.attempts - before)
        clock.advance(timedelta(seconds=0.5))
    assert calls == [8, 1, 1, 1, 1, 0]
    assert len(receiver.taken) == 1
    clock.advance(timedelta(seconds=30))
    assert await delivery.deliver_some()
    assert len(receiver.taken) == 1 + AT_ONCE_TO_ONE


async def test_events_are_replayed_from_one_of_them() -> None:
    """That and all later ones, in order and under the same ids, also what was given up."""
    rig = await a_told_rig()
    await _charge(rig, minutes=12)
    receiver = Receiver()
    await _delivered(receiver, HandClock(at(60)), rounds=1)
    owner = await a_person()
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    events = await SessionEvent.all().order_by("id")
    held: Access = await access(owner, now=at(61))
    await session_events.replay(held, rig.site.id, events[1].event_id)
    before = [event_id for event_id, _ in receiver.taken]
    receiver.taken.clear()
    await _delivered(receiver, HandClock(at(62)), rounds=1)
    assert [event_id for event_id, _ in receiver.taken] == before[1:]


async def test_a_replay_takes_back_what_is_on_its_way() -> None:
    """That the system has taken it by then does not count: it comes again, after the one before it."""
    rig = await a_told_rig()
    await rig.start(NOW)
    await rig.stop((await rig.session()).transaction_id, at(1), meter=2_000)
    told = [one.event_id for one in await SessionEvent.all().order_by("id")]
    owner = await a_person()
    await a_grant(Role.OWNER, rig.site, user_id=owner)

    async def claimed(minutes: float) -> Due:
        (one,) = await session_events.claim([rig.site.id], now=at(minutes), for_s=60, limit=10)
        return one

    await session_events.delivered(await claimed(2), now=at(2))
    on_its_way = await claimed(2)
    await session_events.replay(await access(owner, now=at(2.1)), rig.site.id, told[0])
    await session_events.delivered(on_its_way, now=at(2.2))
    again = [await claimed(2.2)]
    await session_events.delivered(again[0], now=at(2.2))
    again.append(await claimed(2.2))
    assert [one.event_id for one in again] == told


async def test_whose_claim_ran_out_changes_nothing() -> None:
    """Whatever became of the call that they made: the event is another worker's, who alone sends it meanwhile."""
    rig = await a_told_rig()
    await rig.start(NOW)
    (late,) = await session_events.claim([rig.site.id], now=at(1), for_s=60, limit=10)
    (mine,) = await session_events.claim([rig.site.id], now=at(2), for_s=60, limit=10)
    await session_events.retry(late, error="away", now=at(2.1))
    await session_events.fail(late, error="away", now=at(2.1))
    assert await session_events.claim([rig.site.id], now=at(2.5), for_s=60, limit=10) == []
    await session_events.delivered(mine, now=at(2.6))
    row = await SessionEvent.get()
    assert (row.delivered_at, row.failed_at, row.error) == (at(2.6), None, None)


async def test_who_may_replay() -> None:
    """Who rules the site, and its programs that are asked; an event of another site looks absent."""
    rig = await a_told_rig()
    await rig.start(NOW)
    event_id = (await SessionEvent.get()).event_id
    town: Town = await a_town()
    program = await a_program(rig.site, scopes=[Scope.AUTHORIZE_CHARGING])
    await session_events.replay(await program.access(), rig.site.id, event_id)
    weak = await a_program(rig.site, scopes=[Scope.READ_SESSIONS])
    with pytest.raises(NotAllowedError):
        await session_events.replay(await weak.access(), rig.site.id, event_id)
    with pytest.raises(NotFoundError):
        await session_events.replay(await town.access("OWNER of installation"), rig.site.id, event_id)
    with pytest.raises(NotFoundError) as absent:
        await session_events.replay(await town.access("OWNER of installation"), town.site.id, event_id)
    assert absent.value.code is ErrorCode.NOT_FOUND
