"""Puts questions to external systems and waits for the first answer. A service of the running program."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec
import structlog

from domain import events, sql
from domain.authorization import call_outs, requests
from domain.authorization.external_system import ExternalSystem, system_of
from domain.authorization.requests import Denied, Settled
from domain.charging.reports import Question
from domain.clock import Clock
from domain.errors import UnavailableError
from domain.events import AuthorizationDecided
from domain.ports import CallOuts, ChargerCommands, EventBus, Sealer, StopCharging
from domain.roles import AuthorizationDecision, Decider

MOST_AT_ONCE = 2_000
"""Questions that one process has open; beyond that the site's fail policy holds at once."""
LOOK_EVERY_S = 1.0
"""How often the row is looked at, in case the bus was away when it was answered."""
SWEEP_EVERY_S = 15.0
STOP_TIMEOUT_S = 30.0

T = TypeVar("T")
_TROUBLE = (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE)
_log = structlog.get_logger(__name__)


class Asks(Protocol):
    """Gets decisions of external systems."""

    async def decided(self, question: Question) -> Settled:
        """The decision, at the latest when the question expires."""
        ...

    def ask_soon(self, question: Question) -> None:
        """The question is put by a task of its own; a charge that is denied is stopped."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizerPorts:
    """What an authorizer needs from outside."""

    bus: EventBus
    clock: Clock
    call_outs: CallOuts
    sealer: Sealer
    commands: ChargerCommands


class Authorizer:
    """Asks while `run` runs: that hears answers of other processes, and settles what whoever asked left open."""

    def __init__(self, ports: AuthorizerPorts) -> None:
        self._ports = ports
        self._asking: dict[UUID, asyncio.Task[Settled]] = {}
        self._heard: dict[UUID, asyncio.Event] = {}
        self._called: set[UUID] = set()
        """Open questions that were new here, about which the system is being called."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def decided(self, question: Question) -> Settled:
        """The decision: the first answer, or what the site's fail policy says when the question expires.

        However many wait, it is asked once. UnavailableError when the database is away at that time.
        """
        asking = self._asking.get(question.request_id)
        if asking is None and len(self._asking) >= MOST_AT_ONCE:
            return await self._settle(question.request_id)
        asking = asking or self._begin(question)
        if question.is_new and question.request_id not in self._called:
            # Also where another message waits for the same already: that one has called nobody.
            self._call(question)
        # It goes on where who waited is gone: a charger may come back and ask again.
        return await asyncio.shield(asking)

    def _begin(self, question: Question) -> "asyncio.Task[Settled]":
        request_id = question.request_id
        self._heard[request_id] = asyncio.Event()
        asking = self._asking[request_id] = asyncio.create_task(self._decide(question), name="question")
        asking.add_done_callback(lambda _: self._end(request_id))
        if not question.is_new:
            self._call(question)
        return asking

    def _call(self, question: Question) -> None:
        if question.is_new:
            self._called.add(question.request_id)
        self._keep(asyncio.create_task(self._call_out(question), name="call-out"))

    def _end(self, request_id: UUID) -> None:
        del self._heard[request_id]
        self._called.discard(request_id)
        asking = self._asking.pop(request_id)
        if not asking.cancelled() and asking.exception() is not None:
            _log.warning("a question waits for the database", request=str(request_id))

    async def _decide(self, question: Question) -> Settled:
        found = await self._answered(question, self._heard[question.request_id])
        return found if found is not None else await self._settle(question.request_id)

    def ask_soon(self, question: Question) -> None:
        """The question is put by a task of its own; a charge that is denied is stopped."""
        self._keep(asyncio.create_task(self._ask(question), name="authorization"))

    async def _ask(self, question: Question) -> None:
        try:
            settled = await self.decided(question)
            if settled.decision is not AuthorizationDecision.ACCEPTED and not question.is_shadow:
                await self._stop_all(await requests.denied_charges(request_id=question.request_id))
        except (UnavailableError, *_TROUBLE):
            _log.warning("a question waits for the database", request=str(question.request_id))

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, question: Question, heard: asyncio.Event) -> Settled | None:
        """The decision that was heard of in time."""
        clock = self._ports.clock
        while (left_s := (question.expires_at - clock.now()).total_seconds()) > 0:
            try:
                async with asyncio.timeout(min(left_s, LOOK_EVERY_S)):
                    await heard.wait()
            except TimeoutError:
                pass
            heard.clear()
            try:
                found = await requests.decision_of(question.request_id)
            except _TROUBLE:
                continue
            if found is not None:
                return found
        return None

    async def _call_out(self, question: Question) -> None:
        """The site's system is asked by HTTP, if it can be; its answer is the answer if it is the first."""
        ports, request_id = self._ports, question.request_id
        try:
            call = await self._in_time(question, lambda: self._claimed(question))
            if call is None:
                return
            said = await call_outs.ask(*call, call_outs=ports.call_outs, now=ports.clock.now())
        except UnavailableError as error:
            _log.warning("an external system gave no answer", request=str(request_id), reason=error.message)
            return
        given = requests.Answer(
            decision=said.decision,
            decided_by=Decider.CALL_OUT,
            reason=said.reason,
            external_user_id=said.external_user_id,
            external_session_id=said.external_session_id,
            cache_for_s=said.cache_for_s,
        )
        settled = await self._in_time(question, lambda: requests.answer(request_id, given, now=ports.clock.now()))
        if settled is not None:
            await self._follow_up(settled, request_id)

    async def _claimed(self, question: Question) -> tuple[ExternalSystem, call_outs.Question] | None:
        """Whom this process calls, and what about; None where there is nothing to call, or another process does."""
        now = self._ports.clock.now()
        system = await system_of(question.installation_id, sealer=self._ports.sealer, now=now)
        if system.url is None:
            return None
        if not question.is_new and not await requests.claim_call(question.request_id, now=now):
            return None
        return system, await call_outs.question_of(question.request_id)

    async def _in_time(self, question: Question, step: Callable[[], Awaitable[T | None]]) -> T | None:
        """What the step gives, tried again while the database is away; None when the question expires before."""
        clock = self._ports.clock
        while clock.now() < question.expires_at:
            try:
                return await step()
            except _TROUBLE as error:
                _log.warning("a question waits for the database", reason=type(error).__name__)
            await clock.sleep(LOOK_EVERY_S)
        return None

    async def _settle(self, request_id: UUID) -> Settled:
        try:
            settled = await requests.settle(request_id, now=self._ports.clock.now())
        except _TROUBLE as error:
            # A sweep settles it.
            raise UnavailableError("The database is away.") from error
        await self._follow_up(settled, request_id)
        return settled

    async def _follow_up(self, settled: Settled, request_id: UUID) -> None:
        heard = self._heard.get(request_id)
        if heard is not None:
            heard.set()
        await self._ports.bus.publish(*settled.events)

    async def _stop_all(self, charges: Sequence[Denied]) -> None:
        """At once: a charger that does not answer lets no other go on."""
        async with asyncio.TaskGroup() as tasks:
            for denied in charges:
                tasks.create_task(self._stop(denied), name="stop of a denied charge")

    async def _stop(self, denied: Denied) -> None:
        answer = await self._ports.commands.send(
            denied.charger_id, StopCharging(denied.transaction_id), timeout_s=STOP_TIMEOUT_S
        )
        _log.info("a denied charge is stopped", charger=str(denied.charger_id), verdict=answer.verdict)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="answers")
            tasks.create_task(self._sweep_all(), name="open questions")

    async def _listen(self) -> None:
        async with self._ports.bus.subscribe(events.AUTHORIZATIONS_CHANNEL) as messages:
            async for message in messages:
                try:
                    event = events.decode(message)
                except msgspec.DecodeError:
                    continue
                if isinstance(event, AuthorizationDecided) and event.request_id in self._heard:
                    self._heard[event.request_id].set()

    async def _sweep_all(self) -> None:
        while True:
            await self._ports.clock.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep()
            except (UnavailableError, *_TROUBLE):
                _log.warning("open questions wait for the database")

    async def sweep(self) -> None:
        """Questions that expired unsettled have the fail policy's decision; denied charges that still go on are asked to stop again."""
        now: datetime = self._ports.clock.now()
        for request_id in await requests.overdue(now=now):
            if request_id not in self._asking:
                await self._settle(request_id)
        await self._stop_all(await requests.denied_charges())
