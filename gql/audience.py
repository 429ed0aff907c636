"""Those who follow the same thing with the same eyes: each event is told to all of them, in the same order."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

import structlog

from domain import sql
from domain.errors import UnavailableError
from domain.events import ChargerStatusChanged, Event, Place
from domain.ports import EventLog
from gql.channels import Channel, Channels, Fact, decoded
from gql.engine import told
from gql.errors import Code, EdgeError
from gql.live import Live, Source
from gql.live_counts import RootCounts
from gql.texts import Text, Texts

_log = structlog.get_logger(__name__)


_MOST_WAITING = 1_024
"""Facts that may wait for an audience that is slow to take them."""


class Follower(Protocol):
    """One client's operation."""

    def offer(self, key: object, payload: str, cursor: str | None = None, *, stays: bool = False) -> None:
        """The payload is on its way; one about the same (`key`) that still waits is replaced by it unless it `stays`, as does one about
        nothing. `cursor` is in it.
        """
        ...

    def forget(self) -> None:
        """What may be replaced no longer waits."""
        ...

    def end(self, errors: Sequence[dict[str, Any]] = ()) -> None:
        """Nothing more will come."""
        ...

    def break_off(self) -> None:
        """Nothing more will come for now: the client is to come back."""
        ...


class Audience:
    """Followers of one source. What is told at once is told while nothing waits; the rest goes through one lock: so everyone hears it in
    the same order.

    Where the source has cursors, everything that happens in its channel has a number, and the source is at one of them: what was
    missed is read from the log before anything later is told, and one who comes back is told what came between their place and ours.
    """

    def __init__(
        self,
        source: Source,
        texts: Texts,
        *,
        channels: Channels,
        counts: RootCounts,
        heartbeat_s: float,
        when_empty: "Callable[[Audience], None]",
    ) -> None:
        self.source = source
        self._texts = texts
        self._channels = channels
        self._log: EventLog = channels.log
        self._counts = counts
        self._heartbeat_s = heartbeat_s
        self._when_empty = when_empty
        self._followers: dict[Follower, UUID | None] = {}
        self._viewers: Counter[UUID] = Counter()
        self._lock = asyncio.Lock()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._joining = 0
        self._failure: Exception | None = None
        self._catching: asyncio.Task[None] | None = None
        self._channel: Channel | None = None
        # None while nothing waits: most of what is heard is told at once.
        self._waiting: deque[Fact | Sequence[Live] | Exception] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._task = asyncio.create_task(self._run(), name="audience")

    async def join(
        self, follower: Follower, *, viewer: UUID | None, after: str | None = None, is_move: bool = False
    ) -> None:
        """The follower, a client of that person (None: of nobody, or a program), has the present state, or what it missed since the cursor
        `after`, and hears of every change after it.

        Raises what kept the source from opening, or has ended it since.
        """
        with self.held():
            await asyncio.shield(self._opened)
            # Those with whom they were before may have heard what still waits here: they must not be told older things.
            if (is_move and not self._is_idle) or (after is not None and self._may_be_behind(after)):
                await self._caught_up()
            async with self._lock:
                if self._failure is not None:
                    raise self._failure
                await self._tell(follower, viewer, await self._first(after, is_move=is_move))
                if self._is_over:
                    follower.end()
                else:
                    self._enter(follower, viewer)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside it goes on, though nobody follows yet."""
        self._joining += 1
        try:
            yield
        finally:
            self._joining -= 1
            self._close_when_empty()

    def _enter(self, follower: Follower, viewer: UUID | None) -> None:
        self._followers[follower] = viewer
        self._counts.followers += 1
        if viewer is not None:
            self._viewers[viewer] += 1

    def leave(self, follower: Follower) -> None:
        """The follower hears no more; without followers the audience ends."""
        if follower in self._followers:
            viewer = self._followers.pop(follower)
            self._counts.followers -= 1
            if viewer is not None:
                self._viewers[viewer] -= 1
                if not self._viewers[viewer]:
                    del self._viewers[viewer]
        self._close_when_empty()

    async def tell(self, follower: Follower, lives: Sequence[Live]) -> None:
        """These events, to that follower only."""
        async with self._lock:
            await self._tell(follower, self._followers.get(follower), lives)

    async def _tell(self, follower: Follower, viewer: UUID | None, lives: Sequence[Live]) -> None:
        for live in lives:
            theirs = live.own[1] if live.own is not None and viewer == live.own[0] else live
            text = await self._written_out(theirs)
            cursor = self._cursor_of(live, text)
            follower.offer(theirs.key, text.with_cursor(cursor), cursor, stays=theirs.stays)
            self._counts.frames += 1

    @property
    def _is_idle(self) -> bool:
        """Whether all that was heard was told."""
        return self._waiting is None and self._idle is not None and not self._idle.done()

    @property
    def _is_over(self) -> bool:
        return self._task.done() or self._failure is not None or self.source.is_over

    def _may_be_behind(self, after: str) -> bool:
        """Whether one with that cursor may have heard elsewhere what is still on its way to us: they must not be told older things."""
        cursors = self.source.cursors
        place = None if cursors is None else cursors.place_in(after)
        return cursors is not None and (
            place is None or place.epoch != cursors.place.epoch or place.number > cursors.place.number
        )

    async def _caught_up(self) -> None:
        """What was published up to now is told to all, whatever becomes of the one who waits for it."""
        under_way = self._catching
        if under_way is not None and not under_way.done():
            await asyncio.shield(under_way)
        if self._catching is under_way:
            self._catching = asyncio.create_task(self._catch_up_alone(), name="audience catches up")
        assert self._catching is not None  # noqa: S101  it was made, here or by another
        await asyncio.shield(self._catching)

    async def _catch_up_alone(self) -> None:
        try:
            await self._catch_up()
        # As in `_run`: the followers hear of it.
        except Exception as error:
            self._fail(error)
            self._task.cancel()

    async def _first(self, after: str | None, *, is_move: bool) -> Sequence[Live]:
        missed = None if after is None else await self._missed(after)
        if missed is not None:
            self._counts.replays += 1
            return missed
        if after is not None:
            self._counts.resyncs += 1
        return self.source.present(is_resync=after is not None, is_move=is_move)

    async def _missed(self, after: str) -> Sequence[Live] | None:
        """What came between that cursor and our place; None when that is not known."""
        cursors = self.source.cursors
        place = None if cursors is None else cursors.place_in(after)
        if cursors is None or place is None or place.epoch != cursors.place.epoch:
            return None
        count = cursors.place.number - place.number
        messages: Sequence[bytes] = ()
        if count != 0:
            try:
                kept = await self._log.read(self.source.channel, place)
            except UnavailableError:
                return None
            if count < 0 or kept.messages is None or len(kept.messages) < count:
                return None
            messages = kept.messages[:count]
        return await self.source.replay([event for one in messages if (event := decoded(one)) is not None], after)

    def _close_when_empty(self) -> None:
        if not self._followers and not self._joining:
            self._when_empty(self)
            self._task.cancel()

    def hear(self, fact: Fact) -> None:
        """Told to all at once where nothing has to be waited for; else in its turn."""
        if not self._is_idle or self._lock.locked() or not self._taken_now(fact):
            self._wait(fact)

    def lose(self, error: Exception | None) -> None:
        """The followers hear of it when they have heard what came before."""
        self._wait(error or EdgeError("The server is closing. Connect again.", code=Code.INTERNAL))

    def _wait(self, one: Fact | Sequence[Live] | Exception) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(one)
        if len(self._waiting) > _MOST_WAITING:
            # Facts that are left out are read from the log, or anew; what was made of one already, or an end, is not there.
            kept = [one for one in self._waiting if not isinstance(one, Fact)]
            self._waiting = deque([*kept, Fact(None, None, is_gap=True)])
        if self._idle is not None:
            _wake(self._idle)

    def _taken_now(self, fact: Fact) -> bool:
        cursors, event = self.source.cursors, fact.event
        if event is None:
            return not fact.is_gap and cursors is None
        before = None if cursors is None else cursors.place
        if cursors is not None and before is not None and fact.place is not None:
            if fact.place.number != before.number + 1 or fact.place.epoch != before.epoch:
                return False
            cursors.move(fact.place)
        try:
            lives = self.source.take_now(event)
            if lives is None:
                if cursors is not None and before is not None:
                    cursors.move(before)
                return False
            self._offer_now(lives)
        # As in `_run`: the followers hear of it.
        except Exception as error:
            self._fail(error)
            self._task.cancel()
        return True

    def _offer_now(self, lives: Sequence[Live]) -> None:
        if not self.source.is_complete:
            if lives:
                self._wait(lives)
            return
        for live in lives:
            own = live.own
            of_own = None if own is None or own[0] not in self._viewers else self._written_now(own[1])
            self._hand_out(live, self._written_now(live), of_own)

    def _written_now(self, live: Live) -> Text:
        text = self._texts.known(live) or self._texts.written(live)
        assert isinstance(text, Text), "an event that is complete has nothing to wait for"  # noqa: S101
        return text

    async def _run(self) -> None:
        try:
            async with self._channels.heard(self.source.channel, self) as channel:
                self._channel = channel
                if self.source.cursors is not None:
                    self.source.cursors.move(channel.place)
                await self.source.open(channel)
                if not self._opened.done():
                    self._opened.set_result(None)
                await self._follow()
        # Whatever is wrong must reach the followers, who would wait for ever; `told` masks and logs what is no error of theirs.
        except Exception as error:
            self._fail(error)

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        beat_at = clock() + self._heartbeat_s
        while not self.source.is_over:
            if self._waiting is None:
                wakes_in_s = self.source.wakes_in_s
                await self._hear_nothing_until(beat_at if wakes_in_s is None else min(beat_at, clock() + wakes_in_s))
            if self._waiting is None:
                await self._look_again()
                beat_at = clock() + self._heartbeat_s
            else:
                await self._take_one()
        for follower in list(self._followers):
            follower.end()

    async def _hear_nothing_until(self, at: float) -> None:
        """Returns when something waits, or then: `asyncio.timeout_at` would take 0.7 kB of each audience."""
        loop = asyncio.get_running_loop()
        self._idle = loop.create_future()
        timer = loop.call_at(at, _wake, self._idle)
        try:
            await self._idle
        finally:
            timer.cancel()
            self._idle = None

    async def _take_one(self) -> None:
        if self._waiting is None:
            return
        one = self._waiting.popleft()
        if not self._waiting:
            self._waiting = None
        match one:
            case Fact():
                await self._hear(one)
            case Exception():
                raise one
            case _:
                async with self._lock:
                    await self._offer(one)

    async def _hear(self, fact: Fact) -> None:
        cursors = self.source.cursors
        if fact.is_gap:
            await self._look_again()
        elif cursors is None or fact.place is None:
            await self._spread(fact.event)
        elif fact.place == cursors.place.after(1):
            await self._spread(fact.event, fact.place)
        elif fact.place.epoch != cursors.place.epoch or fact.place.number > cursors.place.number:
            await self._catch_up()

    async def _look_again(self) -> None:
        """What may not have been heard is told, and a sign of life."""
        await self._catch_up()
        async with self._lock:
            await self._offer(await self.source.refresh())

    async def _catch_up(self) -> None:
        """What was published up to now is told; when that is not known without a gap, everybody begins anew."""
        cursors = self.source.cursors
        if cursors is None:
            return
        before = cursors.place
        try:
            kept = await self._log.read(self.source.channel, before)
        except UnavailableError:
            # Nothing is lost: our place stays where it is, and the next heartbeat looks again.
            return
        events = [decoded(message) for message in kept.messages or ()]
        # A status comes whole; of anything else more is known now than when it was last read for those who hear it later.
        if self._channel is not None and (
            kept.messages is None or not all(isinstance(one, ChargerStatusChanged) for one in events)
        ):
            self._channel.forget_readings()
        for number, event in enumerate(events, start=1):
            await self._spread(event, before.after(number))
        if kept.messages is None:
            await self._begin_anew(kept.place)

    async def _begin_anew(self, place: Place) -> None:
        cursors = self.source.cursors
        async with self._lock:
            if cursors is None or (cursors.place.epoch == place.epoch and cursors.place.number >= place.number):
                return
            await self.source.refresh()
            cursors.move(place)
            for follower in self._followers:
                follower.forget()
            self._counts.resyncs += len(self._followers)
            await self._offer(self.source.present(is_resync=True, is_move=False))

    async def _spread(self, event: Event | None, place: Place | None = None) -> None:
        """What the fact changes is told. One whose place is not the next is known already."""
        async with self._lock:
            if place is not None and self.source.cursors is not None:
                if place != self.source.cursors.place.after(1):
                    return
                self.source.cursors.move(place)
            if event is not None:
                await self._offer(await self.source.take(event))

    async def _offer(self, lives: Sequence[Live]) -> None:
        for live in lives:
            text = await self._written_out(live)
            own = live.own
            self._hand_out(
                live, text, None if own is None or own[0] not in self._viewers else await self._written_out(own[1])
            )

    def _hand_out(self, live: Live, text: Text, of_own: Text | None) -> None:
        """To every follower; of one event nobody is told before another is."""
        cursor = self._cursor_of(live, text)
        told = text.with_cursor(cursor)
        self._counts.frames += len(self._followers)
        key, stays = live.key, live.stays
        if of_own is None or live.own is None:
            for follower in list(self._followers):
                follower.offer(key, told, cursor, stays=stays)
            return
        whose, own = live.own[0], of_own.with_cursor(cursor)
        for follower, viewer in list(self._followers.items()):
            follower.offer(key, own if viewer == whose else told, cursor, stays=stays)

    def _cursor_of(self, live: Live, text: Text) -> str | None:
        """The cursor that is in it."""
        cursors = self.source.cursors
        if not text.has_mark or cursors is None:
            return None
        return cursors.here if live.cursor is None else live.cursor

    async def _written_out(self, live: Live) -> Text:
        text = self._texts.known(live) or self._texts.written(live)
        return text if isinstance(text, Text) else await text

    def _fail(self, error: Exception) -> None:
        self._failure = error
        if not self._opened.done():
            self._opened.set_exception(error)
            # Nobody may be waiting any more; then it is no news.
            self._opened.exception()
        self._when_empty(self)
        followers = list(self._followers)
        if isinstance(error, sql.DATABASE_AWAY):
            _log.warning("streams are broken off: the database is away", reason=type(error).__name__)
            for follower in followers:
                follower.break_off()
            return
        bodies = told(error) if followers else []
        for follower in followers:
            follower.end(bodies)


def _wake(idle: asyncio.Future[None]) -> None:
    if not idle.done():
        idle.set_result(None)
