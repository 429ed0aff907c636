"""Where a charger waits that nobody has added: its socket is held, it is told to be patient, and nothing that it says is taken over.

What it has charged it keeps: a message of a transaction gets neither an answer nor an error, because either would make it forget the
message. The socket is closed instead, and the charger sends it again once it is known.
"""

import asyncio
import contextlib
from collections import Counter
from typing import Final

import structlog

from devices.knocks import Knocks
from devices.ocpp import frames
from devices.ocpp.frames import Call, ErrorCode, Malformed
from devices.ocpp.protocol import Adapter, AnswerKind, BootVerdict, Received, Refused
from devices.sockets import GOING_AWAY, OVERTAKEN, POLICY, TRY_AGAIN_LATER, Socket
from domain import sql
from domain.addresses import network_of
from domain.clock import Clock
from domain.equipment import unknown_chargers
from domain.equipment.unknown_chargers import Knock
from domain.observations import Booted

MOST_HELD: Final = 100
MOST_OF_ADDRESS: Final = 10
"""Held sockets of one process, and of one network among them."""
HELD_FOR_S: Final = 3600.0
"""Then it is to come back, if nobody has added it."""
SILENT_AFTER_S: Final = 300.0
PING_EVERY_S: Final = 30.0
BOOT_AGAIN_S: Final = 30
"""When a charger is to ask again whether it is accepted (OCPP 1.6 §4.2, OCPP 2.0.1 B02)."""
MOST_FRAME: Final = 64 * 1024
FRAMES_A_MINUTE: Final = 60
SEND_TIMEOUT_S: Final = 10.0

_AWAY = (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE)
_NOT_YET = "This charger is not accepted yet: somebody has to add it in the portal."

_log = structlog.get_logger(__name__)


