"""Ports in memory, for tests that are about something else."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.authorization.requests import Settled
from domain.charging.reports import Question
from domain.errors import UnavailableError
from domain.events import Event, Heard, Kept, Place
from domain.ports import Attempt
from domain.roles import AuthorizationDecision, Decider


class RecordingBus:
    """An EventBus that remembers what was published."""

    def __init__(self) -> None:
        self.published: list[Event] = []

    async def publish(self, *events: Event) -> None:
        self.published.extend(events)

    async def send(self, channel: str, message: bytes) -> int:
        return 0

    def subscribe(self, channel: str, *, limit: int = 1024) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return _silence(_nothing())

    def follow(self, channel: str, *, limit: int = 1024) -> AbstractAsyncContextManager[AsyncIterator[Heard]]:
        return _silence(_waiting())

    async def read(self, channel: str, after: Place | None = None) -> Kept:
        return Kept(Place("00000001", 0), None)


@asynccontextmanager
async def _silence(messages: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    yield messages


async def _waiting() -> AsyncIterator[Any]:
    """Nothing is published while anybody listens; a bus that ends tells its followers so."""
    await asyncio.Event().wait()
    yield


async def _nothing() -> AsyncIterator[Any]:
    messages: tuple[bytes, ...] = ()
    for message in messages:
        yield message


class HandClock:
    """A Clock that is moved by hand."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)

    def advance(self, by: timedelta) -> None:
        self._now += by


class PlainPasswords:
    """Passwords without the cost: a hash is the password behind a mark. Counts the comparisons."""

    def __init__(self) -> None:
        self.compared = 0

    async def hash(self, password: str) -> str:
        return f"plain:{password}"

    async def matches(self, password: str, stored: str | None) -> bool:
        self.compared += 1
        return stored == f"plain:{password}"


class OpenSeals:
    """A Sealer that hides nothing, so that tests can look."""

    def seal(self, text: str) -> str:
        return f"sealed:{text}"

    def open(self, sealed: str) -> str:
        return sealed.removeprefix("sealed:")


class AwayFor(OpenSeals):
    """Seals in a database that is away for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def open(self, sealed: str) -> str:
        self.looks -= 1
        if self.looks >= 0:
            raise ConnectionResetError("the database is away")
        return super().open(sealed)


class NoCallOuts:
    """CallOuts to systems that are all away."""

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        raise UnavailableError("The call failed.")

    async def check(self, url: str) -> None:
        return None


class NoPool:
    """A pool of PostgreSQL connections that cannot reach its server."""

    def acquire(self, *_: object, **__: object) -> object:
        raise ConnectionRefusedError("the database is away")


class NobodyAsked:
    """An Asks that answers every question with the same decision, and remembers what it was asked."""

    def __init__(self, decision: AuthorizationDecision = AuthorizationDecision.ACCEPTED) -> None:
        self.decision = decision
        self.asked: list[Question] = []

    async def decided(self, question: Question) -> Settled:
        self.asked.append(question)
        return Settled(self.decision, "because", Decider.SUBSCRIBER)

    def ask_soon(self, question: Question) -> None:
        self.asked.append(question)


class UnlimitedAttempts:
    """Attempts without limits, which remembers where they counted and whether they were right."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.right: list[bool] = []

    @asynccontextmanager
    async def one(self, *, address: str, account: str | None) -> AsyncIterator[Attempt]:
        attempt = Attempt()
        self.asked.append((address, account))
        try:
            yield attempt
        finally:
            self.right.append(attempt.is_right)


class NothingSent:
    """A Dispatch that remembers what it was given, and sends nothing."""

    def __init__(self) -> None:
        self.given: list[UUID] = []

    def send_soon(self, command_id: UUID) -> None:
        self.given.append(command_id)
