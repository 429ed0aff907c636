"""What a charger's WebSocket can do, and why it is closed."""

from collections.abc import Callable
from typing import Protocol

GOING_AWAY, INTERNAL, TRY_AGAIN_LATER, POLICY = 1001, 1011, 1013, 1008
"""WebSocket close codes (RFC 6455 §7.4.1 and its registry)."""

AWAY = "The database is away; keep your messages and come back."
OVERTAKEN = "A newer connection of this charger took over."
"""Reasons that several have, beside the code."""


class Socket(Protocol):
    """What a link needs of a WebSocket."""

    async def receive_frame(self) -> str | bytes | None:
        """The next frame; None when the other side is gone."""
        ...

    async def send_frame(self, text: str) -> None:
        """The frame is on its way. ConnectionError when the other side is gone."""
        ...

    def send_now(self, text: str) -> bool:
        """Whether the frame is on its way without a wait. If not, nothing happened: `send_frame` waits, or says that nobody is there."""
        ...

    def keep_alive(self, ping_every_s: float | None, on_pong: Callable[[], None]) -> None:
        """From now on the charger is pinged so often (None: never), every pong is told, and silence closes nothing."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """The connection is closed or being closed; calling it again does nothing."""
        ...
