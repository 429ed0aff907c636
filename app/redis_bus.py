"""The event bus over Redis: one connection that listens, a few that publish, one SUBSCRIBE a channel however many listen here."""

import asyncio
import contextlib
import math
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.event_log import BROKEN_CHANNEL, EventLog, append, break_off, taken_apart
from app.logs import without_credentials
from app.settings import OperatorError
from domain.durations import Durations
from domain.errors import UnavailableError
from domain.events import Event, Heard, Kept, Place, channels, encode, is_kept, is_of_rights

_PUBLISHING_CONNECTIONS = 4
_ANSWER_TIMEOUT_S = 2.0
_SUBSCRIBE_TIMEOUT_S = 5.0
_SILENCE_S = 15.0
"""The listening connection is asked for a sign of life this often; two unanswered questions and it is given up."""
_RECONNECT_FIRST_S = 0.05
_RECONNECT_LONGEST_S = 5.0

_BETWEEN = b"\n"
"""Between messages that were published at once to one channel: a PUBLISH each would cost more than making them. No JSON has it."""

_AWAY = (RedisError, OSError, TimeoutError)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class BusCounts:
    """What went over the bus since this process began; `gaps` counts the times when messages may have been missed."""

    published: int = 0
    failed: int = 0
    received: int = 0
    delivered: int = 0
    dropped: int = 0
    gaps: int = 0
    publications: Durations = field(default_factory=Durations)
    """Until Redis took what was published at once."""
    lags: Durations = field(default_factory=Durations)
    """Until what this process published to itself was heard here; looked at every quarter of a minute."""


class _Subscription:
    """One listener's waiting messages: bounded, the oldest goes first."""

    __slots__ = ("_closed", "_counts", "_limit", "_messages", "_wakeup")

    def __init__(self, limit: int, counts: BusCounts) -> None:
        # None while nothing waits: a deque takes 0.7 kB even when it is empty, and each person's connection listens.
        self._messages: deque[Heard] | None = None
        self._limit = limit
        self._counts = counts
        self._wakeup: asyncio.Future[None] | None = None
        self._closed = False

    def offer(self, message: Heard) -> None:
        if self._messages is None:
            self._messages = deque()
        elif len(self._messages) >= self._limit:
            self._messages.popleft()
            self._counts.dropped += 1
        self._messages.append(message)
        self._wake()

    def __len__(self) -> int:
        return len(self._messages or ())

    def close(self) -> None:
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self

    async def __anext__(self) -> Heard:
        while not self._messages:
            if self._closed:
                raise StopAsyncIteration
            self._wakeup = asyncio.get_running_loop().create_future()
            try:
                await self._wakeup
            finally:
                self._wakeup = None
        heard = self._messages.popleft()
        if not self._messages:
            self._messages = None
        if heard.message is not None:
            self._counts.delivered += 1
        return heard


class _Messages:
    """A listener's messages without their places."""

    __slots__ = ("_heard",)

    def __init__(self, heard: AsyncIterator[Heard]) -> None:
        self._heard = heard

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while (message := (await anext(self._heard)).message) is None:
            pass
        return message


