"""What was published to channels whose messages are kept: one Redis stream a channel, every message with its number.

A message is appended and published in one script, so that whoever hears it knows its number and what it missed before it.
The numbers of a channel rise by one within an epoch. Whenever a message may be lost without a trace (a process that ended
without saying so, a publication that failed, a Redis with other memories than before) the epoch is broken off: places in
the one before lead nowhere, and whoever holds one is told the present state instead.
"""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from domain.errors import UnavailableError
from domain.events import KEPT_S, Kept, Place

MOST_KEPT: Final = 20_000
"""Messages of one channel: 33 a second for ten minutes."""
BROKEN_CHANNEL: Final = b"lade:log:broken"
"""Where it is published that the epoch is another."""

_SPARE_S: Final = 60
_PREFIX: Final = "lade:log:"
_EPOCH: Final = f"{_PREFIX}epoch"
_RUN: Final = f"{_PREFIX}run"
_WRITERS: Final = f"{_PREFIX}writers"
_AWAY: Final = (RedisError, OSError, TimeoutError)

# What every script here begins with. KEYS: messages, number of the last, epoch. ARGV[1]: an epoch where there is none yet.
# A number begins with the time in microseconds, so that those after a channel's expiry are above those before it.
_HEAD: Final = """
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local epoch = redis.call('GET', KEYS[3])
if not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[3], epoch)
end
local number = tonumber(redis.call('GET', KEYS[2]) or tonumber(time[1]) * 1000000 + tonumber(time[2]))
local function text(value) return string.format('%.0f', value) end
"""

# ARGV: epoch, channel, how long in ms, how many, messages. What cannot be kept is published all the same, and leaves a gap in the numbers.
_APPEND: Final = (
    _HEAD
    + """
local first = text(number + 1)
local oldest = text(ms - tonumber(ARGV[3]))
for at = 5, #ARGV do
  number = number + 1
  local id = text(ms) .. '-' .. text(number)
  local added = redis.pcall('XADD', KEYS[1], 'MINID', '~', oldest, id, 'm', ARGV[at])
  if type(added) == 'table' and added.err then
    redis.call('DEL', KEYS[1])
    redis.pcall('XADD', KEYS[1], id, 'm', ARGV[at])
  end
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local counted = redis.pcall('SET', KEYS[2], text(number), 'PX', ARGV[3])
if counted.err then redis.call('DEL', KEYS[2]) end
return redis.call('PUBLISH', ARGV[2], epoch .. ' ' .. first .. '\\n' .. table.concat(ARGV, '\\n', 5))
"""
)

# ARGV: epoch, how long in ms, how many, the asked epoch and number ('' and 0 for none), how long ago at most in ms.
# Returns the epoch, the last number, and the messages after the asked one where all of them are here.
_READ: Final = (
    _HEAD
    + """
redis.call('SET', KEYS[2], text(number), 'PX', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local missed = number - tonumber(ARGV[5])
if ARGV[4] ~= epoch or missed < 0 or missed > tonumber(ARGV[3]) then return {epoch, text(number)} end
if missed == 0 then return {epoch, text(number), {}} end
local entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', missed)
if #entries < missed then return {epoch, text(number)} end
local at, first = string.match(entries[missed][1], '(%d+)-(%d+)')
if tonumber(first) ~= number - missed + 1 or tonumber(at) < ms - tonumber(ARGV[6]) then return {epoch, text(number)} end
local messages = {}
for back = missed, 1, -1 do messages[#messages + 1] = entries[back][2][2] end
return {epoch, text(number), messages}
"""
)

# KEYS: epoch, run. ARGV: a new epoch, the run of this Redis ('' to break off whatever it is), where it is published.
_BREAK: Final = """
if ARGV[2] ~= '' then
  if redis.call('GET', KEYS[2]) == ARGV[2] then return 0 end
  redis.call('SET', KEYS[2], ARGV[2])
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1
"""

_KEPT_MS: Final = KEPT_S * 1000
_STAYS_MS: Final = (KEPT_S + _SPARE_S) * 1000


def append(pipeline: Pipeline, channel: str, messages: Sequence[bytes]) -> None:
    """The pipeline keeps and publishes these messages, in this order."""
    pipeline.eval(_APPEND, 3, *_keys(channel), _new_epoch(), channel, _STAYS_MS, MOST_KEPT, *messages)


def taken_apart(message: bytes, between: bytes) -> tuple[Place | None, list[bytes]]:
    """The place before the first message of what was published at once, where it has one, and the messages."""
    head, *messages = message.split(between)
    if not messages or head.startswith(b"{"):
        return None, [head, *messages]
    epoch, _, first = head.partition(b" ")
    return Place(epoch.decode(), int(first) - 1), messages


def break_off(pipeline: Pipeline) -> None:
    """The pipeline makes every place so far lead nowhere: something may be lost."""
    pipeline.eval(_BREAK, 2, _EPOCH, _RUN, _new_epoch(), "", BROKEN_CHANNEL)


class EventLog:
    """Reads what is kept, and breaks the epoch off when something may be lost. UnavailableError when Redis is away."""

    def __init__(self, redis: Redis, writer: bytes) -> None:
        self._redis = redis
        self._writer = writer

    async def read(self, channel: str, after: Place | None = None) -> Kept:
        """Where the channel is, and what was published to it after that place."""
        asked = ("", 0) if after is None else (after.epoch, after.number)
        arguments = (_new_epoch(), _STAYS_MS, MOST_KEPT, *asked, _KEPT_MS)
        found = await self._do(self._redis.eval(_READ, 3, *_keys(channel), *arguments))
        epoch, number, *messages = found
        return Kept(Place(epoch.decode(), int(number)), tuple(messages[0]) if messages else None)

    async def recognise(self) -> None:
        """Broken off when this Redis is not the one that was written to before, or has other memories of it."""
        info = await self._do(self._redis.info("server"))
        await self._do(self._redis.eval(_BREAK, 2, _EPOCH, _RUN, _new_epoch(), info["run_id"], BROKEN_CHANNEL))

    async def break_off(self) -> None:
        """Something may be lost."""
        await self._do(self._redis.eval(_BREAK, 2, _EPOCH, _RUN, _new_epoch(), "", BROKEN_CHANNEL))

    async def enter(self) -> None:
        """The writer is known; it listens to the channel of its name for as long as it lives."""
        await self._do(self._redis.sadd(_WRITERS, self._writer))

    async def look_after_others(self) -> None:
        """Broken off when one who wrote is gone without a word: it may have stored what it did not come to publish."""
        writers = [one for one in await self._do(self._redis.smembers(_WRITERS)) if one != self._writer]
        listening = await self._do(self._redis.pubsub_numsub(*writers)) if writers else []
        gone = [one for one, count in listening if not count]
        if gone and await self._do(self._redis.srem(_WRITERS, *gone)):
            await self.break_off()

    async def leave(self) -> None:
        """All that this process had to publish is published."""
        await self._do(self._redis.srem(_WRITERS, self._writer))

    async def _do(self, asked: Any) -> Any:
        try:
            return await asked
        except _AWAY as error:
            raise UnavailableError("The message bus is away. Try again in a moment.", retry_after_s=1) from error


def _keys(channel: str) -> tuple[str, str, str]:
    return (f"{_PREFIX}{channel}", f"{_PREFIX}{channel}:last", _EPOCH)


def _new_epoch() -> str:
    return secrets.token_hex(4)
