"""The parts of a tariff: what is paid for, at what price, at which times of the local week. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Final
from uuid import UUID

import msgspec

from domain.checks import Problems
from domain.pricing.money import MICRO
from domain.roles import CostUnit, Weekday
from domain.wording import Words, english

MOST_PARTS: Final = 200
"""For each unit more than one for each hour of a working day and of a Sunday."""
MOST_PRICE_MICRO: Final = 1_000_000 * MICRO
"""A million of any currency for a kWh is a slip of the hand, or the decimal sign of another country."""
_HOUR = 60
DAY: Final = 24 * _HOUR
WEEK: Final = 7 * DAY
_WEEKDAYS = tuple(Weekday)
_MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class TariffPart:
    """`price_micro` for one unit, without VAT, in millionths of the currency; None is the imported price of the time. The surcharge is
    added to either.

    No weekdays: every day. `since` and `until` None: from 00:00, until the day's end; an `until` before `since` is on the next day.
    """

    unit: CostUnit
    price_micro: int | None
    surcharge_micro: int = 0
    weekdays: tuple[Weekday, ...] = ()
    since: time | None = None
    until: time | None = None

    @property
    def is_always(self) -> bool:
        """Whether it holds all week."""
        return set(self.weekdays) in (set(), set(Weekday)) and _minute(self.since) == 0 and _minute(self.until) == 0

    def minutes(self) -> Iterator[tuple[int, int]]:
        """Parts of the week that it covers, in minutes since Monday 00:00, half-open; one that passes Sunday's end is in two parts."""
        since, until = _minute(self.since), _minute(self.until) or DAY
        for weekday in self.weekdays or _WEEKDAYS:
            start = _WEEKDAYS.index(weekday) * DAY + since
            end = start + (until - since if until > since else until - since + DAY)
            yield start, min(end, WEEK)
            if end > WEEK:
                yield 0, end - WEEK


@dataclass(frozen=True, slots=True)
class TariffTerms:
    """What a tariff says. `vat_micro` is in millionths of a percent."""

    id: UUID
    name: str
    vat_micro: int
    parts: tuple[TariffPart, ...]

    @property
    def is_imported(self) -> bool:
        """Whether imported prices are needed."""
        return any(part.price_micro is None for part in self.parts)

    def numbered(self, unit: CostUnit) -> list[tuple[int, TariffPart]]:
        """The parts of a unit, each with its place in the tariff."""
        return [(place, part) for place, part in enumerate(self.parts) if part.unit is unit]


def _minute(at: time | None) -> int:
    return 0 if at is None else at.hour * _HOUR + at.minute


def check(problems: Problems, parts: Sequence[TariffPart]) -> None:
    """Every wrong part is a problem: with a price that is missing or negative, without time, overlapping an earlier one of its unit; and
    every time of the week for which a unit has no part.
    """
    if not parts:
        problems.add("parts", "A tariff has at least one part.")
    if len(parts) > MOST_PARTS:
        problems.add("parts", f"A tariff has at most {MOST_PARTS} parts.")
        return
    checked = [_check_part(problems, ("parts", str(place)), part) for place, part in enumerate(parts)]
    if all(checked):
        for unit in CostUnit:
            _check_week(problems, [(place, part) for place, part in enumerate(parts) if part.unit is unit])


def _check_part(problems: Problems, where: tuple[str, ...], part: TariffPart) -> bool:
    """Whether its times make sense; what is wrong with it is a problem."""
    if part.price_micro is None and part.unit is not CostUnit.KWH:
        problems.add((*where, "price"), "Imported prices are for a kWh: name the price of this part.")
    if part.price_micro is not None and not 0 <= part.price_micro <= MOST_PRICE_MICRO:
        problems.add((*where, "price"), "A price is from 0 to 1000000, with at most six decimals.")
    if abs(part.surcharge_micro) > MOST_PRICE_MICRO:
        problems.add((*where, "surcharge"), "A surcharge is from -1000000 to 1000000, with at most six decimals.")
    if part.unit is CostUnit.MONTH and not part.is_always:
        problems.add((*where, "weekdays"), "A monthly fee is for the whole month: it has no weekdays and no times.")
        return False
    if len(set(part.weekdays)) < len(part.weekdays):
        problems.add((*where, "weekdays"), "This names a day twice.")
        return False
    if (part.since or _MIDNIGHT) == (part.until or _MIDNIGHT) != _MIDNIGHT:
        problems.add((*where, "to"), "This is the same time as `from`; the whole day is from 00:00 to 00:00.")
        return False
    return True


