"""Who is connected here, and how a command finds the process that holds a charger's socket."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import get_args
from uuid import UUID

import msgspec
import structlog

from devices.gathering import Gathering
from devices.link import Link
from devices.sockets import AWAY, GOING_AWAY, OVERTAKEN, TRY_AGAIN_LATER
from domain import lifecycle, sql
from domain.durations import Durations
from domain.errors import UnavailableError
from domain.ids import new_id
from domain.lifecycle import Whereabouts
from domain.ports import DeviceAnswer, DeviceCommand, DeviceVerdict, EventBus
from domain.tracing import UNTRACED, Tracing

MOST_ROUTED = 4096
"""Commands of other processes that may wait here unread; the oldest is dropped and times out at its sender."""

DATABASE_TIMEOUT_S = 10.0

OFFLINE = DeviceAnswer(DeviceVerdict.OFFLINE, "the charger is not connected")

_COMMANDS: dict[str, type[DeviceCommand]] = {one.__name__: one for one in get_args(DeviceCommand)}

_log = structlog.get_logger(__name__)


class Registry:
    """The links of this process, one a station."""

    def __init__(self) -> None:
        self._links: dict[UUID, Link] = {}

    def __len__(self) -> int:
        return len(self._links)

    def links(self) -> list[Link]:
        """Every link."""
        return list(self._links.values())

    def add(self, link: Link) -> None:
        """The newest socket of a station speaks for it; the other one is closed."""
        older = self._links.get(link.station_id)
        if older is not None and older.epoch > link.epoch:
            link.close_soon(GOING_AWAY, OVERTAKEN)
            return
        if older is not None:
            older.close_soon(GOING_AWAY, OVERTAKEN)
        self._links[link.station_id] = link

    def remove(self, link: Link) -> None:
        """The link is gone; a newer one of the same station stays."""
        if self._links.get(link.station_id) is link:
            del self._links[link.station_id]

    def of_station(self, station_id: UUID) -> Link | None:
        """The station's link."""
        return self._links.get(station_id)

    def close_all(self, code: int, reason: str) -> None:
        """Every link ends soon."""
        for link in self.links():
            link.close_soon(code, reason)

    def send_away(self) -> None:
        """The database is away: chargers keep their messages and come back later."""
        self.close_all(TRY_AGAIN_LATER, AWAY)


class _Routed(msgspec.Struct, frozen=True):
    """A command on its way to another process."""

    id: UUID
    reply_to: str
    station_id: UUID
    epoch: int
    evse: int
    kind: str
    command: msgspec.Raw
    timeout_s: float


class _Reply(msgspec.Struct, frozen=True):
    id: UUID
    verdict: DeviceVerdict
    detail: str | None


@dataclass(slots=True)
class CommandCounts:
    """What became of commands that this process sent, by their kind, and how long the answer took."""

    answers: "Counter[tuple[str, DeviceVerdict]]" = field(default_factory=Counter)
    durations: dict[str, Durations] = field(default_factory=dict)

    def note(self, kind: str, verdict: DeviceVerdict, seconds: float) -> None:
        """One more has its answer."""
        self.answers[kind, verdict] += 1
        self.durations.setdefault(kind, Durations()).note(seconds)


