"""A charge point without a mind of its own: it says what a test tells it to, word by word (OCPP 1.6-J)."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.demo.garage import Space
from domain.clock import SystemClock

OCPP: Final = Subprotocol("ocpp1.6")
ANSWERS_WITHIN_S: Final = 30.0

Json = dict[str, Any]


class ChargePoint:
    """One connection. Calls of the portal are accepted and kept in `asked`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.asked: list[tuple[str, Json]] = []
        """(action, payload)"""
        self._socket = socket
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._heard = asyncio.Condition()

    async def call(self, action: str, **payload: Any) -> Json:
        """What the portal answers."""
        number = str(next(self._numbers))
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._socket.send(orjson.dumps([2, number, action, payload]).decode())
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return await answer

    async def listen(self) -> None:
        """Until the connection ends."""
        try:
            async for text in self._socket:
                await self._hear(orjson.loads(text))
        except ConnectionClosed:
            pass
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the portal is gone"))
                answer.exception()

    async def _hear(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            async with self._heard:
                self.asked.append((frame[2], frame[3]))
                self._heard.notify_all()
            await self._socket.send(orjson.dumps([3, frame[1], {"status": "Accepted"}]).decode())
        elif frame[0] == 3:
            self._waiting.pop(frame[1]).set_result(frame[2])
        else:
            self._waiting.pop(frame[1]).set_exception(AssertionError(frame))

    async def is_asked(self, action: str) -> Json:
        """The payload of the first call of the portal with that action."""
        async with asyncio.timeout(ANSWERS_WITHIN_S), self._heard:
            while True:
                found = [payload for name, payload in self.asked if name == action]
                if found:
                    return found[0]
                await self._heard.wait()

    async def authorize(self, card: str) -> str:
        """The portal's word for the card."""
        return str((await self.call("Authorize", idTag=card))["idTagInfo"]["status"])

    async def start(self, card: str, *, register_wh: int = 1_000) -> tuple[int, str]:
        """(transaction, the portal's word for the card)."""
        await self.status("Charging")
        answer = await self.call(
            "StartTransaction", connectorId=1, idTag=card, meterStart=register_wh, timestamp=timestamp()
        )
        return int(answer["transactionId"]), str(answer["idTagInfo"]["status"])

    async def stop(self, transaction: int, *, register_wh: int = 3_000, reason: str = "Local") -> None:
        """The charge is over."""
        await self.call(
            "StopTransaction", transactionId=transaction, meterStop=register_wh, timestamp=timestamp(), reason=reason
        )

    async def status(self, status: str) -> None:
        """What the connector is doing."""
        await self.call("StatusNotification", connectorId=1, errorCode="NoError", status=status, timestamp=timestamp())


def timestamp(at: datetime | None = None) -> str:
    """The time as a charger writes it."""
    return (at or SystemClock().now()).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@asynccontextmanager
async def charge_point(ocpp_url: str, space: Space) -> AsyncIterator[ChargePoint]:
    """Inside: it is connected, and has booted."""
    key = base64.b64encode(f"{space.identity}:{space.password}".encode()).decode()
    headers = {"Authorization": f"Basic {key}"}
    url = f"{ocpp_url}/{space.identity}"
    async with connect(url, subprotocols=[OCPP], additional_headers=headers, compression=None, proxy=None) as socket:
        point = ChargePoint(socket)
        listening = asyncio.create_task(point.listen(), name="charge point")
        await point.call("BootNotification", chargePointVendor="Acme", chargePointModel="One")
        await point.status("Preparing")
        try:
            yield point
        finally:
            listening.cancel()
            await asyncio.wait([listening])
