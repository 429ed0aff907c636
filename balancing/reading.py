"""JSON read strictly: whatever is wrong is an InstanceError whose field is the way to it, as far as it was come.

Nobody pays for the names of fields that are right: each level puts its own in front when an error passes.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from itertools import permutations
from typing import Final, TypeVar

from balancing.circuit import LINES, InstanceError, Line, Lines, Vector

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")
D = TypeVar("D")
Reader = Callable[[object], T]
"""From a decoded JSON value to what it means. Raises InstanceError."""

MOST: Final = 1e12
"""No ampere, weight, credit or class of a site is beyond it; sums of more than that lose the amperes that they are made of."""

MOST_SHOWN: Final = 40
"""Characters of a wrong value in an error."""


class Fields:
    """One JSON object, read field by field; fields that nobody reads are ignored."""

    __slots__ = ("_fields",)

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise wrong(value, "not an object")
        self._fields = value

    def required(self, name: str, read: Reader[T]) -> T:
        """Raises InstanceError where the field is left out, too."""
        if name not in self._fields:
            raise InstanceError(name, "is missing")
        return self._read(name, read)

    def given(self, name: str, read: Reader[T], default: D) -> T | D:
        """The default where the field is left out."""
        if name not in self._fields:
            return default
        if self._fields[name] is None:
            raise InstanceError(name, "is null: leave the field out for its default")
        return self._read(name, read)

    def optional(self, name: str, read: Reader[T]) -> T | None:
        """None where the field is left out or null."""
        return None if self._fields.get(name) is None else self._read(name, read)

    def _read(self, name: str, read: Reader[T]) -> T:
        try:
            return read(self._fields[name])
        except InstanceError as error:
            raise error.below(name) from error


def wrong(value: object, problem: str) -> InstanceError:
    """The error that the value is what it is, with the value as JSON, shortened."""
    return InstanceError("", f"is {_shown(value)}, {problem}")


def _shown(value: object) -> str:
    shown = json.dumps(value, default=repr)
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}…"


def each(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list of them."""

    def read_all(value: object) -> tuple[T, ...]:
        values, found = array(value), list[T]()
        try:
            for one in values:
                found.append(read(one))
        except InstanceError as error:
            raise error.below(f"[{len(found)}]") from error
        return tuple(found)

    return read_all


def array(value: object) -> list[object] | tuple[object, ...]:
    """A list."""
    if not isinstance(value, list | tuple):
        raise wrong(value, "not a list")
    return value


def text(value: object) -> str:
    """A string that can be written."""
    if not isinstance(value, str):
        raise wrong(value, "not a string")
    if not value.isascii() and value.encode(errors="ignore").decode() != value:
        raise InstanceError("", "has half of a character in it")
    return value


def word(words: type[E]) -> Reader[E]:
    """One of these words."""
    known: dict[str, E] = {one.value: one for one in words}

    def read(value: object) -> E:
        found = known.get(text(value))
        if found is None:
            raise wrong(value, f"none of {', '.join(words)}")
        return found

    return read


def number(value: object) -> float:
    """A finite one, not beyond MOST."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(value, "not a number")
    if not -MOST <= value <= MOST:
        raise wrong(value, f"beyond {MOST:g}" if abs(value) < float("inf") else "not a finite number")
    return float(value)


def not_negative(value: object) -> float:
    """A number, 0 or more."""
    found = number(value)
    if found < 0:
        raise wrong(value, "below 0")
    return found


def positive(value: object) -> float:
    """A number, more than 0."""
    found = number(value)
    if found <= 0:
        raise wrong(value, "not above 0")
    return found


def integer(value: object) -> int:
    """A whole number; 3.0, which many programs write for 3, is one."""
    found = number(value)
    if not found.is_integer():
        raise wrong(value, "not an integer")
    return int(found)


def natural(value: object) -> int:
    """A whole number, 0 or more."""
    found = integer(value)
    if found < 0:
        raise wrong(value, "below 0")
    return found


def vector(read: Reader[float]) -> Reader[Vector]:
    """A number for each line."""
    read_all = each(read)

    def read_vector(value: object) -> Vector:
        found = read_all(value)
        if len(found) != len(LINES):
            raise InstanceError("", f"has {len(found)} entries; it takes three numbers, [L1, L2, L3]")
        return (found[0], found[1], found[2])

    return read_vector


def lines(value: object) -> Lines:
    """Lines of the grid, each at most once, in the order that is given."""
    found = _line_by_line(value)
    # One tuple for all that are equal, of which a site has thousands.
    known = _KNOWN_LINES.get(found)
    if known is None:
        raise InstanceError("", f"{_shown(found)} names a line twice")
    return known


_line_by_line: Final = each(word(Line))

_KNOWN_LINES: Final = {found: found for many in range(len(LINES) + 1) for found in permutations(LINES, many)}
