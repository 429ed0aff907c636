"""Lines of a bill: exact, and on the right side of every border."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.charging.energy_intervals import Part, intervals
from domain.pricing.calendar import Calendar
from domain.pricing.lines import Charge, Cost, CostLine, cost_of, monthly_fee, needs_parts
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart, TariffTerms
from domain.roles import CostUnit, IntervalQuality, Weekday
from domain.usage.interval_cuts import clipped

OSLO = ZoneInfo("Europe/Oslo")
KWH, HOUR, IDLE_HOUR, SESSION, MONTH = CostUnit
ID = UUID(int=7)
NIGHT = TariffPart(KWH, MICRO // 2, 0, (), time(22), time(6))
DAY = TariffPart(KWH, 2 * MICRO, 0, (), time(6), time(22))
QUARTER = timedelta(minutes=15)


class Listed:
    """Prices from a list of (start, end, millionths)."""

    def __init__(self, *prices: tuple[datetime, datetime, int]) -> None:
        self._prices = prices

    def at(self, tariff_id: UUID, instant: datetime) -> tuple[int, datetime] | None:
        return next(((micro, end) for start, end, micro in self._prices if start <= instant < end), None)

    def next_start(self, tariff_id: UUID, instant: datetime) -> datetime | None:
        return min((start for start, _, _ in self._prices if start > instant), default=None)


def terms(*parts: TariffPart, vat: int = 0) -> TariffTerms:
    return TariffTerms(ID, "Spot", vat * MICRO, parts)


def at(text: str) -> datetime:
    """By Oslo's clock."""
    return datetime.fromisoformat(text).replace(tzinfo=OSLO).astimezone(UTC)


def charge(since: datetime, until: datetime, energy_wh: int | None, **more: object) -> Charge:
    given = {
        "connected_s": int((until - since).total_seconds()),
        "parts": intervals(since, until, energy_wh or 0, ()),
        **more,
    }
    return Charge(since, until, energy_wh, **given)  # type: ignore[arg-type]  # fields by name


def cost(one: Charge, tariff: TariffTerms | None, prices: Listed | None = None, currency: str = "NOK") -> Cost | None:
    return cost_of(one, lambda _day: tariff, prices or Listed(), Calendar(OSLO), currency)


def lines(one: Charge, tariff: TariffTerms, prices: Listed | None = None, currency: str = "NOK") -> Sequence[CostLine]:
    found = cost(one, tariff, prices, currency)
    assert found is not None
    assert found.unknown_because is None
    return found.lines


def shown(found: Sequence[CostLine]) -> list[tuple[str, str, int, int]]:
    return [(str(one.day), str(one.quantity), one.net_minor, one.vat_minor) for one in found]


def test_each_part_and_day_is_a_line_rounded_once() -> None:
    """9 kWh from 21:00 to 00:30: the hours until 22 at 2.00, the rest at 0.50, the last of it on the next day."""
    found = lines(charge(at("2026-02-03T21:00"), at("2026-02-04T00:30"), 9_001), terms(NIGHT, DAY, vat=25))
    assert shown(found) == [
        ("2026-02-03", "5.144", 257, 64),
        ("2026-02-03", "2.572", 514, 129),
        ("2026-02-04", "1.285", 64, 16),
    ]
    assert [one.text for one in found] == [
        "Energy 22:00 to 06:00 on 2026-02-03 (Spot)",
        "Energy 06:00 to 22:00 on 2026-02-03 (Spot)",
        "Energy 22:00 to 06:00 on 2026-02-04 (Spot)",
    ]
    assert [one.at for one in found] == [at("2026-02-03T21:00"), at("2026-02-03T21:00"), at("2026-02-04T00:00")]


