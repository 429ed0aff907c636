"""The parts of a tariff over the local week."""

from datetime import time

import pytest

from domain.checks import Problems
from domain.errors import ValidationError
from domain.pricing.money import MICRO
from domain.pricing.parts import MOST_PARTS, TariffPart, check, part_text, read, written
from domain.roles import CostUnit, Weekday

KWH = CostUnit.KWH
WORKDAYS = tuple(Weekday)[:5]
WEEKEND = tuple(Weekday)[5:]


def part(
    days: tuple[Weekday, ...] = (), since: str | None = None, until: str | None = None, **more: object
) -> TariffPart:
    given = {"unit": KWH, "price_micro": MICRO, **more}
    return TariffPart(
        weekdays=days,
        since=None if since is None else time.fromisoformat(since),
        until=None if until is None else time.fromisoformat(until),
        **given,  # type: ignore[arg-type]  # fields by name
    )


def problems_of(*parts: TariffPart) -> list[tuple[str, str]]:
    """(path, message) of everything that is wrong."""
    problems = Problems()
    check(problems, parts)
    try:
        problems.raise_any()
    except ValidationError as error:
        return [(".".join(one.path), one.message) for one in error.problems]
    return []


@pytest.mark.parametrize(
    "parts",
    [
        [part()],
        [part(tuple(Weekday), "00:00", "00:00")],
        [part((), "06:00", "22:00"), part((), "22:00", "06:00")],
        [part(WORKDAYS), part(WEEKEND)],
        [part((), "00:00", "22:00"), part(WORKDAYS, "22:00"), part(WEEKEND, "22:00")],
        [part(), part(unit=CostUnit.HOUR), part(unit=CostUnit.MONTH), part(unit=CostUnit.SESSION)],
    ],
)
def test_parts_that_fill_the_week_are_taken(parts: list[TariffPart]) -> None:
    """Each unit by itself; what passes midnight goes on the next day, from Sunday to Monday too."""
    assert problems_of(*parts) == []


def test_a_gap_is_named_with_its_times() -> None:
    """At the part that it follows."""
    assert problems_of(part((), "06:00", "22:00"))[:2] == [
        (
            "parts.0.to",
            "There is a gap: KWH has no price from MONDAY 00:00 until MONDAY 06:00. What is free then is a part of price 0.",
        ),
        (
            "parts.0.to",
            "There is a gap: KWH has no price from MONDAY 22:00 until TUESDAY 06:00. What is free then is a part of price 0.",
        ),
    ]
    assert [path for path, _ in problems_of(part(), part(WORKDAYS, unit=CostUnit.HOUR))] == ["parts.1.to"]


def test_an_overlap_is_named_once_for_each_pair_of_parts() -> None:
    """With the other part and the first time at which both hold."""
    assert problems_of(part((), "06:00", "22:00"), part((), "21:00", "06:00")) == [
        ("parts.1.from", "On MONDAY 21:00 this overlaps part 0: at each time KWH has one price.")
    ]
    assert problems_of(part(), part()) == [
        ("parts.1.from", "On MONDAY 00:00 this overlaps part 0: at each time KWH has one price.")
    ]
    sunday_night = part((Weekday.SUNDAY,), "23:00", "01:00")
    assert ("parts.1.from", "On MONDAY 00:00 this overlaps part 0: at each time KWH has one price.") in problems_of(
        part(WORKDAYS), sunday_night
    )


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (part(unit=CostUnit.HOUR, price_micro=None), "parts.0.price"),
        (part(price_micro=-1), "parts.0.price"),
        (part(price_micro=2_000_000 * MICRO), "parts.0.price"),
        (part(surcharge_micro=-2_000_000 * MICRO), "parts.0.surcharge"),
        (part(WORKDAYS, unit=CostUnit.MONTH), "parts.0.weekdays"),
        (part((Weekday.MONDAY, Weekday.MONDAY)), "parts.0.weekdays"),
        (part((), "06:00", "06:00"), "parts.0.to"),
    ],
)
def test_a_part_that_makes_no_sense_is_named(wrong: TariffPart, path: str) -> None:
    """The field that is wrong, and nothing else about the week."""
    assert [where for where, _ in problems_of(wrong)] == [path]


def test_there_is_a_part_and_not_too_many() -> None:
    """One at least, two hundred at most."""
    assert [path for path, _ in problems_of()] == ["parts"]
    assert [path for path, _ in problems_of(*[part()] * (MOST_PARTS + 1))] == ["parts"]


def test_what_is_written_is_read() -> None:
    """Whatever is left open stays open."""
    parts = (part(), part(WORKDAYS, "06:00", price_micro=None, surcharge_micro=-5), part(WEEKEND, None, "21:45"))
    assert read(written(parts)) == parts


def test_a_part_says_when_it_holds() -> None:
    """For people, on their bills."""
    texts = [part_text(one) for one in (part(), part(WEEKEND, "06:00", "00:00"), part(unit=CostUnit.SESSION))]
    assert texts == ["Energy", "Energy Sat, Sun 06:00 to 00:00", "Fee for a charge"]
