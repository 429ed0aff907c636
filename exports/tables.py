"""What is in which column of a file, as data: a new column is a line here."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from domain.periods import TIME_DIMENSIONS, Period
from domain.reporting.report_documents import Content, CorrectionLine
from domain.roles import DateQuality, ReportBasis, UsageDimension
from domain.units import kwh
from domain.usage.question import NOT_IDENTIFIED, EmptyReason, EmptyUsage, Usage, UsageRow, UsageSummary
from domain.usage.sessions import CountedSession
from domain.views.report_views import LockedReportRow
from domain.wording import Words, english
from exports.words import NORWEGIAN_LANGUAGES

Cell = str | int | Decimal | datetime | date | None
"""Instants are local and without zone by now, as spreadsheets know no zones."""


_COMMA_LANGUAGES = frozenset({"nb", "nn", "no", "da", "sv", "fi", "de", "nl", "fr", "es", "it", "pt", "pl", "cs"})


def has_decimal_comma(language: str) -> bool:
    """Whether its people write a comma before decimals; its spreadsheets then want semicolons between columns."""
    return language in _COMMA_LANGUAGES


class Kind(StrEnum):
    """How a column's values look."""

    TEXT = "text"
    COUNT = "count"
    KWH = "kwh"
    HOURS = "hours"
    INSTANT = "instant"
    DATE = "date"
    MONEY = "money"
    PRICE = "price"


@dataclass(frozen=True, slots=True)
class Column:
    """A heading per language, a width in characters, and how values look."""

    heading: str
    norwegian: str
    kind: Kind = Kind.TEXT
    width: int = 16
    is_printed: bool = True
    """False for what programs and spreadsheets need, and paper does not."""

    def heading_in(self, language: str) -> str:
        """The heading for people of that language; English where there is none."""
        return self.norwegian if language in NORWEGIAN_LANGUAGES else self.heading


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beside a table: (label, value) in the order in which they stand; `is_time` when that is the order of time."""

    heading: str
    norwegian: str
    points: tuple[tuple[str, Decimal], ...]
    is_time: bool = False

    def heading_in(self, language: str) -> str:
        """The heading for people of that language; English where there is none."""
        return self.norwegian if language in NORWEGIAN_LANGUAGES else self.heading


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with what stands above it and, where it has one, the chart beside it.

    `name` is the same in every language, for programs that look for it, and has at most 24 signs; `title` is for people.
    """

    name: str
    title: str
    heading: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    chart: Chart | None = None


_UTC = ZoneInfo("UTC")
_HOUR_S = Decimal(3600)
_HUNDREDTH = Decimal("0.01")
_MOST_BARS = 30
_MOST_COLUMNS = 400
"""A year of days."""


def hours(seconds: int) -> Decimal:
    """Seconds as hours with two decimals."""
    return (Decimal(seconds) / _HOUR_S).quantize(_HUNDREDTH)


def local(instant: datetime | None, zone: ZoneInfo) -> datetime | None:
    """The wall clock's date and time, to the second."""
    return None if instant is None else instant.astimezone(zone).replace(tzinfo=None, microsecond=0)


_DIMENSIONS: Mapping[UsageDimension, Column] = {
    UsageDimension.CHARGER: Column("Charger", "Lader", width=24),
    UsageDimension.USER: Column("Person", "Person", width=28),
    UsageDimension.CHARGE_CARD: Column("Charge card", "Ladebrikke", width=20),
    UsageDimension.CIRCUIT: Column("Circuit", "Kurs", width=20),
    UsageDimension.INSTALLATION: Column("Installation", "Anlegg", width=28),
    UsageDimension.DAY: Column("Day", "Dag", width=12),
    UsageDimension.WEEK: Column("Week", "Uke", width=12),
    UsageDimension.MONTH: Column("Month", "Måned", width=12),
    UsageDimension.HOUR: Column("Hour", "Time", width=18),
}

