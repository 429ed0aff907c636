"""Messages on their way to one client: bounded, and of what a slow reader has not taken yet only the newest state stays."""

from collections import OrderedDict
from typing import Any, Final

MAX_WAITING: Final = 4_096
MAX_CHARACTERS: Final = 8 * 1024 * 1024


class OverflowedError(Exception):
    """The reader is too slow even for the newest of everything."""


class Outbox:
    """In order of the first offer; a message that replaces a waiting one takes its place."""

    __slots__ = ("_characters", "_count", "_waiting", "replaced")

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[Any, object, bool], tuple[str, str, str | None]] = OrderedDict()
        self._characters = 0
        self._count = 0
        self.replaced = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(
        self, prefix: str, payload: str = "", *, owner: object = None, key: object = None, cursor: str | None = None
    ) -> None:
        """The message `prefix + payload` waits. One of the same owner that waits under the same key is replaced (no key: never), by one
        with the same cursor: what waits behind it is not had yet by whoever takes it.

        OverflowedError when there is no room.
        """
        self._count += 1
        place = (owner, self._count if key is None else key, key is not None)
        known = self._waiting.get(place)
        if known is not None:
            self._characters -= len(known[0]) + len(known[1])
            self.replaced += 1
            if cursor is not None and known[2] is not None:
                payload, cursor = payload.replace(cursor, known[2]), known[2]
        self._waiting[place] = (prefix, payload, cursor)
        self._characters += len(prefix) + len(payload)
        if len(self._waiting) > MAX_WAITING or self._characters > MAX_CHARACTERS:
            raise OverflowedError

    def forget(self, owner: object, *, only_replaceable: bool = False) -> None:
        """Messages of that owner (only those that have a key) no longer wait."""
        theirs = [place for place in self._waiting if place[0] is owner and (place[2] or not only_replaceable)]
        for place in theirs:
            prefix, payload, _ = self._waiting.pop(place)
            self._characters -= len(prefix) + len(payload)

    def take(self) -> str | None:
        """The next message, or None."""
        if not self._waiting:
            return None
        _, (prefix, payload, _) = self._waiting.popitem(last=False)
        self._characters -= len(prefix) + len(payload)
        return prefix + payload
