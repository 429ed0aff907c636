"""One connection of a charger: its frames, and its mailbox, answered in order. What it is asked is in `calls`."""

import asyncio
import contextlib
import functools
import operator
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from devices.calls import Calls
from devices.clock_offset import TOLERATED, ClockOffset
from devices.first_limits import MOST_HELD, FirstLimits
from devices.ingest import Ingestor
from devices.ocpp import frames
from devices.ocpp.frames import Call, CallError, CallResult, ErrorCode, Malformed
from devices.ocpp.masking import readable
from devices.ocpp.protocol import (
    Adapter,
    AnswerKind,
    BootVerdict,
    Outgoing,
    Received,
    Refused,
    ReportPart,
    UnencodableError,
)
from devices.signal import Signal
from devices.sockets import AWAY, GOING_AWAY, INTERNAL, OVERTAKEN, POLICY, TRY_AGAIN_LATER, Socket
from devices.tallies import Tallies
from domain import lifecycle, sql
from domain.authorization.authorizer import Asks
from domain.charging.reports import Outcome, Report
from domain.charging.session_rules import Hearing, moment_of
from domain.clock import Clock
from domain.equipment.capabilities import DEFAULT, NOBODY_KNOWS, Capabilities, Kind
from domain.equipment.ocpp_messages import Message
from domain.errors import UnavailableError
from domain.metering import STALE
from domain.observations import (
    AnyObservation,
    Booted,
    ConnectorStatus,
    SessionClaimed,
    SessionStarted,
    StatusReported,
    TokenPresented,
)
from domain.ports import DeviceAnswer, DeviceCommand, DeviceVerdict, OfferCurrent, StartCharging
from domain.roles import AuthorizationDecision

MAILBOX = 256
"""Messages of one charger that may wait; then its socket is not read."""

CALL_TIMEOUT_S = 30.0
"""How long a charger may take to answer a call of ours before the next one goes out."""

MOST_AHEAD = 64
"""Messages of one charger that are answered and not stored yet; then each waits until it is."""

MISSED_PINGS = 3
"""So many pings without any sign of life: the connection is gone, whatever TCP believes."""

DATABASE_TIMEOUT_S = 10.0

OUTDATED = DeviceAnswer(DeviceVerdict.ERROR, "another process balances this site by now")

STATUS = "StatusNotification"

_NOTHING_REPORTED = Outcome()
_ACKNOWLEDGED = {AnswerKind.METER, AnswerKind.STATUS, AnswerKind.STOP, AnswerKind.OTHER}
_is_done = operator.methodcaller("done")
_TELLING = {AnswerKind.BOOT, AnswerKind.AUTHORIZE, AnswerKind.START}
"""Answers that say more than that a message was heard."""
_ANSWERED_FIRST = {AnswerKind.BOOT, AnswerKind.HEARTBEAT, AnswerKind.STATUS}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How chargers are to behave."""

    heartbeat_interval_s: int = 300
    meter_interval_s: int = 30
    call_timeout_s: float = CALL_TIMEOUT_S
    limit_awaited_s: float = 0.0
    """How long a car that is about to begin waits for its charger's word on the limit that holds without us; 0: nobody balances."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all links of a process share."""

    ingestor: Ingestor
    clock: Clock
    settings: Settings
    asks: Asks
    """Where a site's external system decides."""
    counts: "Counter[str]" = field(default_factory=Counter)
    tallies: Tallies = field(default_factory=Tallies)


class _Begun(msgspec.Struct, frozen=True):
    """A call whose reports are handed in and that is still to be answered."""

    message_id: str
    received: Received | Refused
    outcomes: "Sequence[asyncio.Future[Outcome]]"
    """To be waited for."""


