"""One commit for many chargers: what they say is gathered, stored in one transaction, and only then answered."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import structlog
from tortoise.transactions import in_transaction

from domain import sql
from domain.charging.reports import WITH_TOKEN, Outcome, Report
from domain.clock import Clock
from domain.durations import Durations
from domain.equipment import ocpp_messages
from domain.equipment.ocpp_messages import Message
from domain.errors import UnavailableError
from domain.events import Event
from domain.metering import apply_batch
from domain.ports import EventBus

BATCH_LIMIT = 256
GATHER_S = 0.004
"""How long a commit waits for company; a disk's sync costs about as much."""

BATCH_TIMEOUT_S = 10.0
"""A database that does not answer for this long is away."""

MOST_UNPUBLISHED = 20_000

KEEP_EVERY_S = 0.5
KEPT_AT_ONCE = 500
MOST_MESSAGES = 10_000
"""That wait to be stored: a few seconds of a large fleet."""

_log = structlog.get_logger(__name__)


LANES = 2
"""Batches under way at once: while one waits for the database, another is worked on. SQLite has one writer, and one lane."""


@dataclass(slots=True)
class _Waiting:
    report: Report
    outcome: "asyncio.Future[Outcome]"


@dataclass(slots=True)
class _Lane:
    """Reports of some stations, in their order: a station never changes its lane."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class IngestCounts:
    """What went through since this process began."""

    reports: int = 0
    batches: int = 0
    commits: Durations = field(default_factory=Durations)
    """Of the batches, until they were stored."""
    refused: int = 0
    unavailable: int = 0
    unpublished: int = 0
    messages_lost: int = 0
    """Of those that nothing but people wait for: the database was away, or too many came at once."""


class Ingestor:
    """Stores reports while `run` runs. `on_away` is told when the database is away and nothing could be stored."""

    def __init__(self, *, bus: EventBus, clock: Clock, on_away: Callable[[], None], lanes: int = 1) -> None:
        self.counts = IngestCounts()
        self._bus = bus
        self._clock = clock
        self._on_away = on_away
        self._lanes = [_Lane() for _ in range(lanes)]
        self._deciding = asyncio.Lock()
        self._events: deque[Event] = deque(maxlen=MOST_UNPUBLISHED)
        self._told = asyncio.Event()
        self._messages: deque[Message] = deque()

    @property
    def waiting(self) -> Mapping[str, int]:
        """What is on its way, by what it waits for."""
        return {
            "store": sum(len(lane.waiting) for lane in self._lanes),
            "publish": len(self._events),
            "message": len(self._messages),
        }

    def keep(self, message: Message) -> None:
        """It is stored soon, for people to read; nothing waits for it. When too many wait, the oldest is lost."""
        if len(self._messages) >= MOST_MESSAGES:
            self._messages.popleft()
            self.counts.messages_lost += 1
        self._messages.append(message)

    def submit(self, report: Report) -> "asyncio.Future[Outcome]":
        """The outcome, when it is durable. UnavailableError: nothing was stored. Links bound how many of theirs wait."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        lane = self._lanes[report.station_id.int % len(self._lanes)]
        lane.waiting.append(_Waiting(report, outcome))
        lane.arrival.set()
        return outcome

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, lane in enumerate(self._lanes, start=1):
                    tasks.create_task(self._commit_all(lane), name=f"ingest commits {number}")
                tasks.create_task(self._publish_all(), name="ingest events")
                tasks.create_task(self._keep_all(), name="ingest messages")
        finally:
            for lane in self._lanes:
                self._fail([lane.waiting.popleft() for _ in range(len(lane.waiting))])

    async def _commit_all(self, lane: _Lane) -> None:
        waiting = lane.waiting
        while True:
            await lane.arrival.wait()
            lane.arrival.clear()
            if len(waiting) < BATCH_LIMIT:
                await asyncio.sleep(GATHER_S)
            while waiting:
                await self._commit([waiting.popleft() for _ in range(min(BATCH_LIMIT, len(waiting)))])

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        began_s = asyncio.get_running_loop().time()
        try:
            async with self._turn(batch), asyncio.timeout(BATCH_TIMEOUT_S):
                result = await apply_batch([one.report for one in batch], now=self._clock.now())
        except (UnavailableError, TimeoutError):
            self.counts.unavailable += 1
            _log.error("the database is away: chargers are sent off until it is back", reports=len(batch))
            self._fail(batch)
            self._on_away()
            return
        except BaseException:
            self._fail(batch)
            raise
        self.counts.batches += 1
        self.counts.commits.note(asyncio.get_running_loop().time() - began_s)
        self.counts.reports += len(batch)
        for one, outcome in zip(batch, result.outcomes, strict=True):
            self.counts.refused += outcome.refusal is not None
            if not one.outcome.done():
                one.outcome.set_result(outcome)
        self.counts.unpublished += max(0, len(self._events) + len(result.events) - MOST_UNPUBLISHED)
        self._events.extend(result.events)
        self._told.set()

    def _turn(self, batch: Sequence[_Waiting]) -> AbstractAsyncContextManager[None]:
        """Cards have it one batch after the other: one card at two chargers is decided about at one first."""
        is_deciding = any(isinstance(one.report.observation, WITH_TOKEN) for one in batch)
        return self._deciding if is_deciding else contextlib.nullcontext()

    async def _keep_all(self) -> None:
        while True:
            await self._clock.sleep(KEEP_EVERY_S)
            while self._messages:
                await self.keep_some()

    async def keep_some(self) -> None:
        """Some of what waits for nobody is stored, in one transaction: not all, whose memory the process would never give back."""
        some = [self._messages.popleft() for _ in range(min(KEPT_AT_ONCE, len(self._messages)))]
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_S), in_transaction():
                await ocpp_messages.insert(some)
        except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE, TimeoutError):
            self.counts.messages_lost += len(some)

    def _fail(self, batch: Sequence[_Waiting]) -> None:
        for one in batch:
            if not one.outcome.done():
                one.outcome.set_exception(UnavailableError("The database is away."))
                # Whoever does not wait for the outcome (an answered status) must not be a warning in the log.
                one.outcome.exception()

    async def _publish_all(self) -> None:
        """Events go out in the order of their commits, behind the answers."""
        while True:
            await self._told.wait()
            self._told.clear()
            while self._events:
                await self._bus.publish(*(self._events.popleft() for _ in range(min(BATCH_LIMIT, len(self._events)))))
