"""Audiences by themselves, over a source whose changes can be held: nobody is told an older thing, or nothing any more."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from app.redis_bus import RedisBus
from domain.events import Event, InstallationChanged, installation_channel
from domain.ids import new_id
from gql.audience import Audience
from gql.channels import Channels, Fact
from gql.cursors import Cursors
from gql.live import Live, Readings
from gql.live_counts import RootCounts
from gql.texts import Text
from tests.gql.world import PATIENCE_S


class _Numbers:
    """A source that counts what it has taken: each number is told, as soon as it may be."""

    wakes_in_s = None
    is_over = is_complete = False
    access: Any = None
    visibility: Any = None

    def __init__(self, place: UUID, *, has_cursors: bool, takes_now: bool) -> None:
        self.channel = installation_channel(place)
        self.cursors = Cursors("a secret", place) if has_cursors else None
        self.may_take, self.is_taking = asyncio.Event(), asyncio.Event()
        self._takes_now = takes_now
        self._number = 0

    def narrowed(self, _field_paths: frozenset[str]) -> Any:
        return self

    async def open(self, readings: Readings) -> None:
        return

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        return (Live(self._number),)

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        return None

    def take_now(self, _event: Event) -> Sequence[Live] | None:
        if not self._takes_now:
            return None
        self._number += 1
        return (Live(self._number),)

    async def take(self, event: Event) -> Sequence[Live]:
        self.is_taking.set()
        await self.may_take.wait()
        self._number += 1
        return (Live(self._number),)

    async def refresh(self) -> Sequence[Live]:
        return ()

    def leaving(self, _successor: Any) -> Sequence[Live]:
        return ()


class _Plain:
    """Texts that are the numbers."""

    def known(self, live: Live) -> Text | None:
        return None

    def written(self, live: Live) -> Text:
        return Text(str(live.value), has_mark=False)


class _Hears:
    """A follower who keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def offer(self, key: object, payload: str, cursor: str | None = None, *, stays: bool = False) -> None:
        self.told.append(payload)

    def forget(self) -> None:
        return

    def end(self, errors: Sequence[dict[str, Any]] = ()) -> None:
        self.told.append("end")

    def break_off(self) -> None:
        self.told.append("broken off")

    async def has(self, *told: str) -> bool:
        """In a while, and nothing else before."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.told) < len(told):  # noqa: ASYNC110  it is told by calls
                await asyncio.sleep(0.001)
        return self.told == list(told)


@asynccontextmanager
async def _following(bus: RedisBus, source: _Numbers, first: _Hears) -> AsyncIterator[Audience]:
    texts: Any = _Plain()
    audience = Audience(
        source, texts, channels=Channels(bus), counts=RootCounts(), heartbeat_s=60.0, when_empty=lambda _: None
    )
    await audience.join(first, viewer=None)
    yield audience
    audience.leave(first)


async def test_who_comes_from_another_audience_is_told_nothing_older(bus: RedisBus) -> None:
    """What others have told them already may still wait here: it is told first, to those who do not know it."""
    place, here, mover = new_id(), _Hears(), _Hears()
    source = _Numbers(place, has_cursors=True, takes_now=False)
    async with _following(bus, source, here) as audience:
        await bus.publish(*[InstallationChanged(place)] * 3)
        async with asyncio.timeout(PATIENCE_S):
            await source.is_taking.wait()
        moving = asyncio.create_task(audience.join(mover, viewer=None, is_move=True))
        await asyncio.sleep(0)
        source.may_take.set()
        await moving
        assert mover.told == ["3"]
        assert here.told == ["0", "1", "2", "3"]
        audience.leave(mover)


async def test_an_audience_that_is_held_goes_on_without_followers(bus: RedisBus) -> None:
    """The last one goes while another is on the way from elsewhere: they hear what happens next."""
    place, here, mover = new_id(), _Hears(), _Hears()
    source = _Numbers(place, has_cursors=True, takes_now=True)
    async with _following(bus, source, here) as audience:
        with audience.held():
            audience.leave(here)
            await asyncio.sleep(0)
            await audience.join(mover, viewer=None, is_move=True)
        await bus.publish(InstallationChanged(place))
        assert await mover.has("0", "1")
        audience.leave(mover)


async def test_what_was_taken_is_told_though_too_much_waits_behind_it(bus: RedisBus) -> None:
    """Only what can be read again is left out."""
    here, event = _Hears(), InstallationChanged(new_id())
    source = _Numbers(event.installation_id, has_cursors=False, takes_now=True)
    async with _following(bus, source, here) as audience:
        await asyncio.sleep(0)
        for _ in range(1_100):
            audience.hear(Fact(event, None))
        assert await here.has("0", "1")