class _Channel:
    """A channel that somebody here listens to; `confirmed` is set once Redis has said that we are subscribed."""

    __slots__ = ("_was_confirmed", "confirmed", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: list[_Subscription] = []
        self.confirmed = asyncio.Event()
        self._was_confirmed = False

    def confirm(self) -> None:
        """Messages come from now on; if they did before, some may have been missed in between."""
        if self._was_confirmed:
            self.offer(Heard(None))
        self._was_confirmed = True
        self.confirmed.set()

    def offer(self, heard: Heard) -> None:
        """Everyone here hears it."""
        for subscription in self.subscriptions:
            subscription.offer(heard)


def _end_if_cancelled() -> None:
    """CancelledError where redis-py swallowed it: it writes under asyncio.wait_for, which in Python 3.11 may do so."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class RedisBus:
    """EventBus of domain.ports over Redis 7.0 or newer, or Valkey.

    Inside `async with` it connects, and reconnects and subscribes again for as long as it takes; what is published
    in between is missed, as the port says, and counted in `counts.gaps`.
    """

    def __init__(self, url: str) -> None:
        self.counts = BusCounts()
        self._place = without_credentials(url)
        self._pool = BlockingConnectionPool.from_url(
            url,
            protocol=2,
            max_connections=_PUBLISHING_CONNECTIONS,
            timeout=_ANSWER_TIMEOUT_S,
            socket_timeout=_ANSWER_TIMEOUT_S,
            socket_connect_timeout=_ANSWER_TIMEOUT_S,
            # A PUBLISH that is repeated may be heard twice; the port says at most once.
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(self._pool)
        self._channels: dict[bytes, _Channel] = {}
        # A confirmation counts only when none is under way from an earlier SUBSCRIBE of the same channel.
        self._unconfirmed: Counter[bytes] = Counter()
        self._listening: AbstractConnection | None = None
        self._listener: asyncio.Task[None] | None = None
        self._pulse = f"process:{secrets.token_hex(8)}".encode()
        self._entered = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._log = EventLog(self._redis, self._pulse)
        # So many publications have failed of which every place so far is known not to tell.
        self._failed_and_told = 0
        self._heard_since_asked = True
        self._listens = asyncio.Event()
        self._publishing = True

    async def __aenter__(self) -> Self:
        """Redis answers. OperatorError when it does not."""
        try:
            await self._redis.ping()
            await self._log.recognise()
        except (*_AWAY, UnavailableError) as error:
            await self._redis.aclose()
            raise OperatorError(
                f"Redis at {self._place} cannot be used ({type(error).__name__}: {without_credentials(str(error))}). "
                "Start it, or correct LADE_REDIS_URL, or unset it to use the embedded Valkey."
            ) from error
        self._listener = asyncio.create_task(self._listen(), name="bus")
        self._watch = asyncio.create_task(self._watch_log(), name="bus-log")
        # Whoever asks right away is told that all is well, unless it is not.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await self._listens.wait()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Every subscription has ended and every connection is closed."""
        for task in (self._watch, self._listener):
            # redis-py connects under asyncio.wait_for, which in Python 3.11 may swallow a cancellation that comes as it ends.
            while task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=_RECONNECT_FIRST_S)
        for channel in self._channels.values():
            for subscription in channel.subscriptions:
                subscription.close()
        # Of one that does not come to say so, another notices that it is gone.
        with contextlib.suppress(UnavailableError):
            if self.counts.failed > self._failed_and_told:
                await self._log.break_off()
            await self._log.leave()
        await self._redis.aclose()

    @property
    def channel_count(self) -> int:
        """Channels that this process listens to."""
        return len(self._channels)

    @property
    def subscriber_count(self) -> int:
        """Listeners in this process, over all channels."""
        return sum(len(channel.subscriptions) for channel in self._channels.values())

    @property
    def is_listening(self) -> bool:
        """Whether the connection that listens is up."""
        return self._listening is not None

    @property
    def waiting_count(self) -> int:
        """Messages that were heard here and that their listeners have not taken yet."""
        return sum(len(one) for channel in self._channels.values() for one in channel.subscriptions)

    async def check(self) -> None:
        """Redis answers and the listening connection is up; UnavailableError says what is wrong."""
        if self._listening is None:
            raise UnavailableError("the connection that listens is down")
        try:
            await self._redis.ping()
        except _AWAY as error:
            raise UnavailableError(f"no answer: {type(error).__name__}") from error

    async def publish(self, *events: Event) -> None:
        """Every present subscriber of the events' channels gets them in this order. Never raises: the row is the truth."""
        if not events:
            return
        by_channel: dict[str, list[bytes]] = {}
        for event in events:
            message = encode(event)
            for channel in channels(event):
                by_channel.setdefault(channel, []).append(message)
        count = sum(map(len, by_channel.values()))
        failed, began_s = self.counts.failed, asyncio.get_running_loop().time()
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                if failed > self._failed_and_told:
                    break_off(pipeline)
                for channel, messages in by_channel.items():
                    if is_kept(channel):
                        append(pipeline, channel, messages)
                    else:
                        pipeline.publish(channel, _BETWEEN.join(messages))
                await pipeline.execute()
        except asyncio.CancelledError:
            # Nobody knows whether it arrived.
            self.counts.failed += count
            raise
        except _AWAY as error:
            self.counts.failed += count
            if self._publishing:
                self._publishing = False
                _log.error("events cannot be published", reason=type(error).__name__, detail=str(error))
            return
        self.counts.published += count
        self.counts.publications.note(asyncio.get_running_loop().time() - began_s)
        self._failed_and_told = failed
        if not self._publishing:
            self._publishing = True
            _log.info("events are published again")

    @property
    def client(self) -> Redis:
        """The client that publishes, for other short commands: scripts, counters."""
        return self._redis

    async def send(self, channel: str, message: bytes) -> int:
        """Raw bytes to a channel; how many processes heard them. UnavailableError when the bus is away."""
        try:
            heard = await self._redis.publish(channel, message)
        except _AWAY as error:
            self.counts.failed += 1
            raise UnavailableError("The message bus is away. Try again in a moment.", retry_after_s=1) from error
        self.counts.published += 1
        return int(heard)

    @asynccontextmanager
    async def subscribe(self, channel: str, *, limit: int = 1024) -> AsyncIterator[AsyncIterator[bytes]]:
        """Inside: messages of that channel since entering. At most `limit` wait; beyond that the oldest is dropped.

        UnavailableError when Redis does not confirm in time. The iterator ends when the bus is closed.
        """
        async with self.follow(channel, limit=limit) as heard:
            yield _Messages(heard)

    async def read(self, channel: str, after: Place | None = None) -> Kept:
        """Where the channel is, and what came after that place. UnavailableError when Redis is away."""
        return await self._log.read(channel, after)

    @asynccontextmanager
    async def follow(self, channel: str, *, limit: int = 1024) -> AsyncIterator[AsyncIterator[Heard]]:
        """As `subscribe`, with the places of messages, and word (no message) when some may have been missed."""
        name = channel.encode()
        subscription = _Subscription(limit, self.counts)
        here = self._channels.get(name)
        first = here is None
        if here is None:
            here = self._channels[name] = _Channel()
        here.subscriptions.append(subscription)
        try:
            if first:
                await self._tell(b"SUBSCRIBE", name)
                _end_if_cancelled()
            try:
                async with asyncio.timeout(_SUBSCRIBE_TIMEOUT_S):
                    await here.confirmed.wait()
            except TimeoutError as error:
                raise UnavailableError("The message bus is away. Try again in a moment.", retry_after_s=1) from error
            yield subscription
        finally:
            here.subscriptions.remove(subscription)
            if not here.subscriptions and self._channels.get(name) is here:
                del self._channels[name]
                await self._tell(b"UNSUBSCRIBE", name)

    async def _tell(self, command: bytes, *names: bytes) -> None:
        """Redis is told, if it is there; when it is not, the listener subscribes to everything upon its return."""
        connection = self._listening
        if connection is None or not connection.is_connected or self._listener is None or self._listener.done():
            return
        if command == b"SUBSCRIBE":
            self._unconfirmed.update(names)
        with contextlib.suppress(*_AWAY):
            # Commands are written before the first suspension in here, so they reach Redis in the order of these calls.
            await connection.send_command(command, *names, check_health=False)

    async def _listen(self) -> None:
        """Until cancelled: connects, subscribes to every channel, hands messages out; begins again when the connection is lost."""
        wait_s = _RECONNECT_FIRST_S
        while True:
            connection: AbstractConnection = self._pool.connection_class(**self._pool.connection_kwargs)
            try:
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py has it untyped
                await self._log.recognise()
                self._listening = connection
                self._listens.set()
                # Redis confirms in this order: nobody hears of things before those who must look at their rights know that they must.
                channels = sorted(self._channels, key=lambda name: not is_of_rights(name.decode()))
                await self._tell(b"SUBSCRIBE", self._pulse, BROKEN_CHANNEL, *channels)
                wait_s = _RECONNECT_FIRST_S
                await self._read(connection)
            except Exception as error:  # this loop is its own supervisor: whatever happened, listening begins again
                self.counts.gaps += 1
                expected = isinstance(error, (*_AWAY, UnavailableError))
                _log.warning(
                    "the bus is away",
                    reason=type(error).__name__,
                    retry_in_s=wait_s,
                    exc_info=None if expected else error,
                )
            finally:
                await self._forget(connection)
            await asyncio.sleep(wait_s)
            wait_s = min(_RECONNECT_LONGEST_S, wait_s * 2)

    async def _forget(self, connection: AbstractConnection) -> None:
        self._listening = None
        self._unconfirmed.clear()
        for channel in self._channels.values():
            channel.confirmed.clear()
        with contextlib.suppress(*_AWAY):
            await connection.disconnect(nowait=True)

    async def _read(self, connection: AbstractConnection) -> None:
        pulse = asyncio.create_task(self._ask_for_life(connection), name="bus-pulse")
        try:
            while True:
                self._take(await connection.read_response(timeout=math.inf))
                self._heard_since_asked = True
        finally:
            pulse.cancel()
            await asyncio.wait([pulse])

    def _take(self, response: object) -> None:
        match response:
            case [b"message", bytes(name), bytes(message)] if name == BROKEN_CHANNEL:
                _log.warning("changes may have been missed: clients begin anew", epoch=message.decode(errors="replace"))
                for one in self._channels.values():
                    one.offer(Heard(None))
            case [b"message", bytes(name), bytes(message)] if name == self._pulse:
                self.counts.lags.note((time.monotonic_ns() - int(message)) / 1e9)
            case [b"message", bytes(name), bytes(message)]:
                place, messages = taken_apart(message, _BETWEEN)
                self.counts.received += len(messages)
                channel = self._channels.get(name)
                if channel is not None:
                    for at, text in enumerate(messages, start=1):
                        channel.offer(Heard(text, place and place.after(at)))
            case [b"subscribe", bytes(name), _] if name == self._pulse:
                self._entered.set()
            case [b"subscribe", bytes(name), _]:
                self._unconfirmed[name] -= 1
                channel = self._channels.get(name)
                if channel is not None and self._unconfirmed[name] <= 0:
                    del self._unconfirmed[name]
                    channel.confirm()

    async def _ask_for_life(self, connection: AbstractConnection) -> None:
        """A connection whose other side vanished without a word is closed, so that reading from it fails."""
        while True:
            await asyncio.sleep(_SILENCE_S)
            if not self._heard_since_asked:
                await connection.disconnect(nowait=True)
                return
            self._heard_since_asked = False
            with contextlib.suppress(*_AWAY):
                await connection.send_command("PING", check_health=False)

    async def _ask_for_lag(self) -> None:
        """Heard again like any message: in its turn, when this process comes to it."""
        with contextlib.suppress(*_AWAY):
            await self._redis.publish(self._pulse, str(time.monotonic_ns()))

    async def _watch_log(self) -> None:
        """Others know that we write, and one of them that died while it wrote is noticed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SILENCE_S):
                    await self._entered.wait()
            self._entered.clear()
            with contextlib.suppress(UnavailableError):
                failed = self.counts.failed
                if failed > self._failed_and_told:
                    await self._log.break_off()
                    self._failed_and_told = failed
                if self._listening is not None:
                    await self._log.enter()
                    await self._ask_for_lag()
                await self._log.look_after_others()