_FIGURES: Sequence[tuple[Column, Callable[[Usage, ZoneInfo], Cell]]] = (
    (Column("Sessions", "Økter", Kind.COUNT, 10), lambda usage, _: usage.session_count),
    (Column("Energy (kWh)", "Energi (kWh)", Kind.KWH, 14), lambda usage, _: kwh(usage.energy_wh)),
    (Column("Connected (h)", "Tilkoblet (t)", Kind.HOURS, 14), lambda usage, _: hours(usage.connected_s)),
    (Column("Charging (h)", "Lading (t)", Kind.HOURS, 14), lambda usage, _: hours(usage.charging_s)),
    (Column("First session", "Første økt", Kind.INSTANT, 19), lambda usage, zone: local(usage.first_at, zone)),
    (Column("Last session", "Siste økt", Kind.INSTANT, 19), lambda usage, zone: local(usage.last_at, zone)),
    (Column("Offline sessions", "Frakoblede økter", Kind.COUNT, 16), lambda usage, _: usage.offline_count),
    (Column("Uncertain dates", "Usikre datoer", Kind.COUNT, 16), lambda usage, _: usage.unreliable_count),
)

Figures = Sequence[tuple[Column, Callable[[Usage, ZoneInfo], Cell]]]


def figures_of(*totals: Usage) -> Figures:
    """The columns of figures: where there are costs, also theirs, for each currency that is in these totals."""
    currencies = sorted({one.currency for total in totals for one in total.costs.sums})
    found = [*_FIGURES]
    for currency in currencies:
        found.append((Column(f"Cost ({currency})", f"Kostnad ({currency})", Kind.MONEY, 16), _cost_in(currency)))
        found.append((Column(f"VAT in it ({currency})", f"herav mva ({currency})", Kind.MONEY, 16), _vat_in(currency)))
    if any(total.costs.unknown_count for total in totals):
        found.append((UNKNOWN_COST, lambda usage, _: usage.costs.unknown_count))
    return found


UNKNOWN_COST = Column("Sessions of unknown cost", "Økter med ukjent kostnad", Kind.COUNT, 16)
"""For want of a price, say; the costs are without them."""


def _cost_in(currency: str) -> Callable[[Usage, ZoneInfo], Cell]:
    return lambda usage, _: next((one.total.amount for one in usage.costs.sums if one.currency == currency), None)


def _vat_in(currency: str) -> Callable[[Usage, ZoneInfo], Cell]:
    return lambda usage, _: next((one.vat.amount for one in usage.costs.sums if one.currency == currency), None)


_QUALITIES = {DateQuality.EXACT: "", DateQuality.OFFLINE: "Offline", DateQuality.UNRELIABLE: "Date uncertain"}

_SESSION: Sequence[tuple[Column, Callable[[CountedSession, ZoneInfo], Cell]]] = (
    (Column("Installation", "Anlegg", width=28), lambda one, _: one.session.installation_name),
    (Column("Charger", "Lader", width=24), lambda one, _: one.session.charger_name),
    (Column("Person", "Person", width=28), lambda one, _: one.session.user_name),
    (Column("Charge card", "Ladebrikke", width=20), lambda one, _: one.session.card_name),
    (Column("Started", "Startet", Kind.INSTANT, 19), lambda one, zone: local(one.session.started_at, zone)),
    (Column("Ended", "Avsluttet", Kind.INSTANT, 19), lambda one, zone: local(one.session.ended_at, zone)),
    (
        Column("Registered", "Registrert", Kind.INSTANT, 19, is_printed=False),
        lambda one, zone: local(one.session.registered_at, zone),
    ),
    (Column("Energy (kWh)", "Energi (kWh)", Kind.KWH, 14), lambda one, _: kwh(one.energy_wh)),
    (Column("Connected (h)", "Tilkoblet (t)", Kind.HOURS, 14), lambda one, _: hours(one.session.connected_seconds)),
    (Column("Charging (h)", "Lading (t)", Kind.HOURS, 14), lambda one, _: hours(one.session.charging_seconds)),
    (Column("Date quality", "Datokvalitet", width=16), lambda *_: ""),
    (
        Column("Flags", "Merker", width=24, is_printed=False),
        lambda one, _: ", ".join(flag.name or "" for flag in one.session.flags),
    ),
    (Column("Time zone", "Tidssone", width=18, is_printed=False), lambda _, zone: zone.key),
    (Column("Session", "Økt-id", width=38, is_printed=False), lambda one, _: str(one.session.id)),
)

