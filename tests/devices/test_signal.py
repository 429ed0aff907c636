"""What tasks of a link wait for."""

import asyncio
import contextlib

from devices.signal import Signal


async def test_all_who_wait_go_on_and_who_comes_later_does_not_wait() -> None:
    """Until it is cleared."""
    signal = Signal()
    waiting = [asyncio.create_task(signal.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    signal.set()
    await waiting[1]
    await signal.wait()
    signal.clear()
    again = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    assert not again.done()
    signal.set()
    await again


async def test_who_gave_up_leaves_nothing_behind() -> None:
    """Thousands wait for what may never come, a quarter of an hour at a time."""
    signal = Signal()
    for _ in range(3):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await signal.wait()
    assert signal.waiting_count == 0