def _check_week(problems: Problems, parts: Sequence[tuple[int, TariffPart]]) -> None:
    """Each minute of the week has exactly one of these parts, which are of one unit."""
    if not parts:
        return
    spans = sorted((start, end, place) for place, part in parts for start, end in part.minutes())
    unit = parts[0][1].unit
    told: set[tuple[int, int]] = set()
    end_of_all, last = 0, parts[0][0]
    for start, end, place in spans:
        if start > end_of_all:
            _tell_gap(problems, last, unit, end_of_all, start)
        if start < end_of_all and (pair := (min(place, last), max(place, last))) not in told:
            told.add(pair)
            message = f"On {_at(start)} this overlaps part {pair[0]}: at each time {unit} has one price."
            problems.add(("parts", str(pair[1]), "from"), message)
        if end > end_of_all:
            end_of_all, last = end, place
    if end_of_all < WEEK:
        _tell_gap(problems, last, unit, end_of_all, WEEK)


def _tell_gap(problems: Problems, place: int, unit: CostUnit, start: int, end: int) -> None:
    message = f"There is a gap: {unit} has no price from {_at(start)} until {_at(end)}. What is free then is a part of price 0."
    problems.add(("parts", str(place), "to"), message)


def _at(minute: int) -> str:
    """A minute of the week in words; the end of Sunday is Monday."""
    day, rest = divmod(minute % WEEK, DAY)
    return f"{_WEEKDAYS[day]} {rest // _HOUR:02}:{rest % _HOUR:02}"


_UNIT_WORDS: Mapping[CostUnit, str] = {
    CostUnit.KWH: "Energy",
    CostUnit.HOUR: "Time connected",
    CostUnit.IDLE_HOUR: "Time connected after charging",
    CostUnit.SESSION: "Fee for a charge",
    CostUnit.MONTH: "Monthly fee",
}


def part_text(part: TariffPart, words: Words = english) -> str:
    """What is paid for, and at which times, in words."""
    found = [words(_UNIT_WORDS[part.unit])]
    if part.weekdays and set(part.weekdays) != set(Weekday):
        found.append(", ".join(words(day.value[:3].capitalize()) for day in _WEEKDAYS if day in part.weekdays))
    if _minute(part.since) or _minute(part.until):
        since, until = (f"{at or _MIDNIGHT:%H:%M}" for at in (part.since, part.until))
        found.append(words("{since} to {until}", since=since, until=until))
    return " ".join(found)


class _Stored(msgspec.Struct, frozen=True):
    unit: CostUnit
    price: int | None
    surcharge: int
    weekdays: list[Weekday]
    since: str | None
    until: str | None


_decoder = msgspec.json.Decoder(list[_Stored])


def written(parts: Sequence[TariffPart]) -> str:
    """As they are stored."""
    rows = [
        _Stored(
            part.unit,
            part.price_micro,
            part.surcharge_micro,
            list(part.weekdays),
            None if part.since is None else f"{part.since:%H:%M}",
            None if part.until is None else f"{part.until:%H:%M}",
        )
        for part in parts
    ]
    return msgspec.json.encode(rows).decode()


def read(text: str) -> tuple[TariffPart, ...]:
    """What was stored."""
    return tuple(
        TariffPart(
            row.unit,
            row.price,
            row.surcharge,
            tuple(row.weekdays),
            None if row.since is None else time.fromisoformat(row.since),
            None if row.until is None else time.fromisoformat(row.until),
        )
        for row in _decoder.decode(text)
    )