_BASES = {
    ReportBasis.REGISTERED: "REGISTERED: whole sessions, dated by when the portal got their final record",
    ReportBasis.ENDED: "ENDED: whole sessions, dated by when they ended",
    ReportBasis.INTERVAL: "INTERVAL: the energy that was taken within the period",
}
STANDBY = (
    "Energy is what the vehicles took; chargers' own standby use (about 4 kWh per charger and month) is not in it."
)


LIVE = "None: live figures as of then, not a locked report"


@dataclass(frozen=True, slots=True)
class About:
    """What stands above the tables of a file beside what their summary says: who made it, and of which revision and person it is."""

    made_by: str
    words: Words = english
    locked: LockedReportRow | None = None
    person: str | None = None
    """It is their part only."""

    @property
    def revision(self) -> str:
        """How the locked report is known, where it is one."""
        report, words = self.locked, self.words
        if report is None:
            return words(LIVE)
        return words(
            "{revision}, locked {at} by {name}, SHA-256 {sha256}",
            revision=report.revision,
            at=f"{report.locked_at.astimezone(report.period.zone):%Y-%m-%d %H:%M}",
            name=report.locked_by or words("somebody"),
            sha256=report.sha256,
        )


def summary_heading(summary: UsageSummary, about: About) -> tuple[tuple[str, str], ...]:
    """What stands above a summary: whose it is, of when, by what rule, and how complete."""
    period, question, words = summary.period, summary.question, about.words
    whose = ", ".join(summary.installation_names)
    if question.installation_ids is None:
        whose = words("Charging of {name}", name=about.made_by)
    silent = len(summary.coverage.silent)
    covered = words("All chargers have delivered their sessions")
    if silent:
        covered = words(
            "{count} chargers have been silent since before the period ended; sessions of theirs may come later",
            count=silent,
        )
    made_at = f"{summary.made_at.astimezone(period.zone):%Y-%m-%d %H:%M}"
    lines = (
        ("Installation", whose or words("None")),
        *((("Person", about.person),) if about.person is not None else ()),
        ("Period", words("{first} up to but not including {after}", first=period.from_date, after=period.to_date)),
        ("Time zone", period.zone.key),
        ("Basis", words(_BASES[question.basis])),
        ("Made", words("{at} by {name}", at=made_at, name=about.made_by)),
        ("Revision", about.revision),
        ("Coverage", covered),
        *_unknown_costs(summary, words),
        *((("Note", _why_empty(summary, summary.empty_because, words)),) if summary.empty_because else ()),
        ("Note", words(STANDBY)),
    )
    return tuple((words(name), text) for name, text in lines)


def history_heading(about: About, at: datetime) -> tuple[tuple[str, str], ...]:
    """What stands above sessions of no summary."""
    words = about.words
    return (
        (words("Charge sessions"), words("as far as they may be seen")),
        (words("Made"), words("{at} UTC by {name}", at=f"{at:%Y-%m-%d %H:%M}", name=about.made_by)),
    )


def _why_empty(summary: UsageSummary, empty: EmptyUsage, words: Words) -> str:
    """The reason in the language of the file; where it names an instant that is not there, as it was told."""
    if empty.reason is EmptyReason.NO_SESSIONS:
        return words("There are no ended sessions here yet.")
    if empty.reason is EmptyReason.FILTERED_OUT:
        return words("There are sessions in this period, but none that the filter lets through.")
    nearest_at = local(empty.nearest_session_at, summary.zone)
    if empty.reason is EmptyReason.NONE_IN_PERIOD and nearest_at is not None:
        return words("There are no sessions in this period; the nearest is of {day}.", day=nearest_at.date())
    silent = summary.covered.silent if summary.covered is not None else ()
    if empty.reason is EmptyReason.CHARGERS_OFFLINE and silent:
        since = f"{silent[0].since:%Y-%m-%d %H:%M}"
        return words("All chargers were silent before the period began, the longest since {at} UTC.", at=since)
    return empty.text


