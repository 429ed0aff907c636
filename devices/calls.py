"""What is asked of one charger: one call at a time, limits before everything else."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from devices.ocpp import frames
from devices.ocpp.frames import CallError, CallResult
from devices.ocpp.protocol import Adapter, Outgoing
from devices.sockets import GOING_AWAY
from domain.ids import new_id
from domain.ports import DeviceAnswer, DeviceVerdict

MOST_CALLS = 64

SURE_FOR_S = 1.0
"""How long what the rows said of who speaks for a charger is relied on while a call waits for the ones before it."""

HANGS_AFTER = 3
"""So many unanswered calls in a row: the charger hangs and is better off with a new connection."""

ENDED = DeviceAnswer(DeviceVerdict.OFFLINE, "the connection ended")

_log = structlog.get_logger(__name__)


class Line(Protocol):
    """What calls need of the connection that they go over."""

    @property
    def identity(self) -> str:
        """Whose it is."""
        ...

    @property
    def adapter(self) -> Adapter:
        """The version that is spoken."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether nothing goes out any more."""
        ...

    async def send(self, text: str) -> None:
        """The frame is on its way. ConnectionError when nobody is there."""
        ...

    def keep(self, action: str, payload: msgspec.Raw | bytes, *, is_from_charger: bool) -> None:
        """It is stored soon what was said, for people to read."""
        ...

    def went_out(self, outgoing: Outgoing) -> None:
        """The call is on its way; an answer may come."""
        ...

    async def keep_cleared(self) -> None:
        """It is stored, where it can be, that what limits the charger is what this portal sets."""
        ...

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """The work runs in a task that ends with the connection."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """The connection ends."""
        ...

    async def still_speaks(self) -> bool:
        """Whether it is the charger's newest connection, as the rows say. If not, or if they cannot be asked, it is closed."""
        ...


@dataclass(slots=True)
class _Calling:
    outgoing: Outgoing
    answer: "asyncio.Future[DeviceAnswer]"
    asked_s: float
    """By the loop's clock."""
    prepares: "_Calling | None" = None
    """What has to follow it: it goes out only where that is still wanted, and then that goes out whoever has given up."""
    is_owed: bool = False
    is_limit: bool = False
    """Goes before everything that is no limit: a fuse does not wait for settings and lists."""


