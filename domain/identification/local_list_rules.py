"""What a local authorization list should hold, and what brings it into step. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

Entries = Mapping[str, datetime | None]
"""Card number → until when it may charge; None: no end is known."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a station's list should hold now, and when that changes by itself."""

    entries: Entries
    changes_at: datetime | None
    is_open: bool = False
    """Whether everybody may charge at each of its chargers, known or not."""
    is_asked_first: bool = False
    """Whether an external system decides while there is a connection: the list is for the time without one."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a station's list holds: its version as we last confirmed it."""

    version: int
    entries: Entries


@dataclass(frozen=True, slots=True)
class Update:
    """One message to a station. `is_full` replaces the list; else `removed` go and `entries` come or change."""

    is_full: bool
    entries: Entries
    removed: Sequence[str] = ()


def updates(held: Entries | None, wanted: Entries, *, most: int) -> list[Update]:
    """What brings a list into step, at most `most` entries a message, what goes first; nothing when it is in step.

    `held` None: what the station holds is not known.
    """
    if held is None:
        pieces = _pieces(list(wanted), most)
        first = pieces[0] if pieces else []
        full = Update(is_full=True, entries={one: wanted[one] for one in first})
        return [full, *(Update(is_full=False, entries={one: wanted[one] for one in piece}) for piece in pieces[1:])]
    gone = sorted(set(held) - set(wanted))
    changed = [one for one, until in wanted.items() if one not in held or held[one] != until]
    return [
        Update(
            is_full=False,
            entries={one: wanted[one] for one in piece if one in wanted},
            removed=tuple(one for one in piece if one not in wanted),
        )
        for piece in _pieces([*gone, *changed], most)
    ]


def applied(held: Entries | None, update: Update) -> Entries:
    """What the list holds after the update."""
    if update.is_full or held is None:
        return dict(update.entries)
    kept = {number: until for number, until in held.items() if number not in set(update.removed)}
    return {**kept, **update.entries}


def _pieces(numbers: Sequence[str], most: int) -> list[list[str]]:
    return [list(numbers[start : start + most]) for start in range(0, len(numbers), most)]


@dataclass(frozen=True, slots=True)
class Span:
    """A card may charge at a charger, from then until then."""

    number: str
    charger_id: UUID | None
    """None: at every charger of the installation."""
    valid_from: datetime
    valid_to: datetime | None


def listed(spans: Iterable[Span], charger_ids: Collection[UUID], *, now: datetime) -> Wanted:
    """The cards that may charge now at each of the chargers, and the next instant at which others may."""
    until: dict[tuple[str, UUID], datetime | None] = {}
    instants: set[datetime] = set()
    for span in spans:
        instants |= {at for at in (span.valid_from, span.valid_to) if at is not None and at > now}
        if span.valid_from > now or (span.valid_to is not None and span.valid_to <= now):
            continue
        for charger_id in charger_ids if span.charger_id is None else {span.charger_id} & set(charger_ids):
            key = (span.number, charger_id)
            until[key] = _later(until[key], span.valid_to) if key in until else span.valid_to
    entries: dict[str, datetime | None] = {}
    for number in sorted({number for number, _ in until}):
        ends = [until.get((number, charger_id), now) for charger_id in charger_ids]
        if now not in ends:
            entries[number] = min((end for end in ends if end is not None), default=None)
    return Wanted(entries, min(instants, default=None))


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else max(one, other)
