"""What Ctrl-C and SIGTERM do to a command that has something to finish."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TOLD = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def until_interrupted(stop: Callable[[], None]) -> Iterator[None]:
    """Inside: Ctrl-C and SIGTERM call `stop` and nothing else, so that what is under way comes to its own end."""
    loop = asyncio.get_running_loop()
    for one in TOLD:
        loop.add_signal_handler(one, stop)
    try:
        yield
    finally:
        for one in TOLD:
            loop.remove_signal_handler(one)
