"""Channels of the bus as a process hears them: what was read is not kept for ever, and one that is over is opened anew."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.redis_bus import RedisBus
from domain.events import Heard, InstallationChanged, Kept, Place, installation_channel
from domain.ids import new_id
from gql.channels import Channel, Channels, Fact
from tests.gql.world import PATIENCE_S


class _Listener:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[Fact] = asyncio.Queue()
        self.lost = asyncio.Event()

    def hear(self, fact: Fact) -> None:
        self.heard.put_nowait(fact)

    def lose(self, error: Exception | None) -> None:
        self.lost.set()


class _Row:
    pass


class _EndsOnce:
    """An EventLog whose first follower hears nothing, and then the end."""

    def __init__(self, bus: RedisBus) -> None:
        self._bus = bus
        self._has_ended = False
        self.may_end = asyncio.Event()

    @asynccontextmanager
    async def follow(self, channel: str, *, limit: int = 1024) -> AsyncIterator[AsyncIterator[Heard]]:
        if not self._has_ended:
            self._has_ended = True
            yield self._nothing()
            return
        async with self._bus.follow(channel, limit=limit) as heard:
            yield heard

    async def _nothing(self) -> AsyncIterator[Heard]:
        await self.may_end.wait()
        for nothing in list[Heard]():
            yield nothing

    async def read(self, channel: str, after: Place | None = None) -> Kept:
        return await self._bus.read(channel, after)


async def test_what_was_read_long_ago_is_let_go(bus: RedisBus) -> None:
    """However many sessions and alerts are told of while somebody follows."""

    async def read() -> _Row:
        return _Row()

    channel = Channel(installation_channel(new_id()), bus)
    first = weakref.ref(await channel.once(0, read))
    assert await channel.once(0, read) is first()
    for number in range(1, 300):
        await channel.once(number, read)
    assert first() is None
    channel.close()


async def test_who_comes_after_a_channel_has_ended_hears_the_next(bus: RedisBus) -> None:
    """Though some who were there have not left yet."""
    log, place = _EndsOnce(bus), new_id()
    channels, name = Channels(log), installation_channel(place)
    before, after = _Listener(), _Listener()
    async with asyncio.timeout(PATIENCE_S), channels.heard(name, before):
        log.may_end.set()
        await before.lost.wait()
        await asyncio.sleep(0)
        async with channels.heard(name, after):
            await bus.publish(InstallationChanged(place))
            assert (await after.heard.get()).event == InstallationChanged(place)
