"""The event loop in which a command does its work."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import uvloop

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    """What the work returns, on uvloop, in this thread."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
