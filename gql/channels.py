"""Channels of the bus as this process hears them: each message is decoded once, and what it changed is read once, for all who follow."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog

from domain import events
from domain.errors import UnavailableError
from domain.events import Event, Heard, Place, is_kept
from domain.ports import EventLog

T = TypeVar("T")

_GOOD_FOR_S: Final = 1.0
"""So old may be what was read before, where nothing was heard that changed it."""

_MOST_READINGS: Final = 256
"""So many are kept of a channel, the newest: those of single sessions and alerts are asked for while one event is told."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fact:
    """What was heard. Without an event and with `is_gap` some may have been missed; without both it was none of ours."""

    event: Event | None
    place: Place | None
    """Where one is after it; None where messages are not kept."""
    is_gap: bool = False


class Listener(Protocol):
    """One who hears a channel."""

    def hear(self, fact: Fact) -> None:
        """Told in the order of the channel, and not waited for."""
        ...

    def lose(self, error: Exception | None) -> None:
        """Nothing more will be heard: the bus is closed (None), or that went wrong."""
        ...


@dataclass(slots=True)
class _Reading:
    began_after: int
    began_at: float
    result: "asyncio.Future[Any]"


class Channel:
    """One channel while somebody here listens to it."""

    def __init__(self, name: str, log: EventLog) -> None:
        self.place = Place("", 0)
        """After the last message that was heard; of no meaning where messages are not kept."""
        self.users = 0
        self._name = name
        self._log = log
        self._listeners: dict[Listener, None] = {}
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count = 0
        self._last: Counter[type] = Counter()
        self._all_changed = 0
        self._readings: dict[object, _Reading] = {}
        self._results: dict[object, Any] = {}
        self._shared: dict[object, Any] = {}
        self._task = asyncio.create_task(self._run(), name="channel")

    async def enter(self, listener: Listener) -> None:
        """The listener hears what comes after `place`. Raises what keeps the channel from being heard."""
        await asyncio.shield(self._opened)
        self._listeners[listener] = None

    def leave(self, listener: Listener) -> None:
        """The listener hears no more."""
        self._listeners.pop(listener, None)

    async def once(
        self, key: object, read: Callable[[], Awaitable[T]], *, changed_by: tuple[type, ...] | None = None
    ) -> T:
        """What `read` gives, read after everything that was heard so far and changes it (None: anything may): once for all who ask for
        the same. Equal results are the same object.
        """
        known = self._readings.get(key)
        if known is None or not self._is_good(known, changed_by):
            loop = asyncio.get_running_loop()
            task = asyncio.ensure_future(_awaited(read))
            known = _Reading(self._count, loop.time(), task)
            self._keep(key, known)
        # Whoever asked first may be gone before it is read.
        result: T = await asyncio.shield(known.result)
        if self._readings.get(key) is known:
            before = self._results.get(key)
            if before is not result:
                self._results[key] = result if before != result else before
            result = self._results[key]
        return result

    def _keep(self, key: object, reading: _Reading) -> None:
        self._readings.pop(key, None)
        self._readings[key] = reading
        if len(self._readings) > _MOST_READINGS:
            oldest = next(iter(self._readings))
            del self._readings[oldest]
            self._results.pop(oldest, None)

    def shared(self, key: object, make: Callable[[], T]) -> T:
        """What was made under that key by whoever came first; as long as somebody listens."""
        if key not in self._shared:
            self._shared[key] = make()
        found: T = self._shared[key]
        return found

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be heard."""
        return self._task.done()

    def forget_readings(self) -> None:
        """More is known by now than was heard here: what was read before does not count any more."""
        self._count += 1
        self._all_changed = self._count

    def close(self) -> None:
        """Nobody listens any more."""
        self._task.cancel()

    def _is_good(self, reading: _Reading, changed_by: tuple[type, ...] | None) -> bool:
        if reading.result.done() and (reading.result.cancelled() or reading.result.exception() is not None):
            return False
        changed = self._count if changed_by is None else max((self._last[one] for one in changed_by), default=0)
        is_new = asyncio.get_running_loop().time() - reading.began_at < _GOOD_FOR_S
        return is_new and reading.began_after >= max(changed, self._all_changed)

    @property
    def heard_count(self) -> int:
        """How many messages were heard; it only rises."""
        return self._count

    async def _run(self) -> None:
        error: Exception | None = None
        try:
            async with self._log.follow(self._name) as messages:
                if is_kept(self._name):
                    self.place = (await self._log.read(self._name)).place
                self._opened.set_result(None)
                async for heard in messages:
                    if heard.message is None and is_kept(self._name):
                        with contextlib.suppress(UnavailableError):
                            self._move((await self._log.read(self._name)).place)
                    self._hear(heard)
        # Those who listen tell their followers, each in its way.
        except Exception as defect:
            error = defect
        if not self._opened.done():
            self._opened.set_exception(error or ConnectionError("the bus is closed"))
            self._opened.exception()
        for listener in list(self._listeners):
            listener.lose(error)

    def _move(self, place: Place) -> None:
        if place.epoch != self.place.epoch or place.number > self.place.number:
            self.place = place

    def _hear(self, heard: Heard) -> None:
        event = None if heard.message is None else decoded(heard.message)
        self._count += 1
        if event is None:
            self._all_changed = self._count
        else:
            self._last[type(event)] = self._count
        if heard.place is not None:
            self._move(heard.place)
        fact = Fact(event, heard.place, is_gap=heard.message is None)
        for listener in list(self._listeners):
            listener.hear(fact)


async def _awaited(read: Callable[[], Awaitable[T]]) -> T:
    return await read()


def decoded(message: bytes) -> Event | None:
    """The event; None for what is none of ours."""
    try:
        return events.decode(message)
    except msgspec.DecodeError:
        _log.warning("a message on the bus is no event of ours", size=len(message))
        return None


class Channels:
    """All channels that are followed in this process."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._channels: dict[str, Channel] = {}

    @asynccontextmanager
    async def heard(self, name: str, listener: Listener) -> AsyncIterator[Channel]:
        """Inside: the listener hears that channel, from `Channel.place` on."""
        channel = self._channels.get(name)
        if channel is None or channel.is_over:
            channel = self._channels[name] = Channel(name, self.log)
        channel.users += 1
        try:
            await channel.enter(listener)
            yield channel
        finally:
            channel.leave(listener)
            channel.users -= 1
            if not channel.users:
                channel.close()
                if self._channels.get(name) is channel:
                    del self._channels[name]