@dataclass
class CommandRouter:
    """ChargerCommands for a whole house: to a link here, else over the bus to the process that has it.

    `run` must run, also in a process without chargers, because answers come back through it.
    """

    process: str
    registry: Registry
    bus: EventBus
    tracing: Tracing = UNTRACED

    def __post_init__(self) -> None:
        self.counts = CommandCounts()
        self._replies: dict[UUID, asyncio.Future[DeviceAnswer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._whereabouts = Gathering("where chargers are", _where, key=_itself)

    async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
        """The charger's answer, or why there is none; never raises for trouble on the wire, never later than `timeout_s`."""
        began_s = asyncio.get_running_loop().time()
        kind = type(command).__name__
        with self.tracing.span("device command", command=kind, charger=str(charger_id)) as span:
            answer = await self._send(charger_id, command, timeout_s)
            span.note(answer=answer.verdict.value)
        self.counts.note(kind, answer.verdict, asyncio.get_running_loop().time() - began_s)
        return answer

    async def _send(self, charger_id: UUID, command: DeviceCommand, timeout_s: float) -> DeviceAnswer:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._route(charger_id, command, timeout_s)
        except TimeoutError:
            return DeviceAnswer(DeviceVerdict.TIMEOUT, f"no answer within {timeout_s:g} s")
        except (UnavailableError, *sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE) as error:
            return DeviceAnswer(DeviceVerdict.ERROR, f"the command could not be sent: {error}")

    async def _route(self, charger_id: UUID, command: DeviceCommand, timeout_s: float) -> DeviceAnswer:
        # The rows say who speaks for a charger: a link here may have been overtaken by one elsewhere a moment ago.
        where = await self._whereabouts.ask(charger_id)
        if where is None:
            return OFFLINE
        if where.process == self.process:
            link = self.registry.of_station(where.station_id)
            if link is None or link.epoch != where.epoch:
                return OFFLINE
            return await link.command(command, evse=where.evse, timeout_s=timeout_s)
        request = self._request(where, command, timeout_s)
        answer: asyncio.Future[DeviceAnswer] = asyncio.get_running_loop().create_future()
        self._replies[request.id] = answer
        try:
            if await self.bus.send(_commands_of(where.process), msgspec.json.encode(request)) == 0:
                return OFFLINE
            return await answer
        finally:
            del self._replies[request.id]

    def _request(self, where: Whereabouts, command: DeviceCommand, timeout_s: float) -> _Routed:
        return _Routed(
            id=new_id(),
            reply_to=_replies_of(self.process),
            station_id=where.station_id,
            epoch=where.epoch,
            evse=where.evse,
            kind=type(command).__name__,
            command=msgspec.Raw(msgspec.json.encode(command)),
            timeout_s=timeout_s,
        )

    async def run(self) -> None:
        """Until cancelled: commands of other processes go to links here, answers of theirs to who waits here."""
        async with (
            self.bus.subscribe(_commands_of(self.process), limit=MOST_ROUTED) as commands,
            self.bus.subscribe(_replies_of(self.process), limit=MOST_ROUTED) as replies,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._take_commands(commands), name="routed commands")
            tasks.create_task(self._take_replies(replies), name="routed answers")

    async def _take_commands(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            try:
                request = msgspec.json.decode(message, type=_Routed)
            except msgspec.MsgspecError:
                _log.warning("a routed command could not be read")
                continue
            task = asyncio.create_task(self._carry_out(request), name=f"routed {request.kind}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, request: _Routed) -> None:
        answer = await self._answer(request)
        reply = msgspec.json.encode(_Reply(request.id, answer.verdict, answer.detail))
        try:
            await self.bus.send(request.reply_to, reply)
        except UnavailableError:
            _log.warning("an answer could not be returned", kind=request.kind)

    async def _answer(self, request: _Routed) -> DeviceAnswer:
        link = self.registry.of_station(request.station_id)
        kind = _COMMANDS.get(request.kind)
        if link is None or link.epoch != request.epoch:
            return OFFLINE
        if kind is None:
            return DeviceAnswer(DeviceVerdict.ERROR, f"no such command: {request.kind}")
        try:
            command = msgspec.json.decode(request.command, type=kind)
        except msgspec.MsgspecError as error:
            return DeviceAnswer(DeviceVerdict.ERROR, str(error))
        return await link.command(command, evse=request.evse, timeout_s=request.timeout_s)

    async def _take_replies(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            try:
                reply = msgspec.json.decode(message, type=_Reply)
            except msgspec.MsgspecError:
                _log.warning("a routed answer could not be read")
                continue
            waiting = self._replies.get(reply.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(DeviceAnswer(reply.verdict, reply.detail))


async def _where(charger_ids: Sequence[UUID]) -> list[Whereabouts | None]:
    async with asyncio.timeout(DATABASE_TIMEOUT_S):
        found = await lifecycle.whereabouts(charger_ids)
    return [found.get(one) for one in charger_ids]


def _itself(charger_id: UUID) -> UUID:
    return charger_id


def _commands_of(process: str) -> str:
    return f"devices:{process}"


def _replies_of(process: str) -> str:
    return f"devices:{process}:replies"