def labels_of(row: UsageRow, words: Words) -> list[str]:
    """What is shown for each dimension; what nobody is known for has a text of ours, the rest its own."""
    return [
        words(label) if part.id is None and part.bucket is None else label
        for part, label in zip(row.group, row.labels, strict=True)
    ]


def _unknown_costs(summary: UsageSummary, words: Words) -> tuple[tuple[str, str], ...]:
    """That there are charges without a cost, where there are."""
    count = summary.total.costs.unknown_count
    text = "What {count} sessions cost is not known, as for want of a price: costs are without them"
    return (("Note", words(text, count=count)),) if count else ()


def summary_sheet(summary: UsageSummary, about: About) -> Sheet:
    """The table of a summary's groups, with the energy of its first dimension as bars."""
    dimensions = tuple(_DIMENSIONS[dimension] for dimension in summary.question.group_by)
    columns = (*dimensions, *(column for column, _ in figures_of(summary.total)))
    return Sheet(
        "Summary", about.words("Summary"), summary_heading(summary, about), columns, _bars(summary, about.words)
    )


_PERIOD = Column("Period", "Periode", width=24)


def corrections_sheet(content: Content, about: About) -> Sheet:
    """The table of what a locked report corrects of earlier periods."""
    dimensions = tuple(_DIMENSIONS[dimension] for dimension in content.summary.question.group_by)
    columns = (_PERIOD, *dimensions, *(column for column, _ in _correction_figures(content)))
    return Sheet("Corrections", about.words("Corrections"), summary_heading(content.summary, about), columns)


def corrections_row(line: CorrectionLine, content: Content, words: Words) -> tuple[Cell, ...]:
    """One group of an earlier period; a stretch of time that the report groups by is left out."""
    row, zone = line.row, content.summary.zone
    labels = {part.dimension: label for part, label in zip(row.group, labels_of(row, words), strict=True)}
    shown = (labels.get(dimension) for dimension in content.summary.question.group_by)
    return (_period_text(line.period), *shown, *(read(row.usage, zone) for _, read in _correction_figures(content)))


def corrections_totals(content: Content, words: Words) -> tuple[Cell, ...]:
    """The line below."""
    blanks = len(content.summary.question.group_by)
    total, zone = content.correction_total, content.summary.zone
    return (words("Total"), *[None] * blanks, *(read(total, zone) for _, read in _correction_figures(content)))


def _correction_figures(content: Content) -> Figures:
    """Of a table that may be shared by a report and its corrections."""
    return figures_of(content.summary.total, content.correction_total)


def line_of(line: UsageRow | CorrectionLine, content: Content, words: Words) -> tuple[Cell, ...]:
    """A line of a table that a report and its corrections share."""
    return with_period(line, content, words) if isinstance(line, UsageRow) else corrections_row(line, content, words)


def with_period(row: UsageRow, content: Content, words: Words) -> tuple[Cell, ...]:
    """One group of the report itself, in a table that its corrections share."""
    figures, zone = _correction_figures(content), content.summary.zone
    return (
        _period_text(content.summary.period),
        *labels_of(row, words),
        *(read(row.usage, zone) for _, read in figures),
    )


def _period_text(period: Period) -> str:
    return f"{period.from_date}/{period.to_date}"


def hours_sheet(summary: UsageSummary, about: About) -> Sheet:
    """The table of the energy of each hour; the summary is by HOUR."""
    return Sheet("Hours", about.words("Hours"), summary_heading(summary, about), tuple(column for column, _ in _HOURS))


def hours_row(row: UsageRow, zone: ZoneInfo) -> tuple[Cell, ...]:
    """One hour."""
    return tuple(read(row, zone) for _, read in _HOURS)


def hours_totals(summary: UsageSummary, words: Words) -> tuple[Cell, ...]:
    """The line below: the same total that the API gives."""
    return (words("Total"), None, kwh(summary.total.energy_wh), None)