class HeldLink:
    """The socket of one charger that nobody has added."""

    def __init__(
        self,
        socket: Socket,
        adapter: Adapter,
        knocks: Knocks,
        clock: Clock,
        counts: "Counter[str]",
        *,
        identity: str,
        address: str,
    ) -> None:
        self.identity = identity
        self.address = address
        self.since_s = self.heard_s = clock.monotonic()
        self._socket = socket
        self._adapter = adapter
        self._knocks = knocks
        self._clock = clock
        self._counts = counts
        self._minute_s = self.since_s
        self._frames = 0
        self._is_closed = False

    async def run(self) -> None:
        """Until the charger or we close."""
        self._socket.keep_alive(PING_EVERY_S, self._ponged)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while not self._is_closed and (text := await self._socket.receive_frame()) is not None:
                self.heard_s = self._clock.monotonic()
                if len(text) > MOST_FRAME or not self._keeps_to_rate():
                    self._counts["held chargers too loud"] += 1
                    await self.close(POLICY, "Too much for a charger that is not accepted yet.")
                else:
                    await self._take(text)

    def _ponged(self) -> None:
        self.heard_s = self._clock.monotonic()

    def _keeps_to_rate(self) -> bool:
        if self.heard_s - self._minute_s >= 60:
            self._minute_s, self._frames = self.heard_s, 0
        self._frames += 1
        return self._frames <= FRAMES_A_MINUTE

    async def _take(self, text: str | bytes) -> None:
        match frames.parse(text):
            case Call() as call:
                await self._answer(call)
            case Malformed(message_id=str() as message_id) as frame:
                await self._send_error(message_id, frame.code, frame.description)

    async def _answer(self, call: Call) -> None:
        """Boot and heartbeat are answered; everything else waits until the charger is accepted (OCPP 2.0.1 B02.FR.09)."""
        received = self._adapter.receive(call.action, call.payload, received_at=self._clock.now())
        if isinstance(received, Refused):
            await self._send_error(call.message_id, received.code, received.description)
        elif received.answer_kind.waits_for_commit:
            self._counts["held transactions sent back"] += 1
            await self.close(TRY_AGAIN_LATER, f"{_NOT_YET} Keep your messages and come back.")
        elif received.answer_kind is AnswerKind.BOOT:
            self._remember(received)
            pending = self._adapter.boot(BootVerdict.PENDING, now=self._clock.now(), interval_s=BOOT_AGAIN_S)
            await self._send(frames.encode_result(call.message_id, pending))
        elif received.answer_kind is AnswerKind.HEARTBEAT:
            answer = self._adapter.heartbeat(now=self._clock.now())
            await self._send(frames.encode_result(call.message_id, answer))
        else:
            await self._send_error(call.message_id, ErrorCode.SECURITY_ERROR, _NOT_YET)

    def _remember(self, received: Received) -> None:
        for booted in received.observations:
            if isinstance(booted, Booted):
                knock = Knock(
                    identity=self.identity,
                    at=self._clock.now(),
                    attempts=0,
                    address=self.address,
                    vendor=booted.vendor,
                    model=booted.model,
                    serial_number=booted.serial_number,
                    firmware_version=booted.firmware_version,
                )
                self._knocks.note(knock)

    async def _send_error(self, message_id: str, code: ErrorCode, description: str) -> None:
        await self._send(frames.encode_error(message_id, self._adapter.spelled(code), description))

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_frame(text)

    async def close(self, code: int, reason: str) -> None:
        """The socket is closed with that reason, once; `run` returns soon."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.close(code, reason)


class WaitingRoom:
    """The held sockets of a process, and what is remembered of all unknown chargers. `is_open`: they are held, else refused."""

    def __init__(self, clock: Clock, counts: "Counter[str]", *, is_open: bool, look_every_s: float) -> None:
        self.is_open = is_open
        self.knocks = Knocks(counts)
        self._clock = clock
        self._look_every_s = look_every_s
        self._held: dict[tuple[str, str], HeldLink] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._held)

    def admit(self, link: HeldLink) -> bool:
        """Whether there is a place for it; it is taken then, from an older socket of the same charger where there is one."""
        place = _place_of(link)
        older = self._held.get(place)
        if older is not None:
            self._close(older, GOING_AWAY, OVERTAKEN)
        elif len(self._held) >= MOST_HELD or self._number_of(place[1]) >= MOST_OF_ADDRESS:
            return False
        self._held[place] = link
        return True

    def _number_of(self, network: str) -> int:
        return sum(1 for _, other in self._held if other == network)

    def leave(self, link: HeldLink) -> None:
        """The link is gone; a newer one of the same charger stays."""
        if self._held.get(_place_of(link)) is link:
            del self._held[_place_of(link)]

    async def run(self) -> None:
        """Until cancelled: knocks are written, and whoever need not wait any more is sent off to come back."""
        while True:
            await self.knocks.write()
            await self.look()
            await self._clock.sleep(self._look_every_s)

    async def look(self) -> None:
        """Whoever was added meanwhile, has waited too long or has been silent for long is sent off."""
        now_s = self._clock.monotonic()
        for link in list(self._held.values()):
            if now_s - link.since_s > HELD_FOR_S or now_s - link.heard_s > SILENT_AFTER_S:
                self._close(link, GOING_AWAY, f"{_NOT_YET} Come back later.")
        if not self._held:
            return
        try:
            known = await unknown_chargers.known_among(sorted({identity for identity, _ in self._held}))
        except _AWAY:
            return
        for (identity, _), link in list(self._held.items()):
            if identity in known:
                self._close(link, GOING_AWAY, "This charger is known now; come back.")

    def close_all(self, code: int, reason: str) -> None:
        """Every held socket ends soon."""
        for link in list(self._held.values()):
            self._close(link, code, reason)

    def _close(self, link: HeldLink, code: int, reason: str) -> None:
        task = asyncio.create_task(link.close(code, reason), name=f"held {link.identity}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _place_of(link: HeldLink) -> tuple[str, str]:
    return link.identity, network_of(link.address)
