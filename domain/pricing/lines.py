"""The lines of what a charge costs: one part of a tariff on one local day, net and VAT rounded half-even once each. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from domain.charging.energy_intervals import Part
from domain.pricing.calendar import Calendar, Segment
from domain.pricing.money import MICRO, Money, decimal_of, half_even, minor_digits, money, price
from domain.pricing.parts import TariffPart, TariffTerms, part_text
from domain.roles import CostUnit, IntervalQuality
from domain.units import kwh
from domain.usage.interval_cuts import energy_until
from domain.wording import Said, Words, english

_HOUR_S = 3_600
_SCALES = {CostUnit.KWH: 1_000, CostUnit.HOUR: _HOUR_S, CostUnit.IDLE_HOUR: _HOUR_S}
"""How many of what is counted (Wh, seconds) make one of the unit."""


class Prices(Protocol):
    """Imported prices."""

    def at(self, tariff_id: UUID, instant: datetime) -> tuple[int, datetime] | None:
        """(millionths for a kWh, until when), None where there is no price."""
        ...

    def next_start(self, tariff_id: UUID, instant: datetime) -> datetime | None:
        """When the next price after the instant begins; None when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as it is priced. `parts` lie within its time and add up to its energy; `idle_from` is None where no idle time is known.

    `energy_wh` None: unknown. `held`: when the portal held it back, in order; such time is not idle.
    """

    started_at: datetime
    ended_at: datetime
    energy_wh: int | None
    connected_s: int
    parts: Sequence[Part]
    idle_from: datetime | None = None
    held: Sequence[tuple[datetime, datetime]] = ()

    def idle(self) -> Iterator[Part]:
        """The seconds of its idle time, in order."""
        if self.idle_from is None:
            return
        at = self.idle_from
        for since, until in (*self.held, (self.ended_at, self.ended_at)):
            border = min(since, self.ended_at)
            if at < border:
                yield _span(at, border, self._passed_s(border) - self._passed_s(at))
            at = max(at, until)

    def held_s(self, since: datetime, until: datetime) -> int:
        """The seconds in that time in which it would have been idle had the portal not held it back."""
        at = max(since, self.idle_from or self.ended_at)
        end, held_s = min(until, self.ended_at), 0.0
        for start, stop in self.held:
            first, last = max(start, at), min(stop, end)
            held_s += max(0.0, (last - first).total_seconds())
            at = max(at, last)
        return round(held_s)

    def _passed_s(self, at: datetime) -> int:
        return round((at - (self.idle_from or at)).total_seconds())


@dataclass(frozen=True, slots=True)
class LineText:
    """What a line says, in whatever language it is asked for; `held_minutes` is why there is less idle time than the clock would say."""

    part: TariffPart
    tariff: str
    day: date
    held_minutes: int = 0

    def worded(self, words: Words) -> str:
        """The text of the line in that language."""
        said: dict[str, object] = {"what": part_text(self.part, words), "day": self.day, "tariff": self.tariff}
        if self.part.unit is CostUnit.MONTH:
            return words("{what} for {day:%Y-%m} ({tariff})", **said)
        if self.held_minutes:
            held = f"{self.held_minutes // 60}:{self.held_minutes % 60:02}"
            return words("{what} on {day}, without {held} h in which it was held back ({tariff})", held=held, **said)
        return words("{what} on {day} ({tariff})", **said)


@dataclass(frozen=True, slots=True)
class CostLine:
    """One part of a tariff on one local day. Money in minor units; `unit_price_micro` is without VAT, the mean where prices changed.

    `at` is where the line stands in time: the beginning of the day, or of the charge on its first.
    """

    day: date
    at: datetime
    unit: CostUnit
    said: LineText
    quantity: Decimal
    unit_price_micro: int
    vat_micro: int
    net_minor: int
    vat_minor: int
    currency: str

    @property
    def text(self) -> str:
        """What the line says, in English."""
        return self.said.worded(english)

    @property
    def total_minor(self) -> int:
        """Net and VAT."""
        return self.net_minor + self.vat_minor

    @property
    def amount(self) -> Money:
        """What is to be paid: net and VAT."""
        return money(self.total_minor, self.currency)

    @property
    def net_amount(self) -> Money:
        """Quantity by unit price."""
        return money(self.net_minor, self.currency)

    @property
    def vat_amount(self) -> Money:
        """The VAT on it."""
        return money(self.vat_minor, self.currency)

    @property
    def unit_price(self) -> Money:
        """Without VAT."""
        return price(self.unit_price_micro, self.currency)

    @property
    def vat_percent(self) -> Decimal:
        """The rate."""
        return decimal_of(self.vat_micro)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a charge costs: the sum of its lines. `unknown_because` says in words why that is not known; then there are no lines."""

    lines: tuple[CostLine, ...]
    currency: str
    unknown_because: str | None = None
    unknown_said: Said | None = field(default=None, compare=False)
    """The same for people of any language."""

    @property
    def total(self) -> Money | None:
        """Net and VAT; None when it is not known."""
        if self.unknown_because is not None:
            return None
        return money(sum(line.total_minor for line in self.lines), self.currency)


