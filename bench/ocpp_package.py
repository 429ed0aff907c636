"""One message in one process: our link, and the runtime of the `ocpp` package, each on a connection in memory."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import ocpp.messages
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result

from app.house import House
from bench.ocpp_servers import asks, at_once
from devices.link import Link, Settings, Surroundings
from devices.ocpp.adapter import ADAPTERS, DEFAULT_SUBPROTOCOL
from domain.ids import new_id


class _Memory:
    """Frames that have arrived, and how many went out. Answers are taken as they are sent."""

    def __init__(self, frames: Sequence[str]) -> None:
        self._frames = iter(frames)
        self._left = len(frames)
        self._is_done = asyncio.Event()
        self.sent = 0

    async def receive_frame(self) -> str | None:
        """The next frame; after the last answer None."""
        frame = next(self._frames, None)
        if frame is None:
            await self._is_done.wait()
        return frame

    def send_now(self, _text: str) -> bool:
        """Nothing goes at once."""
        return False

    async def send_frame(self, text: str) -> None:
        """One more answer."""
        await self.send(text)

    def keep_alive(self, _ping_every_s: float | None, _on_pong: Callable[[], None]) -> None:
        """Nobody is pinged."""

    async def close(self, _code: int, _reason: str) -> None:
        """Nothing is open."""

    async def recv(self) -> str:
        """As `receive_frame`, for the package, which reads until an exception."""
        frame = next(self._frames, None)
        if frame is None:
            raise EOFError
        return frame

    async def send(self, text: str) -> None:
        """One more answer."""
        self.sent += text.startswith("[3")
        self._left -= 1
        if not self._left:
            self._is_done.set()


class _Portal(ChargePoint):  # type: ignore[misc]  # the package comes without types
    """Answers MeterValues."""

    @on("MeterValues")  # type: ignore[untyped-decorator]  # the package comes without types
    def metered(self, **_: Any) -> call_result.MeterValues:
        """It is heard."""
        return call_result.MeterValues()


async def ours_us(house: House, frames: Sequence[str]) -> float:
    """CPU of a message from its text to the text of its answer, in µs."""
    memory = _Memory(frames)
    link = Link(
        memory, Surroundings(at_once(house), house.clock, Settings(), asks(house)), identity="bench", station_id=new_id(), epoch=1,
        chargers={1: new_id()}, adapter=ADAPTERS[DEFAULT_SUBPROTOCOL],
    )  # fmt: skip
    begin = time.thread_time()
    await link.run()
    spent = time.thread_time() - begin
    if memory.sent != len(frames):
        raise RuntimeError(f"we answered {memory.sent} of {len(frames)}")
    return spent / len(frames) * 1e6


async def package_us(frames: Sequence[str], *, in_threads: bool) -> float:
    """The same of the package. As it comes it validates in threads; in the loop it needs less."""
    logging.getLogger("ocpp").setLevel(logging.ERROR)
    ocpp.messages.ASYNC_VALIDATION = in_threads
    memory = _Memory(frames)
    begin = time.process_time()
    with contextlib.suppress(EOFError):
        await _Portal("bench", memory).start()
    spent = time.process_time() - begin
    if memory.sent != len(frames):
        raise RuntimeError(f"the package answered {memory.sent} of {len(frames)}")
    return spent / len(frames) * 1e6
