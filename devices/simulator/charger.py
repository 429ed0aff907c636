"""A simulated charge point at its socket: one task that connects, talks, and comes back (OCPP-J)."""

import asyncio
import base64
import logging
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from devices.ocpp.frames import UNREADABLE, Call, CallError, CallResult, encode_call, encode_error, encode_result, parse
from devices.ocpp.protocol import Refused
from devices.simulator.answers import take
from devices.simulator.ledger import Kind, Ledger
from devices.simulator.orders import obey
from devices.simulator.outbox import Message
from devices.simulator.plan import ChargerPlan, Plan, Quirks, Visit
from devices.simulator.station import Station
from devices.simulator.troubles import Trouble
from devices.simulator.visits import Visits
from domain.clock import Clock

OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
MAX_FRAME = 1 << 20
MAX_ERRORS = 3
"""TransactionMessageAttempts: after so many CALLERRORs the message is given up, as firmware does."""
LONGEST_WAIT_S = 3600.0

_QUIET = logging.getLogger("devices.simulator.websockets")
_QUIET.setLevel(logging.CRITICAL)


@dataclass(slots=True)
class Pending:
    """The one CALL that waits for its answer."""

    message_id: str
    message: Message
    deadline_s: float


class Deaf(ClientConnection):
    """Answers no ping, as some firmware."""

    def __init__(self, protocol: ClientProtocol, **settings: Any) -> None:
        super().__init__(protocol, **settings)
        send = protocol.send_frame

        def without_pongs(frame: Frame) -> None:
            if frame.opcode is not Opcode.PONG:
                send(frame)

        protocol.send_frame = without_pongs  # type: ignore[method-assign]  # the library answers by itself


