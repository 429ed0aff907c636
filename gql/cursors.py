"""Cursors of streams: places in a channel, sealed for what is followed and for the rights with which it is.

Whoever holds one learns nothing from it, and one that was made elsewhere, for another target or other rights, or that was
tampered with, opens nothing here: its holder is told the present state instead.
"""

import base64
import binascii
import dataclasses
import hashlib
import hmac
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from domain.events import Place

_NOWHERE: Final = Place("00000000", 0)
_SEAL_BYTES: Final = 12
_EPOCH_BYTES: Final = 4
_NUMBER_BYTES: Final = 8
_BYTES: Final = _SEAL_BYTES + _EPOCH_BYTES + _NUMBER_BYTES


class Cursors:
    """The cursors of one stream, at the place where it is."""

    __slots__ = ("_here", "_key", "nowhere", "place")

    def __init__(self, secret: str, scope: object) -> None:
        key = hashlib.sha256(b"lade live cursor\0" + secret.encode()).digest()
        self._key = hashlib.blake2b(_plain(scope).encode(), key=key, digest_size=32).digest()
        self.nowhere: Final = self.at(_NOWHERE)
        """Of events from which one cannot go on: those of a snapshot, which is had whole or not at all."""
        self.place = _NOWHERE
        self._here = self.nowhere

    def move(self, place: Place) -> None:
        """The stream is there now."""
        self.place = place
        self._here = ""

    @property
    def here(self) -> str:
        """The cursor of where the stream is."""
        if not self._here:
            self._here = self.at(self.place)
        return self._here

    def at(self, place: Place) -> str:
        """The cursor of that place; always the same."""
        plain = bytes.fromhex(place.epoch) + place.number.to_bytes(_NUMBER_BYTES)
        seal = self._digest(plain, b"seal")
        return base64.urlsafe_b64encode(seal + _mixed(plain, self._digest(seal, b"hide"))).decode()

    def place_in(self, cursor: str) -> Place | None:
        """The place that was sealed here; None when it was not."""
        try:
            content = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        seal, hidden = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        plain = _mixed(hidden, self._digest(seal, b"hide"))
        if len(content) != _BYTES or not hmac.compare_digest(seal, self._digest(plain, b"seal")):
            return None
        return Place(plain[:_EPOCH_BYTES].hex(), int.from_bytes(plain[_EPOCH_BYTES:]))

    def _digest(self, content: bytes, purpose: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._key, person=purpose, digest_size=_SEAL_BYTES).digest()


def _mixed(content: bytes, with_: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(content, with_, strict=False))


def _plain(value: object) -> str:
    """The same text for equal values, in every process."""
    match value:
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case None | bool() | int() | str() | UUID():
            return repr(value)
        case datetime():
            return value.isoformat()
        case AbstractSet():
            return "{" + ",".join(sorted(map(_plain, value))) + "}"
        case tuple():
            return "(" + ",".join(map(_plain, value)) + ")"
        case _ if dataclasses.is_dataclass(value):
            return _plain(tuple(getattr(value, one.name) for one in dataclasses.fields(value)))
    raise TypeError(f"{type(value).__name__} has no plain text")
