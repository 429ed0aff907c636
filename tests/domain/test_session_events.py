"""What external systems are told of charges: nothing is lost, nothing overtakes, and what comes again has the same id."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from domain import session_events
from domain.access import Access
from domain.errors import ErrorCode, NotAllowedError, NotFoundError, UnavailableError
from domain.models import ExternalAuthentication, SessionEvent
from domain.roles import ExternalMode, Role, Scope, SessionEventKind
from domain.session_event_delivery import SessionEventDelivery
from tests.domain.rig import Rig, a_rig, at, reading
from tests.factories import NOW, Town, a_grant, a_person, a_program, a_town, access
from tests.fakes import AwayFor, HandClock, OpenSeals

pytestmark = pytest.mark.usefixtures("database")


@dataclass
class Receiver:
    """CallOuts to one system, which fails as often as it is told to."""

    failing: int = 0
    random: Random | None = None
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    attempts: int = 0

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        self.attempts += 1
        if self.failing > 0 or (self.random is not None and self.random.random() < 0.5):
            self.failing -= 1
            raise UnavailableError("The system answered with status 500.")
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
        clock.advance(timedelta(minutes=70))


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_and_nothing_overtakes(seed: int) -> None:
    """However often the system is away or its answer is lost: in order for each charge, and the same again has the same id."""
    rig = await a_told_rig()
    await _charge(rig)
    await rig.start(at(40), meter=5000)
    receiver = Receiver(random=Random(seed))
    await _delivered(receiver, HandClock(at(60)), rounds=25)
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


async def test_a_charge_whose_event_waits_holds_up_no_other() -> None:
    """Only what comes after it of the same charge."""
    rig = await a_told_rig()
    await _charge(rig, minutes=2)
    await rig.start(at(10), meter=5000)
    first = await session_events.claim(now=at(20), for_s=60, limit=10)
    assert len(first) == 2
    await session_events.retry(first[0], error="away", now=at(20))
    await session_events.delivered(first[1], now=at(20))
    assert await session_events.claim(now=at(20), for_s=60, limit=10) == []
    (again,) = await session_events.claim(now=at(20.2), for_s=60, limit=10)
    assert again.event_id == first[0].event_id


async def test_a_worker_that_dies_gives_its_events_back() -> None:
    """When its claim is over; until then no other has them."""
    rig = await a_told_rig()
    await rig.start(NOW)
    (mine,) = await session_events.claim(now=at(1), for_s=60, limit=10)
    assert await session_events.claim(now=at(1.5), for_s=60, limit=10) == []
    (theirs,) = await session_events.claim(now=at(2.1), for_s=60, limit=10)
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


async def test_what_is_not_taken_for_a_day_is_given_up_and_kept() -> None:
    """Each time twice as late, up to an hour; then the next one goes out, and the reason stands beside the event."""
    rig = await a_told_rig()
    await rig.start(NOW)
    clock, receiver = HandClock(at(1)), Receiver(failing=10**6)
    delivery = SessionEventDelivery(call_outs=receiver, sealer=OpenSeals(), clock=clock)
    began = clock.now()
    while await SessionEvent.filter(failed_at=None).exists():
        await delivery.deliver_some()
        clock.advance(timedelta(seconds=5))
    assert timedelta(hours=23) < clock.now() - began < timedelta(hours=28)
    assert receiver.attempts == session_events.MOST_ATTEMPTS
    assert (await SessionEvent.get()).error == "The system answered with status 500."
    assert (await session_events.pending(rig.site.id)).count == 0


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
