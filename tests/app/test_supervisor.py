"""A service that crashes is begun again, later each time, and everybody can see how it is."""

import asyncio

import pytest

from app.supervisor import Backoff, ServiceHealth, ServiceState, Supervisor
from domain.clock import SystemClock


class HeldClock:
    """A clock whose sleeps end when the test says so, and which remembers how long they were to be."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.slept_s: asyncio.Queue[float] = asyncio.Queue()
        self.go_on = asyncio.Semaphore(0)

    now = SystemClock.now

    def monotonic(self) -> float:
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.put_nowait(seconds)
        await self.go_on.acquire()
        self.elapsed_s += seconds


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_service_runs_until_the_end() -> None:
    """A service that goes well is RUNNING inside and has been cancelled afterwards."""
    ended = asyncio.Event()

    async def service() -> None:
        try:
            await forever()
        finally:
            ended.set()

    async with Supervisor(clock=SystemClock()) as supervisor:
        supervisor.run("one", service)
        await asyncio.sleep(0)
        assert supervisor.health() == {"one": ServiceHealth(ServiceState.RUNNING, 0, None)}
    assert ended.is_set()
    assert supervisor.health()["one"].state is ServiceState.STOPPED


async def test_a_crash_is_followed_by_a_restart_twice_as_late_each_time() -> None:
    """Waits double up to the longest; health says what crashed it, and RUNNING once it is begun again."""
    clock, begun = HeldClock(), asyncio.Queue[int]()
    attempts = 0

    async def service() -> None:
        nonlocal attempts
        attempts += 1
        begun.put_nowait(attempts)
        if attempts < 5:
            raise ConnectionError("secret words")
        await forever()

    async with Supervisor(clock=clock, backoff=Backoff(first_s=1.0, longest_s=5.0)) as supervisor:
        supervisor.run("one", service)
        waits = []
        for _ in range(4):
            waits.append(await clock.slept_s.get())
            assert supervisor.health()["one"].state is ServiceState.RESTARTING
            clock.go_on.release()
        assert waits == [1.0, 2.0, 4.0, 5.0]
        while await begun.get() != 5:
            pass
        assert supervisor.health() == {"one": ServiceHealth(ServiceState.RUNNING, 4, "ConnectionError")}


async def test_a_service_that_ran_well_for_long_is_begun_again_soon() -> None:
    """Only crashes in quick succession make the wait grow."""
    clock = HeldClock()

    async def service() -> None:
        clock.elapsed_s += 60.0
        raise OSError

    async with Supervisor(clock=clock, backoff=Backoff(first_s=1.0)) as supervisor:
        supervisor.run("one", service)
        for _ in range(3):
            assert await clock.slept_s.get() == 1.0
            clock.go_on.release()


async def test_a_service_that_returns_has_crashed() -> None:
    """A service runs until it is cancelled; one that returns is begun again and says so."""
    clock = HeldClock()

    async def service() -> None:
        return

    async with Supervisor(clock=clock) as supervisor:
        supervisor.run("one", service)
        await clock.slept_s.get()
        assert supervisor.health() == {"one": ServiceHealth(ServiceState.RESTARTING, 1, "ServiceEndedError")}


async def test_one_crash_leaves_the_others_alone() -> None:
    """A service beside a crashing one goes on."""
    clock = HeldClock()

    async def crashing() -> None:
        raise OSError

    async with Supervisor(clock=clock) as supervisor:
        supervisor.run("well", forever)
        supervisor.run("ill", crashing)
        await clock.slept_s.get()
        assert [health.state for health in supervisor.health().values()] == [
            ServiceState.RUNNING,
            ServiceState.RESTARTING,
        ]


async def test_services_end_in_the_reverse_order() -> None:
    """What was handed over last ends first, and has ended before the one before it is asked to."""
    order: list[str] = []

    async def service(name: str) -> None:
        try:
            await forever()
        finally:
            order.append(f"{name} asked")
            await asyncio.sleep(0)
            order.append(f"{name} ended")

    async with Supervisor(clock=SystemClock()) as supervisor:
        supervisor.run("first", lambda: service("first"))
        supervisor.run("second", lambda: service("second"))
        await asyncio.sleep(0)
    assert order == ["second asked", "second ended", "first asked", "first ended"]


async def test_a_service_that_does_not_end_is_left_behind() -> None:
    """The end of the process does not hang on a service that ignores its cancellation."""
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    async with Supervisor(clock=SystemClock(), end_timeout_s=0.01) as supervisor:
        supervisor.run("stubborn", stubborn)
        await asyncio.sleep(0)
    let_go.set()


async def test_names_are_unique() -> None:
    """Two services of one name could not be told apart in /readyz."""
    async with Supervisor(clock=SystemClock()) as supervisor:
        supervisor.run("one", forever)
        with pytest.raises(ValueError, match="there is a service one already"):
            supervisor.run("one", forever)