def test_a_night_in_which_the_clock_changes_is_an_hour_shorter_or_longer() -> None:
    """A kWh an hour over the night of the change: 7 hours of night in spring, 9 in autumn."""
    for day, hours in (("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-06", 8)):
        since = at(f"{day}T22:00")
        found = lines(charge(since, since + timedelta(hours=hours), hours * 1_000), terms(NIGHT, DAY))
        assert sum(one.quantity for one in found) == hours
        assert {one.unit_price_micro for one in found} == {MICRO // 2}


def test_the_hour_that_is_there_twice_has_its_price_twice() -> None:
    """Sunday from 02:00 to 03:00 has two hours in autumn, and none in spring."""
    part = TariffPart(HOUR, 10 * MICRO, 0, (Weekday.SUNDAY,), time(2), time(3))
    free = [
        TariffPart(HOUR, 0, 0, (Weekday.SUNDAY,), None, time(2)),
        TariffPart(HOUR, 0, 0, (Weekday.SUNDAY,), time(3), None),
        TariffPart(HOUR, 0, 0, tuple(Weekday)[:6]),
    ]
    for day, amount in (("2026-03-29", 0), ("2026-10-25", 2_000), ("2026-06-07", 1_000)):
        one = charge(at(f"{day}T00:00"), at(f"{day}T05:00"), 0)
        assert sum(line.net_minor for line in lines(one, terms(part, *free))) == amount


def test_energy_that_is_measured_is_priced_when_it_was_taken() -> None:
    """All of it before 22:00 although the car stayed until midnight; an interval across the border is split in proportion."""
    since, until = at("2026-02-03T21:00"), at("2026-02-04T00:00")
    parts = [
        Part(since, since + timedelta(minutes=50), 5_000, IntervalQuality.MEASURED),
        Part(since + timedelta(minutes=50), since + timedelta(minutes=65), 301, IntervalQuality.MEASURED),
        Part(since + timedelta(minutes=65), until, 0, IntervalQuality.MEASURED),
    ]
    found = lines(charge(since, until, 5_301, parts=parts), terms(NIGHT, DAY))
    assert [(str(one.quantity), one.unit_price_micro) for one in found] == [("0.100", MICRO // 2), ("5.201", 2 * MICRO)]


def test_time_is_paid_by_the_second_and_shown_in_hours() -> None:
    """Connected time, idle time after the last energy, a fee for the charge on its first day."""
    since, until = at("2026-02-03T23:40"), at("2026-02-04T01:00")
    tariff = terms(TariffPart(HOUR, 30 * MICRO), TariffPart(IDLE_HOUR, 60 * MICRO), TariffPart(SESSION, 5 * MICRO))
    found = lines(charge(since, until, 1, idle_from=at("2026-02-04T00:10")), tariff)
    assert [(str(one.day), one.unit, str(one.quantity), one.net_minor) for one in found] == [
        ("2026-02-03", HOUR, "0.333333", 1_000),
        ("2026-02-03", SESSION, "1", 500),
        ("2026-02-04", HOUR, "1", 3_000),
        ("2026-02-04", IDLE_HOUR, "0.833333", 5_000),
    ]


def test_imported_prices_are_those_of_the_time_with_the_surcharge() -> None:
    """One line a day, at the mean price; negative prices pay back."""
    since = at("2026-02-03T10:00")
    hours = [since + timedelta(hours=n) for n in range(3)]
    prices = Listed((hours[0], hours[1], MICRO), (hours[1], hours[2], -4 * MICRO))
    (line,) = lines(charge(since, hours[2], 2_000), terms(TariffPart(KWH, None, 100_000), vat=25), prices)
    assert (str(line.quantity), line.unit_price_micro, line.net_minor, line.vat_minor) == (
        "2.000",
        -1_400_000,
        -280,
        -70,
    )
    assert format(line.amount.amount, "f") == "-3.50"


def test_a_price_that_is_missing_makes_the_cost_unknown_and_never_wrong() -> None:
    """Where energy was taken; before and after nobody misses it."""
    since = at("2026-02-03T10:00")
    tariff = terms(TariffPart(KWH, None))
    listed = Listed((since, since + timedelta(hours=1), MICRO))
    found = cost(charge(since, since + timedelta(hours=2), 2_000), tariff, listed)
    assert found == Cost((), "NOK", "The tariff Spot has no price for 2026-02-03 11:00: import it.")
    assert found.total is None
    idle = [
        *intervals(since, since + timedelta(hours=1), 500, ()),
        Part(since + timedelta(hours=1), since + timedelta(hours=2), 0, IntervalQuality.MEASURED),
    ]
    known = cost(charge(since, since + timedelta(hours=2), 500, parts=idle), tariff, listed)
    assert known is not None
    assert known.total is not None
    assert known.total.amount == Decimal("0.50")


def test_energy_that_is_not_known_has_no_cost_where_energy_is_paid_for() -> None:
    """Where only time is, it does."""
    one = charge(at("2026-02-03T10:00"), at("2026-02-03T11:00"), None)
    found = cost(one, terms(DAY, NIGHT))
    assert found is not None
    assert found.unknown_because == "How much energy was taken is not known."
    assert [line.net_minor for line in lines(one, terms(TariffPart(HOUR, MICRO)))] == [100]


def test_where_no_tariff_holds_there_is_no_cost_and_on_some_days_part_of_it() -> None:
    """The tariff is that of each day."""
    one = charge(at("2026-02-28T22:00"), at("2026-03-01T02:00"), 4_000)
    assert cost(one, None) is None
    march = terms(TariffPart(KWH, MICRO), TariffPart(SESSION, MICRO))
    found = cost_of(one, lambda day: march if day >= date(2026, 3, 1) else None, Listed(), Calendar(OSLO), "NOK")
    assert found is not None
    assert shown(found.lines) == [("2026-03-01", "2.000", 200, 0)]


@pytest.mark.parametrize(
    ("currency", "net", "text"), [("JPY", 12, "12"), ("NOK", 1_234, "12.34"), ("KWD", 12_345, "12.345")]
)
def test_amounts_have_the_smallest_unit_of_their_currency(currency: str, net: int, text: str) -> None:
    """None, two or three decimals."""
    (line,) = lines(
        charge(at("2026-02-03T10:00"), at("2026-02-03T11:00"), 12_345), terms(TariffPart(KWH, MICRO)), currency=currency
    )
    assert line.net_minor == net
    assert format(line.amount.amount, "f") == text


def test_halves_go_to_the_even_unit_in_net_and_vat_each() -> None:
    """0.125 is 0.12 and 0.375 is 0.38; the VAT is of the exact amount."""
    for energy, net, vat in ((125, 12, 3), (375, 38, 9), (-125, -12, -3)):
        tariff = terms(TariffPart(KWH, 0, MICRO if energy > 0 else -MICRO), vat=25)
        (line,) = lines(charge(at("2026-02-03T10:00"), at("2026-02-03T10:10"), abs(energy)), tariff)
        assert (line.net_minor, line.vat_minor) == (net, vat)


def test_a_charge_at_one_instant_has_all_of_it_there() -> None:
    """As imported history without an end, and charges with a wrong clock."""
    when = at("2026-02-03T22:00")
    whole = [Part(when, when, 3_000, IntervalQuality.ESTIMATED)]
    found = lines(Charge(when, when, 3_000, 7_200, whole), terms(NIGHT, DAY, TariffPart(HOUR, MICRO)))
    assert [(str(one.quantity), one.net_minor) for one in found] == [("3.000", 150), ("2", 200)]


def test_parts_matter_only_where_the_price_changes() -> None:
    """Within a day of one price nobody needs to know when."""
    flat = terms(TariffPart(KWH, MICRO))
    calendar = Calendar(OSLO)
    day, two = (charge(at("2026-02-03T10:00"), at(until), 1) for until in ("2026-02-04T00:00", "2026-02-04T00:01"))
    for one, tariff, needed in (
        (day, flat, False),
        (two, flat, True),
        (day, terms(NIGHT, DAY), True),
        (day, terms(TariffPart(KWH, None)), True),
        (two, terms(TariffPart(HOUR, MICRO)), False),
        (day, terms(TariffPart(KWH, MICRO), TariffPart(IDLE_HOUR, MICRO)), True),
    ):
        assert needs_parts(one.started_at, one.ended_at, lambda _day, tariff=tariff: tariff, calendar) is needed  # type: ignore[misc]  # bound now


def test_the_monthly_fee_is_a_line_of_its_own() -> None:
    """None where the tariff has none."""
    when = at("2026-02-01T00:00")
    line = monthly_fee(terms(TariffPart(MONTH, 99 * MICRO), vat=25), date(2026, 2, 1), when, "NOK")
    assert line is not None
    assert (line.text, line.net_minor, line.vat_minor, line.at) == (
        "Monthly fee for 2026-02 (Spot)",
        9_900,
        2_475,
        when,
    )
    assert monthly_fee(terms(DAY, NIGHT), date(2026, 2, 1), when, "NOK") is None


@given(
    energy=st.integers(0, 200_000),
    start=st.integers(0, 400 * 86_400),
    length=st.integers(0, 4 * 86_400),
    night=st.integers(0, 5 * MICRO),
    day=st.integers(0, 5 * MICRO),
    vat=st.sampled_from((0, 12, 25)),
)
def test_energy_and_money_agree_with_a_count_by_the_second(
    energy: int, start: int, length: int, night: int, day: int, vat: int
) -> None:
    """Whatever the charge: the quantities add up to its energy, and each line is its quantity by its price, rounded half-even."""
    since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    one = charge(since, since + timedelta(seconds=length), energy)
    tariff = terms(
        TariffPart(KWH, night, 0, (), time(22), time(6)), TariffPart(KWH, day, 0, (), time(6), time(22)), vat=vat
    )
    found = lines(one, tariff)
    assert sum(line.quantity for line in found) * 1_000 == energy
    for line in found:
        exact = line.quantity * line.unit_price_micro / MICRO * 100
        assert line.net_minor == int(exact.quantize(Decimal(1), "ROUND_HALF_EVEN"))
        assert line.vat_minor == int((exact * vat / 100).quantize(Decimal(1), "ROUND_HALF_EVEN"))
    if length:
        by_night = sum(
            part.energy_wh
            for part in one.parts
            if (local := part.start_at.astimezone(OSLO)).hour >= 22 or local.hour < 6
        )
        # All borders are at whole quarters, so that only parts which a border cuts could differ: none is.
        assert sum(line.quantity for line in found if line.text.startswith("Energy 22")) * 1_000 == by_night


@given(
    energy=st.integers(0, 100_000),
    start=st.integers(0, 400 * 86_400),
    length=st.integers(0, 6 * 86_400),
    night=st.integers(0, 5 * MICRO),
)
def test_the_lines_before_a_local_midnight_hold_the_energy_before_it(
    energy: int, start: int, length: int, night: int
) -> None:
    """So that a report until then and one from then on are the whole, in Wh and in money: no line is on both sides."""
    since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    one = charge(since, since + timedelta(seconds=length), energy)
    parts = (
        TariffPart(KWH, night, 0, (), time(22), time(6)),
        TariffPart(KWH, 7, 0, (), time(6), time(22)),
        TariffPart(HOUR, night),
        TariffPart(SESSION, night),
    )
    found, calendar = lines(one, terms(*parts)), Calendar(OSLO)
    for day in [*calendar.days(one.started_at, one.ended_at), date(2030, 1, 1)]:
        midnight = calendar.start(day)
        before = [line for line in found if line.at < midnight]
        assert before == [line for line in found if line.day < day]
        taken = sum(part.energy_wh for part in clipped(one.parts, since - timedelta(days=1), midnight))
        assert sum(line.quantity for line in before if line.unit is KWH) * 1_000 == taken


def test_the_example_of_the_documents_is_right() -> None:
    """Its table, its total, and what is March's and April's."""
    text = (Path(__file__).parents[3] / "docs/reports.md").read_text(encoding="utf-8")
    example = text.split("### Example")[1].split("\n## ")[0]
    begin, full, end = at("2026-03-31T21:00"), at("2026-04-01T01:30"), at("2026-04-01T07:30")
    hours = [(begin, at("2026-03-31T22:00"), 9_000), (at("2026-03-31T22:00"), at("2026-04-01T00:00"), 18_000)]
    taken = [*hours, (at("2026-04-01T00:00"), full, 12_345)]
    parts = [Part(since, until, energy, IntervalQuality.MEASURED) for since, until, energy in taken]
    garage = terms(
        TariffPart(KWH, 1_500_000, 0, (), time(6), time(22)),
        TariffPart(KWH, 900_000, 0, (), time(22), time(6)),
        TariffPart(SESSION, 2 * MICRO),
        TariffPart(IDLE_HOUR, 3 * MICRO),
        TariffPart(MONTH, 49 * MICRO),
        vat=25,
    )
    found = lines(charge(begin, end, 39_345, parts=parts, idle_from=full), garage)
    table = [
        f"| {one.day} | {one.text.split(' on ')[0]} | {one.quantity} | {one.unit_price.amount} | {one.net_amount.amount}"
        f" | {one.vat_amount.amount} | {one.amount.amount} |"
        for one in found
    ]
    assert [row for row in example.splitlines() if row.startswith("| 2026")] == table
    by_month = Counter[int]()
    for one in found:
        by_month[one.day.month] += one.total_minor
    fee = monthly_fee(garage, date(2026, 4, 1), at("2026-04-01T00:00"), "NOK")
    assert fee is not None
    assert (by_month, fee.total_minor) == ({3: 3_963, 4: 3_639}, 6_125)
    for words in ("That is 76.02.", "39.63 is March's and 36.39 April's", "61.25 with VAT"):
        assert words in example
