"""What time it is: the only place that asks the machine."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time as loops and use cases see it; tests hold one that they move by hand."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; their zero means nothing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns when that many seconds have passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251  the one place

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Returns when that many seconds have passed."""
        await asyncio.sleep(seconds)
