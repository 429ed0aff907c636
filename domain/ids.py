"""Identities: UUIDs whose order is that of their making (RFC 9562 version 7), so that indexes grow at their end."""

import os
import threading
import time
from uuid import UUID

_making = threading.Lock()
_last_tick = 0


def new_id() -> UUID:
    """A UUID version 7 that is above every earlier one of this process (RFC 9562 §6.2 method 3), even when the clock is set back.

    The time comes from the wall clock: an id says roughly when a row was made, no rule depends on it.
    """
    tick = _next_tick()
    head = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64
    return UUID(int=head | 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2)


def _next_tick() -> int:
    """The time in 1/4096 ms, or one more than the last."""
    global _last_tick
    with _making:
        _last_tick = max((time.time_ns() << 12) // 1_000_000, _last_tick + 1)
        return _last_tick