class Charger:
    """One simulated charger. `run` is its task; the other methods may be called from the same event loop at any time."""

    def __init__(
        self, url: str, plan: ChargerPlan, fleet: Plan, *, random: Random, clock: Clock, ledger: Ledger
    ) -> None:
        self.plan = plan
        self.station = Station(plan, fleet, random=random, clock=clock, ledger=ledger)
        self._url = f"{url.rstrip('/')}/{quote(plan.identity, safe='')}"
        self._fleet = fleet
        self._random = random
        self._clock = clock
        self._visits = Visits(self.station, plan.visits, plan.habits or fleet.habits, random=random, clock=clock)
        self._pending: Pending | None = None
        self._alarm: asyncio.Timeout | None = None
        self._leave_by_s: float | None = None
        self._is_booted = False
        self._boot_due_s = 0.0
        self._drop_at_s = float("inf")
        self._stay_away_s = 0.0
        self._failures = 0

    # From outside

    def wake(self) -> None:
        """The task looks at the world again now."""
        if self._alarm is not None and not self._alarm.expired():
            self._alarm.reschedule(0.0)

    def plug_in(self, visit: Visit) -> None:
        """A car comes now, whatever the plan says, and stays until it is unplugged or its stay is over; nothing where another stands."""
        self._visits.arrive(visit)
        self.wake()

    def unplug(self) -> None:
        """The car leaves now."""
        self._visits.depart()
        self.wake()

    def present(self, id_tag: str) -> None:
        """A card is held to the reader now."""
        self.station.present(id_tag)
        self.wake()

    def break_down(self, trouble: Trouble) -> None:
        """It finds that wrong with itself from now on."""
        self.station.break_down(trouble)
        self.wake()

    def mend(self) -> None:
        """Nothing is wrong with it from now on."""
        self.station.mend()
        self.wake()

    def worry(self, event: str) -> None:
        """Something concerns its security now (OCPP 2.0.1 part 2, appendix 1)."""
        self.station.worry(event)
        self.wake()

    def behave(self, quirks: Quirks) -> None:
        """Its firmware has exactly these quirks from now on."""
        self.plan = self.station.plan = replace(self.plan, quirks=quirks)
        self.wake()

    def drop_connection(self, *, for_s: float) -> None:
        """The connection is lost now and not tried again for so long."""
        self._stay_away_s = for_s
        self._drop_at_s = self._clock.monotonic()
        self.wake()

    def leave(self, *, by_s: float) -> None:
        """The car leaves, the last records are delivered, then the task ends; at `by_s` (monotonic) it ends anyway."""
        self._visits.close()
        self._leave_by_s = by_s
        self.wake()

    # The task

    async def run(self) -> None:
        """Until it has left."""
        self._visits.plan_next()
        while not self._is_done():
            try:
                await self._connect_once()
            except (OSError, TimeoutError, WebSocketException) as error:
                self.station.note(Kind.REFUSED, f"{type(error).__name__}: {error}")
                self._failures += 1
            if not self._is_done():
                await self._be_away(self._away_s())

    def _is_done(self) -> bool:
        if self._leave_by_s is None:
            return False
        is_told = self._pending is None and not self.station.outbox.waiting
        return is_told or self._clock.monotonic() >= self._leave_by_s

    async def _connect_once(self) -> None:
        async with connect(
            self._url,
            subprotocols=[Subprotocol(self.plan.protocol)],
            additional_headers=self._credentials(),
            compression=None,
            ping_interval=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_FRAME,
            proxy=None,
            create_connection=Deaf if self.plan.quirks.ignores_pings else ClientConnection,
            user_agent_header=None,
            logger=_QUIET,
        ) as socket:
            self._opened()
            try:
                await self._converse(socket)
            except ConnectionClosed as closed:
                self.station.note(Kind.DISCONNECTED, str(closed))
            finally:
                self._closed()

    def _credentials(self) -> dict[str, str]:
        if self.plan.password is None:
            return {}
        token = base64.b64encode(f"{self.plan.identity}:{self.plan.password}".encode()).decode()
        return {"Authorization": f"Basic {token}"}

    def _opened(self) -> None:
        self._failures = 0
        quirks = self.plan.quirks
        self.station.note(Kind.CONNECTED)
        mean_s = quirks.disconnects_every_s
        self._drop_at_s = (
            float("inf") if mean_s is None else self._clock.monotonic() + self._random.expovariate(1 / mean_s)
        )
        if self._is_booted and not quirks.boots_on_reconnect:
            self.station.came_online(None)
        else:
            self._is_booted = False
            self._boot_due_s = 0.0

    def _closed(self) -> None:
        """A message whose answer is still out counts as never sent; the station decides what survives."""
        if self._pending is not None:
            self.station.outbox.put_first([self._pending.message])
        self._pending = None
        self.station.went_offline()

    async def _converse(self, socket: ClientConnection) -> None:
        while not self._is_done():
            self._live()
            now_s = self._clock.monotonic()
            if now_s >= self._drop_at_s:
                self.station.note(Kind.DISCONNECTED, "on purpose")
                self._stay_away_s = self._stay_away_s or self.plan.quirks.disconnected_for_s
                socket.transport.abort()
                return
            if self.station.is_restarting:
                return
            self._give_up_if_late(now_s)
            await self._send_next(socket, now_s)
            text = await self._receive(socket)
            if text is not None:
                await self._hear(socket, text)

    async def _receive(self, socket: ClientConnection) -> str | bytes | None:
        """The next frame, or None when there is something else to do."""
        wait_s = min(max(0.0, self._next_due_s() - self._clock.monotonic()), LONGEST_WAIT_S)
        try:
            async with asyncio.timeout(wait_s) as self._alarm:
                return await socket.recv()
        except TimeoutError:
            return None
        finally:
            self._alarm = None

    def _next_due_s(self) -> float:
        due_s = min(self.station.next_due_s(), self._visits.due_s, self._drop_at_s)
        if self._leave_by_s is not None:
            due_s = min(due_s, self._leave_by_s)
        if self._pending is not None:
            return min(due_s, self._pending.deadline_s)
        if not self._is_booted:
            return min(due_s, self._boot_due_s)
        waiting = self.station.outbox.waiting
        return min(due_s, waiting[0].not_before_s) if waiting else due_s

    # Speaking

    async def _send_next(self, socket: ClientConnection, now_s: float) -> None:
        if self._pending is not None:
            return
        message = self._next_message(now_s)
        if message is None:
            return
        message_id = str(uuid4())
        self._pending = Pending(message_id, message, now_s + self._fleet.call_timeout_s)
        await socket.send(
            encode_call(message_id, message.action, message.resolved(hides_id=self.plan.quirks.forgets_transaction_ids))
        )

    def _next_message(self, now_s: float) -> Message | None:
        if not self._is_booted:
            said = self.station.speech.boot(self.plan)
            return Message(said.action, said.payload) if now_s >= self._boot_due_s else None
        outbox = self.station.outbox
        if not outbox.waiting or outbox.waiting[0].not_before_s > now_s:
            return None
        return outbox.take(self.plan.quirks.reorders_within, self._random)

    def _give_up_if_late(self, now_s: float) -> None:
        if self._pending is not None and now_s >= self._pending.deadline_s:
            self._say_again(self._pending.message)

    def _say_again(self, message: Message) -> None:
        """A transaction message is sent once more, later and with a new id; others are not worth it."""
        self._pending = None
        now_s = self._clock.monotonic()
        if message.action == "BootNotification":
            self._boot_due_s = now_s + self._fleet.retry_after_s
        elif message.is_kept:
            message.not_before_s = now_s + self._fleet.retry_after_s * (1 + message.errors)
            self.station.outbox.put_first([message])

    # Hearing

    async def _hear(self, socket: ClientConnection, text: str | bytes) -> None:
        frame = parse(text)
        if isinstance(frame, Call):
            await self._obey(socket, frame)
        elif isinstance(frame, CallResult):
            self._take_result(frame)
        elif isinstance(frame, CallError):
            self._take_error(frame)
        else:
            self.station.note(Kind.MISUNDERSTOOD, frame.description)

    async def _obey(self, socket: ClientConnection, call: Call) -> None:
        if self.plan.quirks.answer_delay_s:
            await self._clock.sleep(self.plan.quirks.answer_delay_s)
        answer = obey(self.station, call.action, call.payload)
        text = (
            encode_error(call.message_id, answer.code, answer.description)
            if isinstance(answer, Refused)
            else encode_result(call.message_id, answer)
        )
        await socket.send(text)

    def _take_result(self, result: CallResult) -> None:
        pending = self._pending
        if pending is None or pending.message_id != result.message_id:
            return
        message, quirks = pending.message, self.plan.quirks
        if message.is_kept and self._random.random() < quirks.answer_loss_rate:
            self._say_again(message)
            return
        self._pending = None
        if message.action == "BootNotification":
            self._take_boot(result.payload)
        elif not take(self.station, message, result.payload):
            self._count_error(message)
        elif message.is_kept and not message.is_repeated and self._random.random() < quirks.duplicate_rate:
            message.is_repeated = True
            self.station.outbox.put_first([message])

    def _take_boot(self, payload: msgspec.Raw) -> None:
        try:
            answer: Any = msgspec.json.decode(payload, type=self.station.speech.results["BootNotification"])
        except UNREADABLE as error:
            self.station.note(Kind.MISUNDERSTOOD, f"answer to BootNotification: {error}")
            self._boot_due_s = self._clock.monotonic() + self._fleet.retry_after_s
            return
        if answer.status != "Accepted":
            self._boot_due_s = self._clock.monotonic() + max(1, answer.interval)
        elif not self._is_booted:
            self._is_booted = True
            self.station.note(Kind.BOOTED)
            self.station.came_online(self._fleet.heartbeat_every_s or answer.interval)

    def _take_error(self, error: CallError) -> None:
        pending = self._pending
        if pending is not None and pending.message_id == error.message_id:
            self._count_error(pending.message)

    def _count_error(self, message: Message) -> None:
        message.errors += 1
        if message.is_kept and message.errors >= MAX_ERRORS:
            self._pending = None
            self.station.note(Kind.LOST, message.action)
        else:
            self._say_again(message)

    # Life, with and without a connection

    def _live(self) -> None:
        """Time has passed: cars come and go, energy flows."""
        self._visits.advance()
        self.station.advance()

    def _away_s(self) -> float:
        """How long until the next attempt: as told, a moment for a restart, else ever longer, with jitter."""
        if self.station.is_restarting:
            self.station.is_restarting = False
            self._is_booted = False
            return self._fleet.restart_s
        if self._stay_away_s:
            told_s, self._stay_away_s = self._stay_away_s, 0.0
            return told_s
        first_s, longest_s = self._fleet.reconnect_after_s
        return min(longest_s, first_s * 2.0 ** min(self._failures, 10)) * self._random.uniform(0.5, 1.0)

    async def _be_away(self, for_s: float) -> None:
        until_s = self._clock.monotonic() + for_s
        while not self._is_done() and (left_s := until_s - self._clock.monotonic()) > 0:
            self._live()
            due_s = min(self._next_due_s_offline(), until_s) - self._clock.monotonic()
            await self._pause(min(left_s, max(0.01, due_s)))

    def _next_due_s_offline(self) -> float:
        due_s = min(self.station.next_due_s(), self._visits.due_s)
        return due_s if self._leave_by_s is None else min(due_s, self._leave_by_s)

    async def _pause(self, for_s: float) -> None:
        """That long, or until woken."""
        try:
            async with asyncio.timeout(for_s) as self._alarm:
                await _never()
        except TimeoutError:
            return
        finally:
            self._alarm = None


async def _never() -> None:
    await asyncio.get_running_loop().create_future()
