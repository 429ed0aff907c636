"""Identities: UUIDs whose order is that of their making (RFC 9562 version 7), so that indexes grow at their end."""

import os
import time
from uuid import UUID

_RANDOM_BITS = 74


def new_id() -> UUID:
    """A UUID version 7 for now.

    The milliseconds come from the wall clock: an id says roughly when a row was made, no rule depends on it.
    """
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10)) & ((1 << _RANDOM_BITS) - 1)
    head = (milliseconds & ((1 << 48) - 1)) << 80
    version = 0x7 << 76
    variant = 0b10 << 62
    return UUID(int=head | version | (noise >> 62) << 64 | variant | (noise & ((1 << 62) - 1)))
