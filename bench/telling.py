"""Chargers that tell their scripts to a server over real sockets, well or badly, while the clock is moved from minute to minute."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from bench.scripts import MINUTE, TOLD_AFTER, Delivery, HandClock, Said, Script
from domain import metering
from tests.devices.server import RawCharger, Registered, Server, a_raw_charger

LONGEST_WAIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Faults:
    """How badly a script is told. `copies`: how often each message of a transaction goes out, each time under a new id."""

    copies: tuple[int, int] = (1, 1)
    is_shuffled: bool = False
    """Messages of a bundle go out in any order; who waits for the server's id of a transaction begins with its start."""
    answer_loss_rate: float = 0.0
    """So many answers do not arrive; the message is told again, at once or in the next bundle."""


GOOD: Final = Faults()
BAD: Final = Faults(copies=(1, 3), is_shuffled=True, answer_loss_rate=0.05)


@dataclass(slots=True)
class Told:
    """What went over the wire."""

    messages: int = 0
    """Of transactions."""
    duplicates: int = 0
    reordered: int = 0
    lost_answers: int = 0
    errors: list[str] = field(default_factory=list)
    """CALLERRORs, of which there may be none."""


@dataclass
class Teller:
    """One charger that tells its script."""

    script: Script
    server: Server
    charger: Registered
    faults: Faults
    told: Told
    random: Random
    clock: HandClock
    _connection: AsyncExitStack = field(default_factory=AsyncExitStack)
    _raw: RawCharger | None = None
    _ids: dict[int, int] = field(default_factory=dict)
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _late: list[Said] = field(default_factory=list)
    _heard: set[int] = field(default_factory=set)
    _newest: datetime | None = None

    async def tell(self, delivery: Delivery) -> None:
        """Everything of it is answered, but for what is told again with the next one."""
        if delivery.leaves:
            await self.leave()
            return
        if delivery.returns or self._raw is None:
            await self._come()
        await self._say_all([*self._late, *delivery.said])
        if delivery.is_asked:
            async with asyncio.timeout(LONGEST_WAIT_S):
                await self._asked.wait()

    async def finish(self) -> None:
        """What is still to be told again is told, unless something was refused."""
        while self._late and not self.told.errors:
            await self._say_all(self._late)
        await self.leave()

    async def leave(self) -> None:
        """The connection is lost."""
        await self._connection.aclose()
        self._raw = None

    async def _come(self) -> None:
        await self.leave()
        subprotocols = (self.script.protocol,)
        self._raw = await self._connection.enter_async_context(
            a_raw_charger(self.server, self.charger, subprotocols=subprotocols)
        )
        self._asked.clear()
        answering = asyncio.create_task(self._answer_questions(self._raw))
        self._connection.callback(answering.cancel)

    async def _answer_questions(self, raw: RawCharger) -> None:
        """What it is asked for a status it says; what it does not know it says so."""
        status_at = self.script.status_at
        if status_at is None:
            raw.answers["TriggerMessage"] = {"status": "NotImplemented"}
        while True:
            message_id, action, payload = await raw.calls.get()
            if action not in raw.answers:
                await raw.socket.send(json.dumps([4, message_id, "NotSupported", "", {}]))
            elif payload.get("requestedMessage") == "StatusNotification":
                if status_at is not None:
                    await raw.begin("StatusNotification", status_at(self.clock.now()))
                self._asked.set()

    async def _say_all(self, said: Sequence[Said]) -> None:
        self._late = []
        pool = list(itertools.chain.from_iterable(self._copies(one) for one in said))
        if self.faults.is_shuffled:
            self.random.shuffle(pool)
        while pool:
            place = next((number for number, one in enumerate(pool) if self._may_go(one)), None)
            if place is None:
                self._late += pool
                return
            pool += await self._say(pool.pop(place))

    def _copies(self, said: Said) -> Iterator[Said]:
        is_first = id(said) not in self._heard
        self._heard.add(id(said))
        count = self.random.randint(*self.faults.copies) if said.visit is not None and is_first else 1
        self.told.duplicates += count - 1
        yield from itertools.repeat(said, count)

    def _may_go(self, said: Said) -> bool:
        if said.visit is None or not said.takes_id:
            return True
        return self.script.guess is not None or said.visit in self._ids

    async def _say(self, said: Said) -> list[Said]:
        """What is to be told once more in the same bundle."""
        answer = await self._answer(said)
        if said.visit is None:
            return []
        self.told.messages += 1
        self.told.reordered += self._newest is not None and said.at < self._newest
        self._newest = said.at if self._newest is None else max(self._newest, said.at)
        if self.random.random() < self.faults.answer_loss_rate:
            self.told.lost_answers += 1
            if (said.is_start and self.script.guess is None) or self.random.random() < 0.5:
                return [said]
            self._late.append(said)
            return []
        if said.is_start and answer is not None:
            known = self._ids.setdefault(said.visit, answer["transactionId"])
            if known != answer["transactionId"]:
                self.told.errors.append(f"a start got {answer['transactionId']} after {known}")
        return []

    async def _answer(self, said: Said) -> dict[str, Any] | None:
        assert self._raw is not None
        payload = said.payload
        if said.visit is not None and said.takes_id:
            payload = payload | {"transactionId": self._ids.get(said.visit, self.script.guess)}
        async with asyncio.timeout(LONGEST_WAIT_S):
            frame = await self._raw.begin(said.action, payload)
        if frame[0] != 3:
            self.told.errors.append(f"{said.action} {payload}: {frame}")
            return None
        answer: dict[str, Any] = frame[2]
        return answer


async def tell_all(tellers: Sequence[Teller], clock: HandClock, *, tail: timedelta = timedelta(hours=1)) -> None:
    """Every script is told to its end, minute by minute; afterwards nothing is heard for as long as `tail`."""
    queues = {id(one): list(one.script.deliveries)[::-1] for one in tellers}
    async with _connections(tellers):
        while any(queues.values()):
            due = min(tick_of(queue[-1].at) for queue in queues.values() if queue)
            clock.at = due
            await asyncio.gather(*(_due(one, queues[id(one)], due) for one in tellers))
            await metering.settle(now=clock.at)
        await asyncio.gather(*(one.finish() for one in tellers))
        clock.at += tail
        await metering.settle(now=clock.at)


def tick_of(at: datetime) -> datetime:
    """When what was made then is told."""
    return at.replace(second=0, microsecond=0) + (TOLD_AFTER if at.second <= TOLD_AFTER.seconds else MINUTE)


async def _due(teller: Teller, queue: list[Delivery], due: datetime) -> None:
    while queue and tick_of(queue[-1].at) <= due:
        await teller.tell(queue.pop())


@asynccontextmanager
async def _connections(tellers: Sequence[Teller]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await asyncio.gather(*(one.leave() for one in tellers))
