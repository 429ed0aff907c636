"""Who asks external systems: each question once, however many wait for it and whatever befalls the database meanwhile."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import pytest
from tortoise import connections

from domain.authorization.authorizer import Authorizer, AuthorizerPorts
from domain.authorization.requests import Answer, answer, denied_charges
from domain.charging.reports import Question
from domain.clock import Clock
from domain.errors import UnavailableError
from domain.events import AuthorizationDecided
from domain.models import AuthorizationRequest, ExternalAuthentication
from domain.observations import SessionStarted, TokenPresented
from domain.ports import CallOuts, DeviceAnswer, DeviceCommand, DeviceVerdict, Sealer, StopCharging
from domain.roles import AuthorizationDecision, Decider, ExternalMode, FailPolicy
from tests.domain.rig import CARD, Rig, a_rig, at
from tests.factories import NOW
from tests.fakes import AwayFor, HandClock, NoCallOuts, NoPool, OpenSeals, RecordingBus

pytestmark = pytest.mark.usefixtures("database")

ACCEPTED, BLOCKED, INVALID = (
    AuthorizationDecision.ACCEPTED,
    AuthorizationDecision.BLOCKED,
    AuthorizationDecision.INVALID,
)


@dataclass
class System:
    """CallOuts to one system, which answers when it is let."""

    decision: AuthorizationDecision = ACCEPTED
    asked: list[str] = field(default_factory=list)
    is_called: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        self.asked.append(event_id)
        self.is_called.set()
        await self.may_answer.wait()
        return json.dumps({"decision": self.decision}).encode()

    async def check(self, url: str) -> None:
        return None


@dataclass
class Wire:
    """ChargerCommands that are all obeyed."""

    sent: list[tuple[UUID, DeviceCommand]] = field(default_factory=list)

    async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
        self.sent.append((charger_id, command))
        return DeviceAnswer(DeviceVerdict.ACCEPTED)


@dataclass
class Asking:
    """An authorizer and what it works with."""

    call_outs: CallOuts
    clock: Clock = field(default_factory=lambda: HandClock(NOW))
    sealer: Sealer = field(default_factory=OpenSeals)
    bus: RecordingBus = field(default_factory=RecordingBus)
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        self.authorizer = Authorizer(
            AuthorizerPorts(
                bus=self.bus, clock=self.clock, call_outs=self.call_outs, sealer=self.sealer, commands=self.wire
            )
        )


async def an_asking_rig(
    policy: FailPolicy = FailPolicy.DENY, *, url: str | None = "https://system.example/lade"
) -> Rig:
    """A rig whose site's system decides."""
    rig = await a_rig()
    row = ExternalAuthentication(
        installation_id=rig.site.id,
        mode=ExternalMode.ENFORCE,
        url=url,
        secret="sealed:whsec_AAAA",
        fail_policy=policy,
    )
    await ExternalAuthentication.bulk_create([row])
    return rig


async def _question(rig: Rig) -> Question:
    question = (await rig.present(CARD)).question
    assert question is not None
    return question


async def test_a_question_is_asked_once_however_many_wait() -> None:
    """Authorize and the start after it, or a charger that repeats itself: one call, and its answer is everybody's."""
    rig, system = await an_asking_rig(), System()
    asking = Asking(system)
    question = await _question(rig)
    started = (await rig.start(at(0.01))).question
    assert started == replace(question, is_new=False)
    waiting = [asyncio.create_task(asking.authorizer.decided(one)) for one in (question, started)]
    await system.is_called.wait()
    waiting.append(asyncio.create_task(asking.authorizer.decided(question)))
    system.may_answer.set()
    found = await asyncio.gather(*waiting)
    assert {(one.decision, one.decided_by) for one in found} == {(ACCEPTED, Decider.CALL_OUT)}
    assert system.asked == [str(question.request_id)]
    decided = AuthorizationDecided(rig.site.id, question.request_id)
    assert asking.bus.published.count(decided) == 1


async def test_a_card_and_its_start_in_one_batch_are_one_question() -> None:
    """They wait for the same answer until the same instant."""
    rig = await an_asking_rig()
    shown = TokenPresented(charger_time=None, received_at=NOW, evse=None, id_token=CARD)
    begun = SessionStarted(charger_time=NOW, received_at=NOW, evse=1, id_token=CARD, meter_start_wh=1000)
    first, second = (await rig.say(shown, begun)).outcomes
    assert first.question is not None
    assert second.question == replace(first.question, is_new=False)
    assert await AuthorizationRequest.all().count() == 1


async def test_of_two_processes_one_calls() -> None:
    """The other finds the answer."""
    rig, first, second = await an_asking_rig(), System(), System()
    question = await _question(rig)
    one, other = Asking(first), Asking(second)
    known = replace(question, is_new=False)
    waiting = [asyncio.create_task(each.authorizer.decided(asked)) for each, asked in ((other, known), (one, question))]
    called = [asyncio.create_task(each.is_called.wait()) for each in (first, second)]
    await asyncio.wait(called, return_when=asyncio.FIRST_COMPLETED)
    first.may_answer.set()
    second.may_answer.set()
    found = await asyncio.gather(*waiting)
    assert [each.decision for each in found] == [ACCEPTED, ACCEPTED]
    assert len(first.asked + second.asked) == 1
    for task in called:
        task.cancel()