class _UnknownError(Exception):
    """The cost cannot be known; `said` says why."""

    def __init__(self, said: Said) -> None:
        super().__init__(said)
        self.said = said


TermsOn = Callable[[date], TariffTerms | None]
"""The tariff that holds for whoever charged, on a local day."""


def has_idle(started_at: datetime, ended_at: datetime, terms_on: TermsOn, calendar: Calendar) -> bool:
    """Whether idle time costs something on one of the days of a charge."""
    held = (terms_on(day) for day in calendar.days(started_at, ended_at))
    return any(terms is not None and terms.numbered(CostUnit.IDLE_HOUR) for terms in held)


def needs_parts(started_at: datetime, ended_at: datetime, terms_on: TermsOn, calendar: Calendar) -> bool:
    """Whether it matters for the cost of a charge when in this time the energy was taken."""
    days = calendar.days(started_at, ended_at)
    held = [terms for terms in map(terms_on, days) if terms is not None]
    if any(terms.numbered(CostUnit.IDLE_HOUR) for terms in held):
        return True
    energy = [terms.numbered(CostUnit.KWH) for terms in held]
    if not any(energy):
        return False
    return len(days) > 1 or any(
        len(numbered) > 1 or numbered[0][1].price_micro is None for numbered in energy if numbered
    )


def cost_of(charge: Charge, terms_on: TermsOn, prices: Prices, calendar: Calendar, currency: str) -> Cost | None:
    """What the charge costs; None where no tariff holds on any of its days."""
    days = calendar.days(charge.started_at, charge.ended_at)
    held = [terms for terms in map(terms_on, days) if terms is not None]
    if not held:
        return None
    bill = _Bill(charge, terms_on, prices, calendar)
    try:
        if charge.energy_wh is None and any(terms.numbered(CostUnit.KWH) for terms in held):
            raise _UnknownError(Said("How much energy was taken is not known.", {}))
        bill.spread(CostUnit.KWH, charge.parts)
        bill.spread(CostUnit.HOUR, [_span(charge.started_at, charge.ended_at, charge.connected_s)])
        bill.spread(CostUnit.IDLE_HOUR, charge.idle())
        bill.once(CostUnit.SESSION)
    except _UnknownError as error:
        return Cost((), currency, error.said.worded(english), error.said)
    return Cost(tuple(bill.lines(currency)), currency)


def monthly_fee(terms: TariffTerms, day: date, at: datetime, currency: str) -> CostLine | None:
    """The line of the month that begins with that day; None when the tariff has none."""
    for place, part in terms.numbered(CostUnit.MONTH):
        entry = _Entry(terms, place)
        entry.add(1, (part.price_micro or 0) + part.surcharge_micro)
        return entry.line(at, currency, LineText(part, terms.name, day))
    return None


def _span(start: datetime, end: datetime, seconds: int) -> Part:
    return Part(start, end, seconds, IntervalQuality.MEASURED)


@dataclass(slots=True)
class _Entry:
    """A line while it is added up: how much was counted, and the sum of each amount by its price."""

    terms: TariffTerms
    place: int
    counted: int = 0
    weighted: int = 0
    prices: set[int] = field(default_factory=set)

    def add(self, counted: int, price_micro: int) -> None:
        self.counted += counted
        self.weighted += counted * price_micro
        self.prices.add(price_micro)

    def line(self, at: datetime, currency: str, said: LineText) -> CostLine:
        unit = self.terms.parts[self.place].unit
        scale, minor = _SCALES.get(unit, 1), 10 ** minor_digits(currency)
        unit_price = self.prices.copy().pop() if len(self.prices) == 1 else half_even(self.weighted, self.counted)
        return CostLine(
            day=said.day,
            at=at,
            unit=unit,
            said=said,
            quantity=kwh(self.counted) if unit is CostUnit.KWH else decimal_of(half_even(self.counted * MICRO, scale)),
            unit_price_micro=unit_price,
            vat_micro=self.terms.vat_micro,
            net_minor=half_even(self.weighted * minor, scale * MICRO),
            vat_minor=half_even(self.weighted * minor * self.terms.vat_micro, scale * MICRO * 100 * MICRO),
            currency=currency,
        )


