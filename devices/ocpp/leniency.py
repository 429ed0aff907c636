"""What real firmware gets wrong and we take all the same: every such kindness has a name, which comes back with the message.

The readers here never raise for a field: what cannot be read is absent. Only a payload that is no JSON object at all is Unreadable.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from devices.ocpp.frames import UNREADABLE


class Leniency(StrEnum):
    """What was wrong, by name; counted per model."""

    LOOSE_TYPES = "LOOSE_TYPES"
    """A number as text, or a whole number with decimals."""
    UNREADABLE_FIELD = "UNREADABLE_FIELD"
    """A field (or item of a list) of another type; it counts as absent."""
    ABSENT_FIELD = "ABSENT_FIELD"
    OVERSIZED_TEXT = "OVERSIZED_TEXT"
    CONTROL_CHARACTERS = "CONTROL_CHARACTERS"
    UNKNOWN_VALUE = "UNKNOWN_VALUE"
    """An enumeration has no such value."""
    TIME_WITHOUT_ZONE = "TIME_WITHOUT_ZONE"
    """Taken as UTC."""
    TIME_BEFORE_2020 = "TIME_BEFORE_2020"
    """The clock was never set. Kept from 1970 on; the domain judges it."""
    TIME_UNREADABLE = "TIME_UNREADABLE"
    """No instant, or one outside 1970 to 2199, where arithmetic with it could overflow."""
    TRANSACTION_ID_INVALID = "TRANSACTION_ID_INVALID"
    """0 or negative: ours are positive, so the transaction is not known."""
    PHASE_ABSENT = "PHASE_ABSENT"
    """A current or voltage without its phase; taken as terminal 1."""
    UNIT_IMPLAUSIBLE = "UNIT_IMPLAUSIBLE"
    """A unit that the measurand cannot have; the usual one is taken."""
    NUMBER_UNREADABLE = "NUMBER_UNREADABLE"
    DECIMAL_COMMA = "DECIMAL_COMMA"
    REGISTER_FRACTIONAL = "REGISTER_FRACTIONAL"
    """A register with a fraction of a Wh where the standard has whole ones; rounded."""
    REGISTER_HUGE = "REGISTER_HUGE"
    """Above 1 GWh, as a register that wrapped below zero shows; kept, the domain judges it."""


class Unreadable(Exception):  # noqa: N818  a verdict on a payload, said in the standard's words by the adapter
    """The payload is no JSON object."""


Names = list[str]
"""Leniencies so far; each reader appends to it."""

T = TypeVar("T", bound=msgspec.Struct)


class Reader(Generic[T]):
    """Reads a payload into a struct whose fields all have defaults: as it is, else loosely, else field by field."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._exact: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._loose: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind, strict=False)

    def read(self, payload: msgspec.Raw | bytes, names: Names) -> T:
        """The message, with what was wrong appended to `names`. Raises Unreadable."""
        try:
            return self._exact.decode(payload)
        except UNREADABLE:
            pass
        try:
            message = self._loose.decode(payload)
        except UNREADABLE:
            return self._salvage(payload, names)
        names.append(Leniency.LOOSE_TYPES)
        return message

    def _salvage(self, payload: msgspec.Raw | bytes, names: Names) -> T:
        values = read_object(payload)
        kept: dict[str, object] = {}
        for field in msgspec.structs.fields(self._kind):
            if field.encode_name not in values:
                continue
            try:
                kept[field.name] = _convert(values[field.encode_name], field.type, names)
            except UNREADABLE:
                names.append(Leniency.UNREADABLE_FIELD)
        return self._kind(**kept)


def read_object(payload: msgspec.Raw | bytes) -> Mapping[str, Any]:
    """The payload's fields as they came; null counts as empty. Raises Unreadable."""
    try:
        value = msgspec.json.decode(payload)
    except UNREADABLE as error:
        raise Unreadable(str(error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("the payload is no object")
    return value


def _convert(value: object, kind: object, names: Names) -> object:
    try:
        return msgspec.convert(value, kind, strict=False)
    except UNREADABLE:
        if not isinstance(value, list):
            raise
    msgspec.convert([], kind)  # Raises where the field is no list.
    return _readable_items(value, kind, names)


def _readable_items(items: list[object], kind: object, names: Names) -> list[object]:
    """A list keeps the items that can be read."""
    kept: list[object] = []
    for item in items:
        try:
            kept += msgspec.convert([item], kind, strict=False)
        except UNREADABLE:
            names.append(Leniency.UNREADABLE_FIELD)
    return kept


_CONTROLS = dict.fromkeys((*range(32), 127))


def clean(text: str | float | None, limit: int, names: Names) -> str | None:
    """The text without control characters (a database refuses NUL) and without outer space, cut to `limit`; None where nothing is left."""
    if text is None:
        return None
    value = text if isinstance(text, str) else _named(str(text), Leniency.LOOSE_TYPES, names)
    if not value.isprintable():
        stripped = value.translate(_CONTROLS)
        if stripped != value:
            names.append(Leniency.CONTROL_CHARACTERS)
        value = stripped
    value = value.strip()
    if len(value) > limit:
        names.append(Leniency.OVERSIZED_TEXT)
        value = value[:limit]
    return value or None


def _named(text: str, leniency: Leniency, names: Names) -> str:
    names.append(leniency)
    return text


FIRST_KNOWN_YEAR = 1970
CLOCK_WAS_SET_YEAR = 2020
LAST_YEAR = 2199


def instant(text: str | None, names: Names) -> datetime | None:
    """The instant in UTC, None where there is none that can be read."""
    if text is None:
        names.append(Leniency.ABSENT_FIELD)
        return None
    try:
        value = datetime.fromisoformat(text.strip().upper())
        if value.tzinfo is None:
            names.append(Leniency.TIME_WITHOUT_ZONE)
            value = value.replace(tzinfo=UTC)
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
    except (ValueError, OverflowError):
        names.append(Leniency.TIME_UNREADABLE)
        return None
    if not FIRST_KNOWN_YEAR <= value.year <= LAST_YEAR:
        names.append(Leniency.TIME_UNREADABLE)
        return None
    if value.year < CLOCK_WAS_SET_YEAR:
        names.append(Leniency.TIME_BEFORE_2020)
    return value


LARGEST_NUMBER = 1e15
"""Beyond it neither a database's integer nor a float holds every value; no meter gets there."""


def number(value: str | float | None, names: Names) -> float | None:
    """The number in the text, finite and below 10¹⁵, None where there is none."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            parsed = float(value)
        except ValueError:
            parsed = _with_comma(value, names)
    else:
        parsed = float(value) if abs(value) < LARGEST_NUMBER else LARGEST_NUMBER
    if not -LARGEST_NUMBER < parsed < LARGEST_NUMBER:
        names.append(Leniency.NUMBER_UNREADABLE)
        return None
    return parsed


def _with_comma(text: str, names: Names) -> float:
    try:
        parsed = float(text.replace(",", ".", 1))
    except ValueError:
        return LARGEST_NUMBER
    names.append(Leniency.DECIMAL_COMMA)
    return parsed


HUGE_WH = 1_000_000_000


def register_wh(value: str | float | None, names: Names, *, scale: float = 1.0) -> int | None:
    """A meter register as whole Wh; `scale` is Wh per unit."""
    parsed = number(value, names)
    if parsed is None:
        return None
    energy = round(parsed * scale)
    if scale == 1.0 and energy != parsed:
        names.append(Leniency.REGISTER_FRACTIONAL)
    if abs(energy) > HUGE_WH:
        names.append(Leniency.REGISTER_HUGE)
    return energy