async def test_who_stops_waiting_ends_no_question() -> None:
    """A charger that goes away leaves it to who else waits, and to the row."""
    rig, system = await an_asking_rig(), System()
    asking = Asking(system)
    question = await _question(rig)
    gone, stays = (asyncio.create_task(asking.authorizer.decided(question)) for _ in range(2))
    await system.is_called.wait()
    gone.cancel()
    system.may_answer.set()
    assert (await stays).decision is ACCEPTED
    assert gone.cancelled()
    assert len(system.asked) == 1


async def test_a_denied_charge_is_stopped() -> None:
    """As soon as the answer is there; a sweep asks again while it goes on."""
    rig, system = await an_asking_rig(), System(decision=BLOCKED)
    system.may_answer.set()
    asking = Asking(system)
    outcome = await rig.start(NOW)
    assert outcome.question is not None
    asking.authorizer.ask_soon(outcome.question)
    assert (await asking.authorizer.decided(outcome.question)).decision is BLOCKED
    await asking.authorizer.sweep()
    stop = (rig.charger_id, StopCharging(outcome.transaction_id or ""))
    assert set(asking.wire.sent) == {stop}
    await rig.stop(outcome.transaction_id, at(1), meter=1000)
    sent = len(asking.wire.sent)
    await asking.authorizer.sweep()
    assert len(asking.wire.sent) == sent


async def test_what_nobody_waits_for_is_settled_by_a_sweep() -> None:
    """Whoever asked is gone: the fail policy decides once the time is over, not before."""
    rig = await an_asking_rig(FailPolicy.ALLOW_ALL)
    question = await _question(rig)
    clock = HandClock(NOW)
    asking = Asking(NoCallOuts(), clock)
    await asking.authorizer.sweep()
    assert (await AuthorizationRequest.get()).decision is None
    clock.advance(timedelta(seconds=5.1))
    await asking.authorizer.sweep()
    row = await AuthorizationRequest.get(id=question.request_id)
    assert (row.decision, row.decided_by) == (ACCEPTED, Decider.FAIL_POLICY)


async def test_a_system_without_an_address_is_not_called() -> None:
    """Its subscriber's answer is found by looking, where the bus is away."""
    rig, system = await an_asking_rig(url=None), System()
    asking = Asking(system)
    question = await _question(rig)
    waiting = asyncio.create_task(asking.authorizer.decided(question))
    await answer(question.request_id, Answer(decision=ACCEPTED, decided_by=Decider.SUBSCRIBER), now=NOW)
    assert (await waiting).decided_by is Decider.SUBSCRIBER
    assert system.asked == []


async def test_a_call_waits_for_the_database() -> None:
    """It is made as soon as it can be, once."""
    rig, system = await an_asking_rig(), System()
    system.may_answer.set()
    asking = Asking(system, sealer=AwayFor(2))
    assert (await asking.authorizer.decided(await _question(rig))).decided_by is Decider.CALL_OUT
    assert len(system.asked) == 1


async def test_a_question_that_could_not_be_put_ends_by_its_policy() -> None:
    """At its time."""
    rig, system = await an_asking_rig(FailPolicy.ALLOW_ALL), System()
    asking = Asking(system, sealer=AwayFor(10**6))
    settled = await asking.authorizer.decided(await _question(rig))
    assert (settled.decision, settled.decided_by) == (ACCEPTED, Decider.FAIL_POLICY)
    assert system.asked == []


@dataclass
class Outage(System):
    """A system in whose time to answer the database goes away; it comes back with the second `sleep` of its clock, or never."""

    def go(self) -> None:
        client = connections.get("default")
        self._pool, client._pool = client._pool, NoPool()

    def end(self) -> None:
        connections.get("default")._pool = self._pool

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        self.go()
        self.may_answer.set()
        return await super().post(url, event_id=event_id, content=content, secrets=secrets, timeout_s=timeout_s)


class _Mending(HandClock):
    """With its second `sleep` the database is back."""

    def __init__(self, outage: Outage) -> None:
        super().__init__(NOW)
        self.outage = outage
        self.slept = 0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.slept += 1
        if self.slept == 2:
            self.outage.end()


async def test_an_answer_waits_for_the_database(backend: str) -> None:
    """What the system said in time holds, though it could not be stored at first."""
    if backend != "postgresql":
        return  # A file is never away.
    rig, outage = await an_asking_rig(), Outage()
    asking = Asking(outage, _Mending(outage))
    settled = await asking.authorizer.decided(await _question(rig))
    assert (settled.decision, settled.decided_by) == (ACCEPTED, Decider.CALL_OUT)


async def test_while_the_database_stays_away_nothing_is_decided(backend: str) -> None:
    """Who waits is told so at the deadline; the question is there when the database is back, and ends by its policy."""
    if backend != "postgresql":
        return  # A file is never away.
    rig, outage = await an_asking_rig(FailPolicy.ALLOW_ALL), Outage()
    asking = Asking(outage, HandClock(NOW))
    question = await _question(rig)
    with pytest.raises(UnavailableError):
        await asking.authorizer.decided(question)
    outage.end()
    await asking.authorizer.sweep()
    row = await AuthorizationRequest.get(id=question.request_id)
    assert (row.decision, row.decided_by) == (ACCEPTED, Decider.FAIL_POLICY)
    assert await denied_charges() == []