_HOURS: Sequence[tuple[Column, Callable[[UsageRow, ZoneInfo], Cell]]] = (
    (Column("Hour", "Time", Kind.INSTANT, 24), lambda row, zone: local(row.start_at, zone)),
    (Column("Begins (UTC)", "Begynner (UTC)", Kind.INSTANT, 19), lambda row, _: local(row.start_at, _UTC)),
    (Column("Energy (kWh)", "Energi (kWh)", Kind.KWH, 14), lambda row, _: kwh(row.usage.energy_wh)),
    (Column("Sessions", "Økter", Kind.COUNT, 10), lambda row, _: row.usage.session_count),
)


def _bars(summary: UsageSummary, words: Words) -> Chart:
    """The energy of each group of the first dimension: time in its order, things from the largest on, the least as one."""
    first = summary.question.group_by[0]
    energies: dict[str, int] = {}
    labels: dict[str, str] = {}
    starts: dict[str, datetime] = {}
    for row in summary.rows:
        part = row.group[0]
        key = part.key
        energies[key] = energies.get(key, 0) + row.usage.energy_wh
        labels[key] = labels_of(row, words)[0]
        if part.bucket is not None:
            starts[key] = part.bucket.start_at
    is_time = first in TIME_DIMENSIONS
    if is_time:
        # Unlike a sort, these walk over all of many hours with turns for other threads.
        chosen = heapq.nlargest(_MOST_COLUMNS, energies, key=lambda key: starts[key])[::-1]
        points = [(labels[key], energies[key]) for key in chosen]
    else:
        largest = heapq.nsmallest(_MOST_BARS, energies, key=lambda key: (-energies[key], labels[key], key))
        points = [(labels[key], energies[key]) for key in largest]
        if rest := len(energies) - len(largest):
            left = sum(energies.values()) - sum(energies[key] for key in largest)
            points.append((words("{count} others", count=rest), left))
    column = _DIMENSIONS[first]
    return Chart(
        f"Energy (kWh) by {column.heading.lower()}",
        f"Energi (kWh) etter {column.norwegian.lower()}",
        tuple((label, kwh(energy)) for label, energy in points),
        is_time,
    )


def summary_row(summary: UsageSummary, words: Words = english) -> Callable[[UsageRow], tuple[Cell, ...]]:
    """How one of its groups is written."""
    readers, zone = [read for _, read in figures_of(summary.total)], summary.zone
    return lambda row: (*labels_of(row, words), *(read(row.usage, zone) for read in readers))


def summary_totals(summary: UsageSummary, words: Words) -> tuple[Cell, ...]:
    """The line below: the same total that the API gives."""
    blanks = len(summary.question.group_by) - 1
    return (
        words("Total"),
        *[None] * blanks,
        *(read(summary.total, summary.zone) for _, read in figures_of(summary.total)),
    )


def session_sheet(heading: tuple[tuple[str, str], ...], words: Words) -> Sheet:
    """The table of sessions."""
    return Sheet("Sessions", words("Sessions"), heading, tuple(column for column, _ in _SESSION))


def session_row(one: CountedSession, zone: ZoneInfo, words: Words = english) -> tuple[Cell, ...]:
    """One session, its instants in the zone's local time."""
    cells: list[Cell] = [read(one, zone) for _, read in _SESSION]
    if not one.session.user_name:
        cells[_WHO] = words(NOT_IDENTIFIED)
    if quality := _QUALITIES[one.session.date_quality]:
        cells[_QUALITY] = words(quality)
    return tuple(cells)


def session_totals(count: int, energy_wh: int, words: Words) -> tuple[Cell, ...]:
    """The line below the sessions."""
    cells: list[Cell] = [None] * len(_SESSION)
    cells[0] = words("Total of {count} sessions", count=count)
    cells[_ENERGY] = kwh(energy_wh)
    return tuple(cells)


_WHO, _QUALITY = (
    next(place for place, (column, _) in enumerate(_SESSION) if column.heading == heading)
    for heading in ("Person", "Date quality")
)
_ENERGY = next(place for place, (column, _) in enumerate(_SESSION) if column.kind is Kind.KWH)