class Calls:
    """The calls over one line. `profiles_are_ours`: what limits the charger is what this portal has set."""

    __slots__ = (
        "_answer",
        "_answer_id",
        "_calling",
        "_is_cleared",
        "_line",
        "_sure_s",
        "_timeout_s",
        "_timeouts",
        "_waiting",
        "profiles_are_ours",
    )

    def __init__(self, line: Line, *, timeout_s: float, profiles_are_ours: bool) -> None:
        self.profiles_are_ours = profiles_are_ours
        self._is_cleared = False
        """Whether what other portals had set is gone and that is still to be stored."""
        self._line = line
        self._timeout_s = timeout_s
        self._timeouts = 0
        self._sure_s = 0.0
        self._waiting: list[_Calling] = []
        self._calling: _Calling | None = None
        self._answer: asyncio.Future[DeviceAnswer] | None = None
        self._answer_id = ""

    async def make(self, outgoing: Outgoing, *, timeout_s: float, is_limit: bool = False) -> DeviceAnswer:
        """The charger's answer, or why there is none within `timeout_s`.

        What another portal has set goes right before the first limit of ours, never without one: it may be all that limits it.
        """
        if self._line.is_closed:
            return ENDED
        clears = self._line.adapter.clear_profiles() if is_limit and not self.profiles_are_ours else ()
        if len(self._waiting) + len(clears) >= MOST_CALLS:
            return DeviceAnswer(DeviceVerdict.ERROR, "too many commands wait for this charger")
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        calling = _Calling(outgoing, loop.create_future(), now_s, is_limit=is_limit)
        clearing = [_Calling(one, loop.create_future(), now_s, prepares=calling, is_limit=True) for one in clears]
        place = sum(one.is_limit for one in self._waiting) if is_limit else len(self._waiting)
        self._waiting[place:place] = [*clearing, calling]
        if clearing:
            self.profiles_are_ours = True
        if self._calling is None:
            self._calling = self._waiting[0]
            self._line.spawn(self._make_all())
        try:
            async with asyncio.timeout(timeout_s):
                return await calling.answer
        except TimeoutError:
            return DeviceAnswer(DeviceVerdict.TIMEOUT, f"no answer within {timeout_s:g} s")

    def take(self, frame: CallResult | CallError) -> tuple[Outgoing, DeviceAnswer] | None:
        """The call that the frame answers, and what it says; None where no such call is out."""
        if self._answer is None or self._calling is None or frame.message_id != self._answer_id:
            return None
        outgoing, adapter = self._calling.outgoing, self._line.adapter
        if isinstance(frame, CallError):
            error = {"errorCode": frame.code, "errorDescription": frame.description, "errorDetails": frame.details}
            self._line.keep(outgoing.action, msgspec.json.encode(error), is_from_charger=True)
            answer = adapter.error_verdict(frame)
        else:
            self._line.keep(outgoing.action, frame.payload, is_from_charger=True)
            answer = adapter.verdict(outgoing.action, frame.payload)
        _settle(self._answer, answer)
        return outgoing, answer

    def end(self) -> None:
        """Nobody waits for an answer any more; the line is closed."""
        for calling in self._waiting:
            _settle(calling.answer, ENDED)

    async def _make_all(self) -> None:
        """Every waiting call goes out, the next one when the one before was answered or given up (OCPP-J §4.1.1)."""
        try:
            while self._waiting and not self._line.is_closed:
                calling = self._calling = self._waiting.pop(0)
                if not await self._still_goes_out(calling):
                    break
                if self._is_wanted(calling):
                    await self._carry_out(calling)
        except ConnectionError:
            await self._line.close(GOING_AWAY, "")
        finally:
            if self._calling is not None:
                _settle(self._calling.answer, ENDED)
            self._calling = None
            if self._line.is_closed:
                self.end()

    async def _carry_out(self, calling: _Calling) -> None:
        """The call has its answer. What clears another portal's limits is stored before the first of ours goes out: were it sent again
        over the next connection, it would clear that. A refusal, an error and silence are answers, too: another will not come.
        """
        if calling.prepares is None and self._is_cleared:
            self._is_cleared = False
            await self._line.keep_cleared()
        answer = await self._exchange(calling.outgoing, counts=calling.prepares is None)
        self._is_cleared = self._is_cleared or calling.prepares is not None
        _settle(calling.answer, answer)

    async def _still_goes_out(self, calling: _Calling) -> bool:
        """Whether the charger has not come by another connection since, of which no word may have reached this process."""
        now_s = asyncio.get_running_loop().time()
        if now_s - max(calling.asked_s, self._sure_s) <= SURE_FOR_S:
            return True
        self._sure_s = now_s
        return await self._line.still_speaks()

    def _is_wanted(self, calling: _Calling) -> bool:
        """Whether it goes out, and with it what it prepares."""
        follower = calling.prepares
        if follower is None:
            return calling.is_owed or not calling.answer.done()
        if follower.answer.done() and not follower.is_owed:
            self.profiles_are_ours = False
            _settle(calling.answer, ENDED)
            return False
        follower.is_owed = True
        return True

    async def _exchange(self, outgoing: Outgoing, *, counts: bool) -> DeviceAnswer:
        """The answer. `counts`: that there is none in time says that the charger hangs."""
        self._answer = asyncio.get_running_loop().create_future()
        self._answer_id = str(new_id())
        try:
            await self._line.send(frames.encode_call(self._answer_id, outgoing.action, outgoing.payload))
            self._line.went_out(outgoing)
            self._line.keep(outgoing.action, msgspec.json.encode(outgoing.payload), is_from_charger=False)
            async with asyncio.timeout(self._timeout_s):
                answer = await self._answer
        except TimeoutError:
            return await self._unanswered(1 if counts else 0)
        finally:
            self._answer = None
        self._timeouts = 0
        return answer

    async def _unanswered(self, count: int) -> DeviceAnswer:
        self._timeouts += count
        if self._timeouts >= HANGS_AFTER:
            _log.warning("a charger hangs and is disconnected", identity=self._line.identity)
            await self._line.close(GOING_AWAY, "No answer to three calls in a row.")
        return DeviceAnswer(DeviceVerdict.TIMEOUT, f"no answer within {self._timeout_s:g} s")


def _settle(answer: "asyncio.Future[DeviceAnswer]", value: DeviceAnswer) -> None:
    if not answer.done():
        answer.set_result(value)
