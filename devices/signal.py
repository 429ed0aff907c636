"""Something that tasks of a link wait for."""

import asyncio


class Signal:
    """As an asyncio.Event, in a tenth of its memory: thousands of links have some, and few ever wait for one."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    @property
    def waiting_count(self) -> int:
        """How many tasks wait."""
        return len(self._waiting or ())

    def set(self) -> None:
        """It has happened: whoever waits goes on."""
        self._is_set = True
        for one in self._waiting or ():
            if not one.done():
                one.set_result(None)
        self._waiting = None

    def clear(self) -> None:
        """It is waited for anew."""
        self._is_set = False

    async def wait(self) -> None:
        """Until it has happened; at once where it has."""
        if not self._is_set:
            one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting = [*(self._waiting or ()), one]
            try:
                await one
            finally:
                self._waiting = [other for other in self._waiting or () if other is not one] or None
