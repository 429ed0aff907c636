"""Pages of lists by keyset: where a page begins and ends, and the SQL that finds it, alike on both databases. Pure.

A cursor holds the sort keys and the id of a row, so that a page neither skips nor repeats rows while others come and go.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Generic, TypeVar, overload
from uuid import UUID

from domain.errors import invalid

MAX_PAGE = 100
_MAX_CURSOR_LENGTH = 2_000
_MOST_NUMBER = 2**63
"""What a database can compare with is below."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted: `first` after a cursor, or `last` before one. Made by `page_request`."""

    first: int | None = MAX_PAGE
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def size(self) -> int:
        """Rows at most."""
        return (self.first if self.first is not None else self.last) or 0

    @property
    def is_backward(self) -> bool:
        """Whether the end of the list is wanted."""
        return self.first is None


def page_request(first: int | None, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """The request, checked: exactly one of `first` and `last`, 1 to 100. ValidationError says what to do."""
    if (first is None) == (last is None):
        raise invalid("first", f"Say how many: pass either `first` or `last`, from 1 to {MAX_PAGE}.")
    name, size = ("first", first) if first is not None else ("last", last)
    if size is None or not 1 <= size <= MAX_PAGE:
        raise invalid(
            name, f"`{name}` must be from 1 to {MAX_PAGE}; get more with `after` or `before` and the page's cursors."
        )
    return PageRequest(first, after, last, before)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows of one page in the list's order, each with its cursor. `count` asks for the size of the whole list, when wanted."""

    rows: Sequence[T]
    cursors: Sequence[str]
    has_next: bool = False
    has_previous: bool = False
    count: Callable[[], Awaitable[int]] | None = None


async def _zero() -> int:
    return 0


def empty_page() -> Page[Any]:
    """A list in which there is nothing, or nothing that may be seen."""
    return Page((), (), count=_zero)


class KeyKind(Enum):
    """What a sort key is, so that its value survives the way through a cursor."""

    TEXT = "text"
    NUMBER = "number"
    WHOLE = "whole number"
    DECIMAL = "decimal"
    INSTANT = "instant"
    ID = "id"


@dataclass(frozen=True, slots=True)
class SortKey:
    """One term of an order: the SQL expression, and the name under which the row's column holds its value."""

    expression: str
    column: str
    kind: KeyKind = KeyKind.TEXT
    is_descending: bool = False
    is_nullable: bool = False
    """Nulls come last in both directions."""


@dataclass(frozen=True, slots=True)
class Keyset:
    """The parts of a SELECT that find a page: AND `where`, `order_by`, and one row more than the page to see whether there are more."""

    where: str
    order_by: str
    limit: int
    keys: tuple[SortKey, ...] = field(default=())


def keyset(keys: Sequence[SortKey], request: PageRequest, arguments: list[object]) -> Keyset:
    """The SQL of the page; appends to `arguments`. The last key must be the row's id, or the order is not total.

    ValidationError when a cursor is damaged or of another list.
    """
    parts = []
    if request.after is not None:
        values = _decoded(keys, request.after, "after")
        parts.append(_beyond(keys, values, arguments, backward=False))
    if request.before is not None:
        values = _decoded(keys, request.before, "before")
        parts.append(_beyond(keys, values, arguments, backward=True))
    order = ", ".join(_ordered(key, backward=request.is_backward) for key in keys)
    return Keyset(" AND ".join(parts) or "1 = 1", order, request.size + 1, tuple(keys))


def _ordered(key: SortKey, *, backward: bool) -> str:
    direction = "DESC" if key.is_descending != backward else "ASC"
    nulls = f" NULLS {'FIRST' if backward else 'LAST'}" if key.is_nullable else ""
    return f"{key.expression} {direction}{nulls}"


def _beyond(keys: Sequence[SortKey], values: Sequence[object], arguments: list[object], *, backward: bool) -> str:
    """Rows strictly after (or before) the one with these values: a row of comparisons, each under equality of those before it."""
    marks = []
    for value in values:
        arguments.append(value)
        marks.append(f"${len(arguments)}" if value is not None else "")
        if value is None:
            arguments.pop()
    if _is_one_row(keys) and all(marks):
        # Both databases find a row in an index by this, however deep it lies; by alternatives they would read all before it.
        compare = "<" if keys[0].is_descending != backward else ">"
        return f"({', '.join(key.expression for key in keys)}) {compare} ({', '.join(marks)})"
    alternatives = []
    for index, key in enumerate(keys):
        strictly = _strictly(key, marks[index], backward=backward)
        if strictly is None:
            continue
        equal = [_equal(other, mark) for other, mark in zip(keys[:index], marks, strict=False)]
        alternatives.append("(" + " AND ".join([*equal, strictly]) + ")")
    return "(" + " OR ".join(alternatives) + ")" if alternatives else "1 = 0"


def _is_one_row(keys: Sequence[SortKey]) -> bool:
    """Whether the order is that of the keys' values as a row: none may be null, all in one direction."""
    return len({key.is_descending for key in keys}) == 1 and not any(key.is_nullable for key in keys)


def _equal(key: SortKey, mark: str) -> str:
    return f"{key.expression} = {mark}" if mark else f"{key.expression} IS NULL"


def _strictly(key: SortKey, mark: str, *, backward: bool) -> str | None:
    if not mark:
        return f"{key.expression} IS NOT NULL" if backward else None
    compare = "<" if key.is_descending != backward else ">"
    condition = f"{key.expression} {compare} {mark}"
    return f"({condition} OR {key.expression} IS NULL)" if key.is_nullable and not backward else condition


def page_of(
    rows: Sequence[Mapping[str, Any]],
    found: Keyset,
    request: PageRequest,
    make: Callable[[Mapping[str, Any]], T],
    *,
    count: Callable[[], Awaitable[int]] | None = None,
) -> Page[T]:
    """The page made of the rows that the keyset's SELECT gave."""
    has_more = len(rows) > request.size
    kept = list(rows[: request.size])
    if request.is_backward:
        kept.reverse()
    return Page(
        rows=[make(row) for row in kept],
        cursors=_Cursors(found.keys, kept),
        has_next=request.before is not None if request.is_backward else has_more,
        has_previous=has_more if request.is_backward else request.after is not None,
        count=count,
    )


class _Cursors(Sequence[str]):
    """The cursors of rows, each written when it is looked at: most pages are read without."""

    def __init__(self, keys: Sequence[SortKey], rows: Sequence[Mapping[str, Any]]) -> None:
        self._keys = keys
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return _Cursors(self._keys, self._rows[index])
        return _encoded(self._keys, self._rows[index])


def page_of_list(everything: Sequence[T], request: PageRequest, key: Callable[[T], UUID]) -> Page[T]:
    """A page of a short list that is in memory, in its order; cursors hold the row's id."""
    order = (SortKey("", "id", KeyKind.ID),)
    cursors = [_encoded(order, {"id": key(one)}) for one in everything]
    places = {key(one): place for place, one in enumerate(everything)}

    def place_of(cursor: str, name: str, default: int) -> int:
        identity = _decoded(order, cursor, name)[0]
        return places.get(identity, default) if isinstance(identity, UUID) else default

    start = 0 if request.after is None else place_of(request.after, "after", -1) + 1
    end = len(everything) if request.before is None else place_of(request.before, "before", len(everything))
    if request.is_backward:
        start = max(start, end - request.size)
    else:
        end = min(end, start + request.size)

    async def count() -> int:
        return len(everything)

    return Page(everything[start:end], cursors[start:end], end < len(everything), start > 0, count)


def _signature(keys: Sequence[SortKey]) -> str:
    return ",".join(("-" if key.is_descending else "") + key.column for key in keys)


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.astimezone(UTC).isoformat()
        case UUID() | Decimal():
            return str(value)
    return value


def _encoded(keys: Sequence[SortKey], row: Mapping[str, Any]) -> str:
    values = [_plain(row[key.column]) for key in keys]
    text = json.dumps([_signature(keys), *values], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(keys: Sequence[SortKey], cursor: str, name: str) -> list[object]:
    refused = invalid(name, f"`{name}` is not a cursor of this list; pass one that a page of it gave you, unchanged.")
    if len(cursor) > _MAX_CURSOR_LENGTH:
        raise refused
    try:
        content = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise refused from error
    if not isinstance(content, list) or len(content) != len(keys) + 1 or content[0] != _signature(keys):
        raise refused
    try:
        return [_value(key, raw) for key, raw in zip(keys, content[1:], strict=True)]
    except (ValueError, TypeError, OverflowError, InvalidOperation) as error:
        raise refused from error


def _value(key: SortKey, raw: object) -> object:
    if raw is None and key.is_nullable:
        return None
    match key.kind, raw:
        case KeyKind.TEXT, str() if "\0" not in raw:
            raw.encode()
            return raw
        case KeyKind.WHOLE, int() if not isinstance(raw, bool) and abs(raw) < _MOST_NUMBER:
            return raw
        case KeyKind.NUMBER, int() | float() if not isinstance(raw, bool) and abs(raw) < _MOST_NUMBER:
            return raw
        case KeyKind.DECIMAL, str() | int() | float() if Decimal(str(raw)).is_finite():
            return Decimal(str(raw))
        case KeyKind.ID, str():
            return UUID(raw)
        case KeyKind.INSTANT, str():
            instant = datetime.fromisoformat(raw)
            if instant.tzinfo is None:
                raise ValueError(raw)
            return instant.astimezone(UTC)
    raise TypeError(key.column)
