"""What tasks of a link wait for."""

import asyncio

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
