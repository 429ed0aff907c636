"""What a car that is about to begin waits for: that its charger has a limit which holds without us, or has said that it takes none."""

import asyncio
import contextlib
from collections.abc import Iterable

from devices.signal import Signal

PATIENCE_S = 10.0
"""Chargers give a call 30 s and more; people at a reader less."""

MOST_HELD = 4
"""Answers of one charger that wait at once; it should have one call out at a time, and then the next waits in its mailbox."""


class FirstLimits:
    """The connectors of one connection, and whether each has answered to the limit that holds without us (a TxDefaultProfile).

    What a charger held before this connection is not known: it may be new, or have started again and forgotten it. Any answer will do:
    from a charger that takes no limit nothing better will come, and it counts with its maximum. So does one that says nothing, from the
    beginning of the connection on: once its silence has lasted `patience_s` since its limit went out, no further car is held up by it.
    `patience_s` 0: nobody is waited for.
    """

    __slots__ = ("_heard", "_held", "_patience_s", "_released", "_told_s", "_unheard", "_untold")

    def __init__(self, evses: Iterable[int], *, patience_s: float) -> None:
        self._unheard = set(evses) if patience_s > 0 else set()
        self._untold = set(self._unheard)
        self._told_s = 0.0
        self._patience_s = patience_s
        self._heard = Signal()
        self._released = Signal()
        self._held = 0

    @property
    def are_known(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self._unheard

    @property
    def held_count(self) -> int:
        """How many wait."""
        return self._held

    def told(self, evse: int) -> None:
        """Its limit is on its way to that connector. Repetitions give the charger no further time."""
        if evse in self._untold:
            self._untold.discard(evse)
            self._told_s = asyncio.get_running_loop().time()

    def heard(self, evse: int) -> None:
        """That connector has answered."""
        self._unheard.discard(evse)
        if not self._unheard:
            self._heard.set()

    async def known(self) -> bool:
        """Whether every connector has answered, in time; who asks is held until then."""
        if self.are_known:
            return True
        try:
            async with asyncio.timeout(self._left_s()):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True

    def _left_s(self) -> float:
        """How long who asks now waits at most. Of a connector that was told no limit yet, silence says nothing."""
        if self._untold & self._unheard:
            return self._patience_s
        return self._told_s + self._patience_s - asyncio.get_running_loop().time()

    def hold(self) -> None:
        """One more answer to the charger waits."""
        self._held += 1
        self._released.clear()

    def release(self) -> None:
        """It is out, or will never be."""
        self._held -= 1
        if not self._held:
            self._released.set()

    async def released(self) -> None:
        """No answer waits any more of those that waited; others may have come, which belong to later charges."""
        if self._held:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s):
                    await self._released.wait()
