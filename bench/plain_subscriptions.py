"""The peer of live_fanout: Strawberry's own graphql-transport-ws handler, each subscription executed on its own.

It is given an advantage: nobody's rights are asked, and an event is decoded once for all subscriptions.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry
from starlette.routing import BaseRoute, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from domain import events
from domain.events import ChargerStatusChanged
from domain.ports import EventBus
from domain.roles import OperatingMode, Phase
from domain.units import kwh
from gql.schema.enums import LiveEventKind

PATH = "/graphql"


@strawberry.type
class ChargerStatus:
    """As ours, as far as the bench selects it."""

    mode: OperatingMode
    is_online: bool
    power_kw: float | None
    allocated_a: float | None
    allocated_phases: list[Phase]
    session_energy_kwh: Decimal | None
    observed_at: datetime | None
    received_at: datetime | None
    version: int


@strawberry.type
class Charger:
    """As ours, as far as the bench selects it."""

    name: str
    status: ChargerStatus


@strawberry.type
class ChargerStatusEvent:
    """As ours, as far as the bench selects it."""

    kind: LiveEventKind
    charger_id: strawberry.ID | None
    charger: Charger | None


@strawberry.input
class StatusTarget:
    """What to follow."""

    installation_id: strawberry.ID


@dataclass(slots=True)
class Followers:
    """The queues of all subscriptions."""

    queues: set[asyncio.Queue[ChargerStatusEvent]] = field(default_factory=set)
    executions: int = 0

    async def feed(self, messages: AsyncIterator[bytes]) -> None:
        """Every event of the channel is put into every queue."""
        async for message in messages:
            event = events.decode(message)
            if isinstance(event, ChargerStatusChanged):
                shown = _shown(event)
                for queue in self.queues:
                    queue.put_nowait(shown)


@dataclass(slots=True)
class _Feeds:
    """One feed a channel."""

    bus: EventBus
    by_channel: dict[str, Followers] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def of(self, channel: str) -> Followers:
        """The followers of that channel, who are fed when this returns."""
        known = self.by_channel.get(channel)
        if known is None:
            known = self.by_channel[channel] = Followers()
            self.tasks.append(asyncio.create_task(self._feed(channel, known), name="feed"))
        return known

    async def _feed(self, channel: str, followers: Followers) -> None:
        async with self.bus.subscribe(channel) as messages:
            await followers.feed(messages)


def _shown(event: ChargerStatusChanged) -> ChargerStatusEvent:
    status = ChargerStatus(
        mode=event.mode,
        is_online=event.is_online,
        power_kw=None if event.power_w is None else event.power_w / 1000,
        allocated_a=event.allocated_a,
        allocated_phases=[Phase(phase) for phase in event.allocated_phases],
        session_energy_kwh=None if event.session_energy_wh is None else kwh(event.session_energy_wh),
        observed_at=event.observed_at,
        received_at=event.received_at,
        version=event.version,
    )
    charger = Charger(name="Space 1", status=status)
    return ChargerStatusEvent(
        kind=LiveEventKind.CHANGED, charger_id=strawberry.ID(str(event.charger_id)), charger=charger
    )


def _schema(feeds: _Feeds) -> strawberry.Schema:
    @strawberry.type
    class Query:
        is_ready: bool = True

    @strawberry.type
    class Subscription:
        @strawberry.subscription
        async def charger_status(self, target: StatusTarget) -> AsyncGenerator[ChargerStatusEvent, None]:
            followers = await feeds.of(events.installation_channel(UUID(target.installation_id)))
            queue: asyncio.Queue[ChargerStatusEvent] = asyncio.Queue()
            followers.queues.add(queue)
            try:
                yield ChargerStatusEvent(kind=LiveEventKind.READY, charger_id=None, charger=None)
                while True:
                    shown = await queue.get()
                    followers.executions += 1
                    yield shown
            finally:
                followers.queues.discard(queue)

    return strawberry.Schema(query=Query, subscription=Subscription)


@asynccontextmanager
async def served(bus: EventBus) -> AsyncIterator[tuple[list[BaseRoute], Callable[[], int]]]:
    """The routes, and how many events were executed behind them."""
    feeds = _Feeds(bus)
    endpoint: GraphQL[Any, Any] = GraphQL(
        _schema(feeds), subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,), graphql_ide=None
    )
    try:
        yield (
            [WebSocketRoute(PATH, endpoint)],
            lambda: sum(one.executions for one in feeds.by_channel.values()),
        )
    finally:
        for task in feeds.tasks:
            task.cancel()
        if feeds.tasks:
            await asyncio.wait(feeds.tasks)
