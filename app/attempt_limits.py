"""How often somebody may be wrong when they prove who they are: counted in Redis for all processes, remembered here for the refused.

Nobody can lock out another: what is counted at an account from everywhere only makes each address have one try, and a right one is
given back.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.addresses import network_of
from domain.clock import Clock
from domain.errors import RateLimitedError, UnavailableError
from domain.ports import Attempt

_log = structlog.get_logger(__name__)

WINDOW_S: Final = 600
ACCOUNT_WINDOW_S: Final = 3600
MOST_OF_ADDRESS: Final = 20
MOST_OF_ADDRESS_AT_ACCOUNT: Final = 5
MOST_AT_ACCOUNT: Final = 100
"""Then each address has one try an hour at that account."""
WAITING_OF_ADDRESS: Final = 4
"""An address is worked on one after the other, so that it takes no more than its share of the hashing; more than this do not wait."""
_REMEMBERED: Final = 10_000
_ANSWER_S: Final = 2.0
_AWAY: Final = (RedisError, OSError, TimeoutError)

# KEYS: address, address at account, account. ARGV: their limits, the limit of the second when the third is reached, the windows in ms.
# Returns 0 when the try was counted, or the milliseconds until one is free.
_TAKE: Final = """
local of_address = tonumber(redis.call('GET', KEYS[1]) or '0')
if of_address >= tonumber(ARGV[1]) then return redis.call('PTTL', KEYS[1]) end
if #KEYS > 1 then
  local at_account = tonumber(redis.call('GET', KEYS[3]) or '0')
  local most = tonumber(ARGV[2])
  if at_account >= tonumber(ARGV[3]) then most = 1 end
  local of_both = tonumber(redis.call('GET', KEYS[2]) or '0')
  if of_both >= most then return math.max(1, redis.call('PTTL', KEYS[2])) end
  if redis.call('INCR', KEYS[2]) == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
  if at_account >= tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
  if redis.call('INCR', KEYS[3]) == 1 then redis.call('PEXPIRE', KEYS[3], ARGV[5]) end
end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 0
"""
_GIVE_BACK: Final = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
end
"""


@dataclass(slots=True)
class _Turn:
    """Those of one address who are at work or wait."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    number: int = 0


@dataclass(slots=True)
class _Counted:
    number: int
    until_s: float


class AttemptLimits:
    """Attempts of domain.ports. Without Redis it counts by itself."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._clock = clock
        self._take = redis.register_script(_TAKE)
        self._give_back = redis.register_script(_GIVE_BACK)
        self._refused: dict[str, float] = {}
        self._own: dict[str, _Counted] = {}
        self._turns: dict[str, _Turn] = {}
        self._is_away = False

    @asynccontextmanager
    async def one(self, *, address: str, account: str | None) -> AsyncIterator[Attempt]:
        """Inside: the try. RateLimitedError, before anything else is done, when there were too many wrong ones."""
        place = network_of(address)
        keys = _keys(place, account)
        self._refuse_remembered(keys)
        async with self._turn(place):
            # Whoever was before may have been one too many.
            self._refuse_remembered(keys)
            await self._taken(keys)
            attempt = Attempt()
            try:
                yield attempt
            except UnavailableError:
                attempt.is_right = True  # Nobody looked at it: it was not wrong.
                raise
            finally:
                if attempt.is_right:
                    await self._given_back(keys)

    @asynccontextmanager
    async def _turn(self, place: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(place, _Turn())
        if turn.number > WAITING_OF_ADDRESS:
            raise RateLimitedError(
                "Too many sign-ins from your address at once. Try again in a moment.", retry_after_s=1
            )
        turn.number += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.number -= 1
            if not turn.number:
                self._turns.pop(place, None)

    def _refuse_remembered(self, keys: list[str]) -> None:
        now_s = self._clock.monotonic()
        for key in keys[:2]:
            until_s = self._refused.get(key)
            if until_s is not None and now_s < until_s:
                raise _too_many(until_s - now_s)

    async def _taken(self, keys: list[str]) -> None:
        try:
            wait_ms = int(
                await self._take(
                    keys=keys,
                    args=[
                        MOST_OF_ADDRESS,
                        MOST_OF_ADDRESS_AT_ACCOUNT,
                        MOST_AT_ACCOUNT,
                        WINDOW_S * 1000,
                        ACCOUNT_WINDOW_S * 1000,
                    ],
                )
            )
            self._tell_away(None)
        except _AWAY as error:
            self._tell_away(error)
            wait_ms = self._taken_here(keys)
        if wait_ms:
            self._remember(keys, wait_ms / 1000)
            raise _too_many(wait_ms / 1000)

    def _remember(self, keys: list[str], wait_s: float) -> None:
        # Which of the limits it was is not known here: the narrower one is safe to remember.
        if len(self._refused) >= _REMEMBERED:
            self._refused.clear()
        self._refused[keys[min(1, len(keys) - 1)]] = self._clock.monotonic() + wait_s

    def _taken_here(self, keys: list[str]) -> int:
        """As the script, by this process alone; milliseconds to wait, or 0."""
        now_s = self._clock.monotonic()
        limits = (MOST_OF_ADDRESS, MOST_OF_ADDRESS_AT_ACCOUNT)
        for key, most in zip(keys, limits, strict=False):
            known = self._own.get(key)
            if known is not None and now_s < known.until_s and known.number >= most:
                return int((known.until_s - now_s) * 1000) + 1
        if len(self._own) >= _REMEMBERED:
            self._own.clear()
        for key in keys[:2]:
            known = self._own.get(key)
            if known is None or now_s >= known.until_s:
                self._own[key] = _Counted(1, now_s + WINDOW_S)
            else:
                known.number += 1
        return 0

    async def _given_back(self, keys: list[str]) -> None:
        for key in keys[:2]:
            if key in self._own:
                self._own[key].number -= 1
        try:
            await self._give_back(keys=keys)
        except _AWAY as error:
            self._tell_away(error)

    def _tell_away(self, error: BaseException | None) -> None:
        if (error is not None) is not self._is_away:
            self._is_away = error is not None
            if error is not None:
                _log.error("limits of sign-ins are kept by this process alone", reason=type(error).__name__)
            else:
                _log.info("limits of sign-ins are kept by all processes again")


def _keys(place: str, account: str | None) -> list[str]:
    of_address = f"attempts:address:{place}"
    if account is None:
        return [of_address]
    # Addresses of people are nobody's business in a store that others may read.
    name = hashlib.sha256(account.encode()).hexdigest()[:32]
    return [of_address, f"attempts:both:{name}:{place}", f"attempts:account:{name}"]


def _too_many(wait_s: float) -> RateLimitedError:
    return RateLimitedError(
        "Too many wrong tries. Wait a little, then try again.",
        retry_after_s=max(1, min(ACCOUNT_WINDOW_S, int(wait_s) + 1)),
    )