class Link:
    """A connection. `run` reads until it ends; everything else happens in tasks that end with it."""

    __slots__ = (
        "_ahead",
        "_answers_pings",
        "_asked_statuses",
        "_fences",
        "_heard",
        "_hearing",
        "_mailbox",
        "_name",
        "_room",
        "_shared",
        "_socket",
        "_stored_offset",
        "_tasks",
        "_working",
        "adapter",
        "availability_outdated",
        "booted",
        "calls",
        "capabilities",
        "chargers",
        "configured_as",
        "connected_at",
        "epoch",
        "heard_at",
        "identity",
        "in_service",
        "is_closed",
        "kind",
        "limits",
        "list_outdated",
        "offset",
        "report_parts",
        "station_id",
        "stirred",
    )

    def __init__(
        self,
        socket: Socket,
        shared: Surroundings,
        *,
        identity: str,
        station_id: UUID,
        epoch: int,
        chargers: dict[int, UUID],
        adapter: Adapter,
        kind: Kind = NOBODY_KNOWS,
        capabilities: Capabilities = DEFAULT,
        profiles_are_ours: bool = True,
        configured_as: str | None = None,
        clock_offset: timedelta | None = None,
    ) -> None:
        self.kind = kind
        self.identity = identity
        self._name = f"link {identity}"
        self.capabilities = capabilities
        self.station_id = station_id
        self.epoch = epoch
        self.chargers = chargers
        self.adapter = adapter
        self.connected_at: datetime = shared.clock.now()
        self.heard_at: datetime = self.connected_at
        self.offset = ClockOffset(self.connected_at, clock_offset)
        self._stored_offset = clock_offset or timedelta()
        self._hearing = Hearing(self.connected_at, self.offset.value, before=clock_offset)
        self._heard = 0
        self._asked_statuses: dict[int, int] = {}
        """EVSE → how many calls had come when the charger agreed to say how it is there."""
        self.booted = Signal()
        self.stirred = Signal()
        """It has booted, or its clock is in doubt."""
        self.list_outdated = Signal()
        self.availability_outdated = Signal()
        self.in_service: dict[int, bool] = {}
        """EVSE → whether it is to be in service, as far as that is known."""
        self.configured_as = configured_as
        self.calls = Calls(self, timeout_s=shared.settings.call_timeout_s, profiles_are_ours=profiles_are_ours)
        self.report_parts: asyncio.Queue[ReportPart] | None = None
        """Where parts of a report go while somebody waits for them; what does not fit is dropped."""
        self._socket = socket
        self._shared = shared
        self._mailbox: list[Call] = []
        self._room: Signal | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = False
        self._ahead = 0
        self.limits = FirstLimits(chargers, patience_s=shared.settings.limit_awaited_s)
        self.is_closed = False
        self._answers_pings = False
        self._fences: dict[tuple[int, str], int] = {}

    def treat_as(self, capabilities: Capabilities) -> None:
        """The charger is spoken to as its kind wants it."""
        self.capabilities = capabilities
        self._socket.keep_alive(capabilities.ping_every_s or None, self._ponged)

    def is_lost(self, *, now: datetime) -> bool:
        """Whether it has been silent for longer than a charger that is still there would be.

        A heartbeat is no measure: some send one a day. Any frame and any pong is a sign of life.
        """
        known = self.capabilities
        is_pinged = self._answers_pings and known.ping_every_s > 0
        patience_s = MISSED_PINGS * known.ping_every_s if is_pinged else known.silent_after_s
        return not self._working and (now - self.heard_at).total_seconds() > patience_s

    def _ponged(self) -> None:
        self.heard_at = self._shared.clock.now()
        self._answers_pings = True

    async def run(self) -> None:
        """Until the charger or we close; afterwards no task of this link runs and every call of ours has its answer."""
        self.treat_as(self.capabilities)
        try:
            await self._guarded(self._read())
        finally:
            self.is_closed = True
            for task in list(self._tasks):
                task.cancel()
            self.calls.end()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=1.0)

    async def close(self, code: int, reason: str) -> None:
        """The socket is closed with that reason; `run` returns soon."""
        self.is_closed = True
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._socket.close(code, reason)

    async def still_speaks(self) -> bool:
        """Whether no newer connection of the charger stands. If one does, or if the rows cannot be asked, this one is closed."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                is_newest = await lifecycle.is_newest(self.station_id, epoch=self.epoch)
        except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE):
            await self.close(TRY_AGAIN_LATER, AWAY)
            return False
        if not is_newest:
            await self.close(GOING_AWAY, OVERTAKEN)
        return is_newest

    def close_soon(self, code: int, reason: str) -> None:
        """As `close`, by a task of the link's own."""
        self.spawn(self.close(code, reason))

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """The work runs in a task that ends with the link."""
        task = asyncio.create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Without noise where only the socket is gone."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConnectionError):
            _log.error("a task of a link failed", identity=self.identity, exc_info=error)

    async def _read(self) -> None:
        while (text := await self._socket.receive_frame()) is not None:
            self.heard_at = self._shared.clock.now()
            match frames.parse(text):
                case Call() as call:
                    await self._queue(call)
                case CallResult() | CallError() as answer:
                    self._take_answer(answer)
                case Malformed() as frame:
                    self._wrong("malformed")
                    if frame.message_id is not None:
                        await self._send_error(frame.message_id, frame.code, frame.description)

    def _wrong(self, what: str) -> None:
        self._shared.counts[what] += 1
        self._shared.tallies.did_wrong(self.identity, what)

    async def _queue(self, call: Call) -> None:
        """The call is answered if nothing has to be waited for; else a task does it, and later ones wait in the mailbox."""
        if self._working and len(self._mailbox) >= MAILBOX:
            self._room = Signal()
            await self._room.wait()
        self._heard += 1
        if self._working:
            self._mailbox.append(call)
        elif not self.is_closed:
            begun = self._begin(call)
            if all(map(_is_done, begun.outcomes)):
                await self._finish(begun)
            elif len(begun.outcomes) == 1:
                self._working = True
                begun.outcomes[0].add_done_callback(functools.partial(self._settled, begun))
            else:
                self._working = True
                self.spawn(self._work(begun))

    def _settled(self, begun: "_Begun", outcome: "asyncio.Future[Outcome]") -> None:
        """What was said is durable, or could not be stored. Most calls are answered right here: a task for each would cost as much as
        all the rest of it.
        """
        if self.is_closed or not self._answered_at_once(begun, outcome):
            self.spawn(self._work(begun))
        else:
            self._working = False

    def _answered_at_once(self, begun: "_Begun", outcome: "asyncio.Future[Outcome]") -> bool:
        received = begun.received
        if self._mailbox or isinstance(received, Refused) or received.answer_kind not in _ACKNOWLEDGED:
            return False
        if outcome.cancelled() or outcome.exception() is not None:
            return False
        found = outcome.result()
        if found.refusal is not None or found.question is not None:
            return False
        answer = self.adapter.acknowledge(received.action)
        return self._socket.send_now(frames.encode_result(begun.message_id, answer))

    async def _work(self, begun: "_Begun") -> None:
        await self._guarded(self._catch_up(begun))

    async def _catch_up(self, begun: "_Begun") -> None:
        """What was begun is answered, then every message in the mailbox, in order."""
        try:
            await self._finish(begun)
            while self._mailbox and not self.is_closed:
                await self._finish(self._begin(self._mailbox.pop(0)))
                if self._room is not None and len(self._mailbox) <= MAILBOX // 2:
                    self._room.set()
                    self._room = None
        finally:
            self._working = False
            if self._room is not None:
                self._room.set()
                self._room = None

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        """The work; where it fails the link is closed."""
        try:
            await work
        except UnavailableError:
            await self.close(TRY_AGAIN_LATER, AWAY)
        except ConnectionError:
            await self.close(GOING_AWAY, "")
        except Exception:
            # A defect of ours in one message must not leave a socket that looks alive and answers nothing.
            _log.exception("a link failed", identity=self.identity)
            await self.close(INTERNAL, "Something went wrong here.")

    def _begin(self, call: Call) -> "_Begun":
        """What was said is handed in."""
        received = self.adapter.receive(call.action, call.payload, received_at=self.heard_at)
        if isinstance(received, Refused):
            self._wrong("refused")
            self.keep(call.action, call.payload, is_from_charger=True)
            return _Begun(call.message_id, received, ())
        for leniency in received.leniencies:
            self._shared.counts[f"leniency {leniency}"] += 1
            self._shared.tallies.forgave(self.kind, leniency)
        message = None
        if received.answer_kind is not AnswerKind.HEARTBEAT:
            message = self._message(call.action, call.payload, is_from_charger=True)
        reports = self._reports(received, message)
        if message is not None and not reports:
            self._shared.ingestor.keep(message)
        outcomes = [self._shared.ingestor.submit(report) for report in reports]
        if received.answer_kind in _ANSWERED_FIRST and self._ahead < MOST_AHEAD:
            self._ahead += len(outcomes)
            for outcome in outcomes:
                outcome.add_done_callback(self._caught_up)
            return _Begun(call.message_id, received, ())
        return _Begun(call.message_id, received, outcomes)

    def _caught_up(self, _: "asyncio.Future[Outcome]") -> None:
        self._ahead -= 1

    async def _finish(self, begun: "_Begun") -> None:
        """The call is answered, where it matters as soon as what was said is durable."""
        received, outcome = begun.received, _NOTHING_REPORTED
        if isinstance(received, Refused):
            await self._send_error(begun.message_id, received.code, received.description)
            return
        for number, one in enumerate(begun.outcomes):
            found = await one
            if found.refusal is not None:
                await self._refuse(begun.message_id, found.refusal)
                return
            if number == 0:
                outcome = await self._with_answer(received, found)
        answer = self._answer_to(received, outcome)
        if not self.limits.are_known and self._lets_begin(received, outcome):
            await self._tell_once_limited(begun.message_id, received, answer)
            return
        await self._tell(begun.message_id, received, answer)
        if received.part is not None and self.report_parts is not None:
            with contextlib.suppress(asyncio.QueueFull):
                self.report_parts.put_nowait(received.part)
        if received.answer_kind is AnswerKind.STATUS:
            self._says_how_it_is(received)
        if received.answer_kind is AnswerKind.BOOT:
            self._says_who_it_is(received)
            self.offset.booted()
            self.booted.set()
            self.stirred.set()

    async def _tell(self, message_id: str, received: Received, answer: msgspec.Struct) -> None:
        await self.send(frames.encode_result(message_id, answer))
        if received.answer_kind in _TELLING:
            self.keep(received.action, msgspec.json.encode(answer), is_from_charger=False)

    def _lets_begin(self, received: Received, outcome: Outcome) -> bool:
        """Whether a car may begin to charge once it is answered. What began before this connection goes on, whatever is answered."""
        if outcome.decision is not AuthorizationDecision.ACCEPTED:
            return False
        return any(self._is_about_to_begin(one) for one in received.observations)

    def _is_about_to_begin(self, said: AnyObservation) -> bool:
        if isinstance(said, TokenPresented):
            return True
        is_start = isinstance(said, SessionStarted) and said.id_token is not None
        if not is_start and not (isinstance(said, SessionClaimed) and not said.is_stop):
            return False
        hearing = self._hearing
        moment = moment_of(said.charger_time, said.received_at, hearing, is_marked_offline=said.is_marked_offline)
        return not moment.is_offline

    async def _tell_once_limited(self, message_id: str, received: Received, answer: msgspec.Struct) -> None:
        """What comes after it is answered meanwhile, up to a bound."""
        is_one_of_few = self.limits.held_count < MOST_HELD
        self.limits.hold()
        if is_one_of_few:
            self.spawn(self._guarded(self._tell_late(message_id, received, answer)))
        else:
            await self._tell_late(message_id, received, answer)

    async def _tell_late(self, message_id: str, received: Received, answer: msgspec.Struct) -> None:
        try:
            await self._limited()
            await self._tell(message_id, received, answer)
        finally:
            self.limits.release()

    async def _limited(self) -> None:
        """The charger has a limit that holds without us, or takes none; or it has not said so for too long."""
        if not await self.limits.known():
            self._wrong("no word on the first limit")

    def _message(self, action: str, payload: msgspec.Raw | bytes, *, is_from_charger: bool) -> Message:
        at = self._shared.clock.now()
        return Message(self.station_id, at, is_from_charger, action, readable(action, payload))

    def keep(self, action: str, payload: msgspec.Raw | bytes, *, is_from_charger: bool) -> None:
        """It is stored soon what was said, for people to read."""
        self._shared.ingestor.keep(self._message(action, payload, is_from_charger=is_from_charger))

    def _says_who_it_is(self, received: Received) -> None:
        for booted in received.observations:
            if isinstance(booted, Booted):
                self.kind = Kind(booted.vendor, booted.model, booted.firmware_version or "")

    def _says_how_it_is(self, received: Received) -> None:
        """Where a connector is out of service and should not be, or the other way round, somebody looks."""
        for said in received.observations:
            if isinstance(said, StatusReported):
                is_out = said.status is ConnectorStatus.UNAVAILABLE
                if self.in_service.get(said.evse, not is_out) is is_out:
                    self.availability_outdated.set()

    async def _with_answer(self, received: Received, outcome: Outcome) -> Outcome:
        """The outcome once the site's external system was asked: a card waits for its answer, everything else goes on meanwhile."""
        question = outcome.question
        if question is None:
            return outcome
        if question.is_shadow or received.answer_kind is not AnswerKind.AUTHORIZE:
            self._shared.asks.ask_soon(question)
            return outcome
        settled = await self._shared.asks.decided(question)
        return msgspec.structs.replace(outcome, decision=settled.decision)

    async def _refuse(self, message_id: str, refusal: str) -> None:
        if refusal == STALE:
            await self.close(POLICY, STALE)
        else:
            await self._send_error(message_id, ErrorCode.INTERNAL_ERROR, refusal)

    def _reports(self, received: Received, message: Message | None) -> list[Report]:
        """What is handed in; the first one takes the message along."""
        for observation in received.observations:
            if observation.charger_time is not None:
                self.offset.learn(
                    observation.charger_time,
                    observation.received_at,
                    is_status=isinstance(observation, StatusReported),
                    is_live=self._is_asked_for(received.action, observation),
                )
        offset = self.offset.value
        if (offset, self.offset.is_clock_set) != (self._hearing.offset, self._hearing.is_clock_set):
            self._hearing = Hearing(
                self.connected_at, offset, is_clock_set=self.offset.is_clock_set, before=self.offset.before
            )
            self._keep_clock(offset or timedelta())
        if self.offset.is_doubtful:
            self.stirred.set()
        return [
            Report(self.station_id, self.epoch, self._hearing, one, message if number == 0 else None)
            for number, one in enumerate(received.observations)
        ]

    def _is_asked_for(self, action: str, observation: AnyObservation) -> bool:
        """Whether it is the status that the charger was asked for: the first to come after it agreed (OCPP 1.6 §5.17, OCPP 2.0.1 F06)."""
        if action != STATUS or not isinstance(observation, StatusReported):
            return False
        number = self._heard - len(self._mailbox)
        if number <= self._asked_statuses.get(observation.evse, number):
            return False
        del self._asked_statuses[observation.evse]
        return True

    def _keep_clock(self, offset: timedelta) -> None:
        """The next connection knows how the clock was."""
        if abs(offset - self._stored_offset) > TOLERATED:
            self._stored_offset = offset
            self.spawn(_store_clock(self.station_id, self.epoch, offset))

    def _answer_to(self, received: Received, outcome: Outcome) -> msgspec.Struct:
        if received.answer_kind in _ACKNOWLEDGED:
            return self.adapter.acknowledge(received.action)
        match received.answer_kind:
            case AnswerKind.AUTHORIZE:
                return self.adapter.authorize(outcome.decision)
            case AnswerKind.START:
                return self.adapter.started(outcome.transaction_id or "0", outcome.decision)
            case AnswerKind.BOOT:
                interval_s = self._shared.settings.heartbeat_interval_s
                return self.adapter.boot(BootVerdict.ACCEPTED, now=self._shared.clock.now(), interval_s=interval_s)
            case AnswerKind.HEARTBEAT:
                return self.adapter.heartbeat(now=self._shared.clock.now())
        return self.adapter.acknowledge(received.action)

    def went_out(self, outgoing: Outgoing) -> None:
        """The call is on its way: where it brings the limit that holds without us, silence counts from now."""
        if outgoing.is_default_of is not None:
            self.limits.told(outgoing.is_default_of)

    async def keep_cleared(self) -> None:
        """It is stored, where it can be, that what limits the charger is what this portal sets."""
        with contextlib.suppress(*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE, TimeoutError):
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                await lifecycle.profiles_cleared(self.station_id, epoch=self.epoch, now=self._shared.clock.now())

    async def send(self, text: str) -> None:
        """The frame is on its way. ConnectionError when nobody is there."""
        if self.is_closed:
            raise ConnectionError("the link is closed")
        if not self._socket.send_now(text):
            await self._socket.send_frame(text)

    async def _send_error(self, message_id: str, code: ErrorCode, description: str) -> None:
        await self.send(frames.encode_error(message_id, self.adapter.spelled(code), description))

    async def command(self, command: DeviceCommand, *, evse: int, timeout_s: float) -> DeviceAnswer:
        """The charger's answer to a command for that connector, or why there is none within `timeout_s`."""
        if isinstance(command, OfferCurrent):
            if command.fence < self._fences.get((evse, command.lease), 0):
                return OUTDATED
            self._fences[evse, command.lease] = command.fence
        try:
            # A schedule is read by the charger's own clock, right or wrong.
            by_its_clock = self._shared.clock.now() - (self.offset.value or timedelta())
            outgoing = self.adapter.encode(command, evse=evse, now=by_its_clock, capabilities=self.capabilities)
        except UnencodableError as error:
            return DeviceAnswer(DeviceVerdict.ERROR, str(error))
        asked_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(timeout_s):
                await self._in_its_turn(command)
        except TimeoutError:
            return DeviceAnswer(DeviceVerdict.TIMEOUT, f"no answer within {timeout_s:g} s")
        left_s = max(0.0, timeout_s - (asyncio.get_running_loop().time() - asked_s))
        is_limit = isinstance(command, OfferCurrent)
        return await self.calls.make(outgoing, timeout_s=left_s, is_limit=is_limit)

    async def _in_its_turn(self, command: DeviceCommand) -> None:
        """A car may begin, or a charger knows its transaction: by our answer to its start only (OCPP 1.6 §4.8)."""
        if isinstance(command, StartCharging):
            await self._limited()
        if isinstance(command, OfferCurrent) and command.transaction_id is not None:
            await self.limits.released()

    async def call(self, outgoing: Outgoing, *, timeout_s: float) -> DeviceAnswer:
        """As `command`. A call whose asker has given up before it went out is not sent; one that went out is sent once."""
        return await self.calls.make(outgoing, timeout_s=timeout_s)

    def _take_answer(self, frame: CallResult | CallError) -> None:
        """One to nothing, or too late, is counted and dropped."""
        taken = self.calls.take(frame)
        if taken is None:
            self._wrong("answers to nothing")
            return
        outgoing, answer = taken
        if outgoing.is_default_of is not None:
            self.limits.heard(outgoing.is_default_of)
        if outgoing.asks_status_of is not None and answer.verdict is DeviceVerdict.ACCEPTED:
            self._asked_statuses[outgoing.asks_status_of] = self._heard


async def _store_clock(station_id: UUID, epoch: int, offset: timedelta) -> None:
    with contextlib.suppress(*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE):
        await lifecycle.clock_learnt(station_id, epoch=epoch, offset=offset)
