"""Which long-running tasks a process keeps alive, and whether they are well."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

import structlog

from domain.clock import Clock

Service = Callable[[], Awaitable[None]]
"""Runs until it is cancelled; begins afresh every time it is called."""

_log = structlog.get_logger(__name__)


class ServiceEndedError(Exception):
    """A service returned although it should run until it is cancelled."""


class ServiceState(StrEnum):
    """How a service is doing."""

    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """A service's state; `crashes` since the process began, `reason` is the class of the last crash, never its text."""

    state: ServiceState
    crashes: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits before the first restart and doubles, up to `longest_s`; `settled_s` without a crash begins anew."""

    first_s: float = 0.2
    longest_s: float = 30.0
    settled_s: float = 10.0

    def wait_s(self, crashes_in_a_row: int) -> float:
        """How long to wait after that many crashes in a row (from 1)."""
        doublings = min(crashes_in_a_row - 1, 30)
        return min(self.longest_s, self.first_s * float(2**doublings))


class _Supervised:
    def __init__(self, name: str, service: Service, *, clock: Clock, backoff: Backoff) -> None:
        self.name = name
        self.crashes = 0
        self._service = service
        self._clock = clock
        self._backoff = backoff
        self._in_a_row = 0
        self._reason: str | None = None
        self._waiting = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self._keep_alive(), name=self.name)

    async def end(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])

    def health(self) -> ServiceHealth:
        if self._task is None or self._task.done():
            state = ServiceState.STOPPED
        else:
            state = ServiceState.RESTARTING if self._waiting else ServiceState.RUNNING
        return ServiceHealth(state, self.crashes, self._reason)

    async def _keep_alive(self) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                await self._service()
                raise ServiceEndedError(f"{self.name} returned")
            except Exception as error:  # the one place where a crash of any kind is met: logged, counted, restarted
                if self._clock.monotonic() - began >= self._backoff.settled_s:
                    self._in_a_row = 0
                await self._after_crash(error)

    async def _after_crash(self, error: Exception) -> None:
        self.crashes += 1
        self._in_a_row += 1
        reason = type(error).__name__
        wait_s = self._backoff.wait_s(self._in_a_row)
        # A trace the first time; a database that is away for an hour is not worth a thousand of them.
        repeated = reason == self._reason and self._in_a_row > 1
        self._reason = reason
        _log.error(
            "service crashed and will be restarted",
            service=self.name,
            reason=reason,
            detail=str(error),
            restart_in_s=wait_s,
            exc_info=None if repeated else error,
        )
        self._waiting = True
        try:
            await self._clock.sleep(wait_s)
        finally:
            self._waiting = False


class Supervisor:
    """Inside `async with`: every service that was handed over runs, restarted when it crashes; afterwards none does."""

    def __init__(self, *, clock: Clock, backoff: Backoff | None = None, end_timeout_s: float = 10.0) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._end_timeout_s = end_timeout_s
        self._services: list[_Supervised] = []

    def run(self, name: str, service: Service) -> None:
        """The service runs from now on. Names are unique within a process."""
        if any(one.name == name for one in self._services):
            raise ValueError(f"there is a service {name} already")
        supervised = _Supervised(name, service, clock=self._clock, backoff=self._backoff)
        self._services.append(supervised)
        supervised.begin()

    def health(self) -> dict[str, ServiceHealth]:
        """Every service by name, in the order they were handed over."""
        return {one.name: one.health() for one in self._services}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Services ended one after another, the last handed over first, because later ones build upon earlier ones."""
        for one in reversed(self._services):
            try:
                async with asyncio.timeout(self._end_timeout_s):
                    await one.end()
            except TimeoutError:
                _log.error("service did not end in time and was left behind", service=one.name)
