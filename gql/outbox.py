"""Messages on their way to one client: bounded, and of what a slow reader has not taken yet only the newest state stays."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_WAITING: Final = 4_096
MAX_CHARACTERS: Final = 8 * 1024 * 1024


class OverflowedError(Exception):
    """The reader is too slow even for the newest of everything."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    prefix: str
    payload: str
    cursor: str | None
    place: tuple[object, object]
    """(whose, about what)."""
    stays: bool

    @property
    def size(self) -> int:
        return len(self.prefix) + len(self.payload)


class Outbox:
    """In order of the first offer; a message that replaces a waiting one takes its place."""

    __slots__ = ("_characters", "_count", "_newest", "_waiting", "replaced")

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._newest: dict[tuple[object, object], int] = {}
        self._characters = 0
        self._count = 0
        self.replaced = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(
        self,
        prefix: str,
        payload: str = "",
        *,
        owner: object = None,
        key: object = None,
        cursor: str | None = None,
        stays: bool = False,
    ) -> bool:
        """The message `prefix + payload` waits; whether in the place of another. That is one of the same owner about the same (`key`; None:
        about nothing), whose cursor it gets: what waits behind is not had yet by whoever takes it. One that `stays` replaces nothing and is
        not replaced, and nothing takes a place before it any more that is about the same.

        OverflowedError when there is no room.
        """
        place = (owner, key)
        number = None if stays or key is None else self._newest.get(place)
        is_newer = number is not None
        if number is None:
            self._count += 1
            number = self._count
        else:
            before = self._waiting[number]
            self._characters -= before.size
            self.replaced += 1
            if cursor is not None and before.cursor is not None:
                payload, cursor = payload.replace(cursor, before.cursor), before.cursor
        if stays:
            self._newest.pop(place, None)
        elif key is not None:
            self._newest[place] = number
        message = self._waiting[number] = _Waiting(prefix, payload, cursor, place, stays or key is None)
        self._characters += message.size
        if len(self._waiting) > MAX_WAITING or self._characters > MAX_CHARACTERS:
            raise OverflowedError
        return is_newer

    def forget(self, owner: object, *, only_replaceable: bool = False) -> int:
        """Messages of that owner (only those that do not stay) no longer wait; how many did."""
        theirs = [
            number
            for number, one in self._waiting.items()
            if one.place[0] is owner and not (only_replaceable and one.stays)
        ]
        for number in theirs:
            self._taken(number, self._waiting.pop(number))
        return len(theirs)

    def forget_owned(self) -> None:
        """Only messages of nobody's still wait."""
        for owner in {id(one.place[0]): one.place[0] for one in self._waiting.values()}.values():
            if owner is not None:
                self.forget(owner)

    def take(self) -> str | None:
        """The next message, or None."""
        if not self._waiting:
            return None
        number, message = self._waiting.popitem(last=False)
        self._taken(number, message)
        return message.prefix + message.payload

    def _taken(self, number: int, message: _Waiting) -> None:
        self._characters -= message.size
        if self._newest.get(message.place) == number:
            del self._newest[message.place]
