"""Many simulated chargers over real sockets, one task each, and their one ledger."""

import asyncio
from random import Random

from devices.simulator.charger import Charger
from devices.simulator.ledger import Ledger, Listener
from devices.simulator.plan import ChargerPlan, Plan
from domain.clock import Clock, SystemClock

GRACE_S = 5.0
"""After the time to deliver the last records is over, tasks that hang are cancelled."""


class Fleet:
    """The chargers of a plan, connecting to `url` + "/" + identity. The same plan and seed do the same again, up to the clock."""

    def __init__(
        self, url: str, plan: Plan, *, seed: int = 1, clock: Clock | None = None, listener: Listener | None = None
    ) -> None:
        self.plan = plan
        self.ledger = Ledger(listener=listener)
        self._clock = clock or SystemClock()
        self._seed = seed
        self._stopping = asyncio.Event()
        self.chargers = {charger.identity: self._charger(url, charger) for charger in plan.chargers}

    def _charger(self, url: str, plan: ChargerPlan) -> Charger:
        random = Random(f"{self._seed}:{plan.identity}")
        return Charger(url, plan, self.plan, random=random, clock=self._clock, ledger=self.ledger)

    async def run(self, *, duration_s: float | None = None) -> Ledger:
        """The ledger, after `stop` or so many seconds: all cars have left, and their last records are delivered where they were taken.

        When cancelled, the sockets are closed and nothing more is delivered.
        """
        tasks = [
            asyncio.create_task(self._life(charger, order), name=f"simulated charger {charger.plan.identity}")
            for order, charger in enumerate(self.chargers.values())
        ]
        try:
            await self._until_stopped(tasks, duration_s)
            await self._drain(tasks)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return self.ledger

    def stop(self) -> None:
        """`run` comes to its end."""
        self._stopping.set()

    async def _life(self, charger: Charger, order: int) -> None:
        spread_s = self.plan.connect_over_s * order / max(1, len(self.chargers))
        await self._clock.sleep(spread_s)
        await charger.run()

    async def _until_stopped(self, tasks: list[asyncio.Task[None]], duration_s: float | None) -> None:
        """Ends early where a charger's task fails, so that it is told and not hidden."""
        stopping = asyncio.create_task(self._stopping.wait(), name="simulated fleet runs")
        try:
            await asyncio.wait([stopping, *tasks], timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()

    async def _drain(self, tasks: list[asyncio.Task[None]]) -> None:
        by_s = self._clock.monotonic() + self.plan.drain_s
        for charger in self.chargers.values():
            charger.leave(by_s=by_s)
        if tasks:
            await asyncio.wait(tasks, timeout=self.plan.drain_s + GRACE_S)