class _Bill:
    """The entries of one charge by day and part."""

    def __init__(self, charge: Charge, terms_on: TermsOn, prices: Prices, calendar: Calendar) -> None:
        self._charge = charge
        self.terms_on = terms_on
        self.prices = prices
        self.calendar = calendar
        self._entries: dict[tuple[date, int], _Entry] = {}

    def spread(self, unit: CostUnit, parts: Iterable[Part]) -> None:
        """What the parts hold (Wh, or seconds) is in the entries of that unit, cut in proportion to time wherever the price changes."""
        walk = _Walk(self, unit, self._charge.started_at)
        for part in parts:
            at = part.start_at
            while part.energy_wh:
                if at >= walk.ends:
                    walk.reach(at)
                until = min(walk.ends, part.end_at)
                if walk.entry is not None:
                    walk.entry.add(_within(part, at, until), walk.price_micro)
                elif walk.missing is not None and _within(part, at, until):
                    raise _UnknownError(walk.missing)
                if until >= part.end_at:
                    break
                at = until

    def segments(self, day: date, unit: CostUnit) -> Sequence[Segment]:
        """What holds over the day for the unit."""
        terms = self.terms_on(day)
        if terms is None:
            return [(self.calendar.start(day), self.calendar.end(day), None)]
        return self.calendar.schedule(terms, unit, day)

    def once(self, unit: CostUnit) -> None:
        """One of the unit is in the entries of the charge's beginning."""
        at = self._charge.started_at
        day = self.calendar.day_of(at)
        place = next((place for start, end, place in self.segments(day, unit) if start <= at < end), None)
        terms = self.terms_on(day)
        if place is not None and terms is not None:
            rule = terms.parts[place]
            self.entry(day, terms, place).add(1, (rule.price_micro or 0) + rule.surcharge_micro)

    def entry(self, day: date, terms: TariffTerms, place: int) -> _Entry:
        """The line of that part and day."""
        entry = self._entries.get((day, place))
        if entry is None:
            entry = self._entries[day, place] = _Entry(terms, place)
        return entry

    def lines(self, currency: str) -> Iterable[CostLine]:
        """By day, then in the order of the tariff's parts."""
        for (day, place), entry in sorted(self._entries.items(), key=lambda item: item[0]):
            if entry.counted == 0:
                continue
            at = max(self.calendar.start(day), self._charge.started_at)
            part = entry.terms.parts[place]
            said = LineText(
                part, entry.terms.name, day, self._held_minutes(day) if part.unit is CostUnit.IDLE_HOUR else 0
            )
            yield entry.line(at, currency, said)

    def _held_minutes(self, day: date) -> int:
        return self._charge.held_s(self.calendar.start(day), self.calendar.end(day)) // 60


class _Walk:
    """Where a charge is in time: until `ends` all has one price, or none.

    `entry` is the line of the present part, None where the unit costs nothing and where `missing` says which price there is not.
    """

    def __init__(self, bill: _Bill, unit: CostUnit, at: datetime) -> None:
        self._bill = bill
        self._unit = unit
        self._day = bill.calendar.day_of(at)
        self._segments = bill.segments(self._day, unit)
        self._number = 0
        self.ends = self._segments[0][0]
        self.entry: _Entry | None = None
        self.price_micro = 0
        self.missing: Said | None = None

    def reach(self, at: datetime) -> None:
        """The walk is at that instant, which is not before where it was."""
        while at >= self._segments[self._number][1]:
            self._number += 1
            if self._number == len(self._segments):
                self._day, self._number = self._bill.calendar.day_of(at), 0
                self._segments = self._bill.segments(self._day, self._unit)
        _, self.ends, place = self._segments[self._number]
        self.entry = self.missing = None
        terms = self._bill.terms_on(self._day)
        if place is not None and terms is not None:
            self._price(terms, place, at)

    def _price(self, terms: TariffTerms, place: int, at: datetime) -> None:
        part = terms.parts[place]
        price_micro = part.price_micro
        if price_micro is None:
            found = self._bill.prices.at(terms.id, at)
            border = self._bill.prices.next_start(terms.id, at) if found is None else found[1]
            self.ends = self.ends if border is None else min(self.ends, border)
            if found is None:
                local = at.astimezone(self._bill.calendar.zone)
                at_text = f"{local:%Y-%m-%d %H:%M}"
                self.missing = Said(
                    "The tariff {tariff} has no price for {at}: import it.", {"tariff": terms.name, "at": at_text}
                )
                return
            price_micro = found[0]
        self.price_micro = price_micro + part.surcharge_micro
        self.entry = self._bill.entry(self._day, terms, place)


def _within(part: Part, since: datetime, until: datetime) -> int:
    """What the part holds in [since, until), which lies within it; all of it when it is one instant."""
    if since <= part.start_at and part.end_at <= until:
        return part.energy_wh
    return energy_until(part, until) - energy_until(part, since)
