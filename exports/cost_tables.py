"""The tables of a file of costs, as data: what each person pays, and the lines that it is made of."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.pricing.lines import CostLine
from domain.pricing.sums import Costs, Sum
from domain.summaries import Bill, BilledSession
from domain.units import kwh
from domain.usage.costs import MonthlyFee
from domain.usage.question import NOT_IDENTIFIED, UsageRow, UsageSummary
from domain.wording import Words
from exports.tables import UNKNOWN_COST, Cell, Column, Kind, Sheet, labels_of, local

_PERSON = Column("Person", "Person", width=28)
_MONEY = (
    Column("Net", "Netto", Kind.MONEY, 15),
    Column("VAT", "Mva", Kind.MONEY, 15),
    Column("To pay", "Å betale", Kind.MONEY, 15),
    Column("Currency", "Valuta", width=12),
)


def people_sheet(heading: tuple[tuple[str, str], ...], words: Words) -> Sheet:
    """The table of what each person pays; the summary behind it is by USER."""
    counts = (Column("Sessions", "Økter", Kind.COUNT, 10), Column("Energy (kWh)", "Energi (kWh)", Kind.KWH, 14))
    return Sheet("People", words("People"), heading, (_PERSON, *counts, *_MONEY, UNKNOWN_COST))


def people_rows(summary: UsageSummary, words: Words) -> list[tuple[Cell, ...]]:
    """A line for each person and currency; what stands beside the amounts is on a person's first line only."""
    return [line for row in summary.rows for line in _sums(labels_of(row, words)[0], row)]


def people_totals(summary: UsageSummary, words: Words) -> list[tuple[Cell, ...]]:
    """The lines below, one for each currency: the same totals that the API gives."""
    return list(_sums(words("Total"), summary))


def _sums(label: str, of: UsageRow | UsageSummary) -> Iterator[tuple[Cell, ...]]:
    usage = of.usage if isinstance(of, UsageRow) else of.total
    counts: tuple[Cell, Cell] = (usage.session_count, kwh(usage.energy_wh))
    unknown: Cell = usage.costs.unknown_count or None
    for one in usage.costs.sums or (None,):
        yield (label, *counts, *_amounts(one), unknown)
        counts, unknown = (None, None), None


def _amounts(one: Sum | None) -> tuple[Cell, ...]:
    return (None,) * 4 if one is None else (one.net.amount, one.vat.amount, one.total.amount, one.currency)


_Of = BilledSession | MonthlyFee
_Reader = Callable[[_Of, ZoneInfo], Cell]


def _session(read: Callable[[BilledSession, ZoneInfo], Cell]) -> _Reader:
    """What a line of a charge says, and a fee does not."""
    return lambda one, zone: read(one, zone) if isinstance(one, BilledSession) else None


def _installation(one: _Of, _zone: ZoneInfo) -> Cell:
    return one.counted.session.installation_name if isinstance(one, BilledSession) else one.installation_name


def _person(one: _Of, _zone: ZoneInfo) -> Cell:
    return one.counted.session.user_name if isinstance(one, BilledSession) else one.user_name


def _started(one: BilledSession, zone: ZoneInfo) -> datetime | None:
    return local(one.counted.session.started_at, zone)


_PERSON_OF_LINE = Column("Person", "Person", width=28, is_printed=False)
"""On paper there are lines of one person only."""
_WHOSE: Sequence[tuple[Column, _Reader]] = (
    (Column("Installation", "Anlegg", width=22), _installation),
    (_PERSON_OF_LINE, _person),
    (Column("Charger", "Lader", width=20), _session(lambda one, _: one.counted.session.charger_name)),
    (Column("Started", "Startet", Kind.INSTANT, 19), _session(_started)),
)
_WHAT: Sequence[tuple[Column, Callable[[CostLine], Cell]]] = (
    (Column("Day", "Dag", Kind.DATE, 17), lambda line: line.day),
    (Column("Line", "Linje", width=40), lambda line: line.text),
    (Column("Quantity", "Antall", Kind.PRICE, 14), lambda line: line.quantity),
    (Column("Unit", "Enhet", width=17), lambda line: line.unit.value),
    (Column("Unit price", "Enhetspris", Kind.PRICE, 18), lambda line: line.unit_price.amount),
    (Column("VAT (%)", "Mva (%)", Kind.PRICE, 11), lambda line: line.vat_percent),
)
_TEXT = 1
"""The place of what a line says."""
_SESSION_ID = Column("Session", "Økt-id", width=38, is_printed=False)


def lines_sheet(heading: tuple[tuple[str, str], ...], words: Words) -> Sheet:
    """The table of cost lines."""
    columns = (*(column for column, _ in _WHOSE), *(column for column, _ in _WHAT), *_MONEY, _SESSION_ID)
    return Sheet("Cost lines", words("Cost lines"), heading, columns)


def line_rows(bill: Bill, zone: ZoneInfo, words: Words) -> list[tuple[Cell, ...]]:
    """A row for each line; a charge whose cost is not known has one that says why, without amounts."""
    return [*_session_rows(bill, zone, words), *(_row(fee, fee.line, zone, None, words) for fee in bill.fees)]


def _session_rows(bill: Bill, zone: ZoneInfo, words: Words) -> Iterator[tuple[Cell, ...]]:
    for one in bill.sessions:
        session_id = str(one.counted.session.id)
        if one.unknown_because is not None:
            blanks: list[Cell] = [None] * (len(_WHAT) + len(_MONEY))
            blanks[_TEXT] = one.unknown_because.worded(words)
            yield (*_whose(one, zone, words), *blanks, session_id)
        for line in one.lines:
            yield _row(one, line, zone, session_id, words)


def _whose(one: _Of, zone: ZoneInfo, words: Words) -> list[Cell]:
    return [
        read(one, zone) or (words(NOT_IDENTIFIED) if column is _PERSON_OF_LINE else None) for column, read in _WHOSE
    ]


def _row(one: _Of, line: CostLine, zone: ZoneInfo, session_id: str | None, words: Words) -> tuple[Cell, ...]:
    amounts = (line.net_amount.amount, line.vat_amount.amount, line.amount.amount, line.currency)
    what: list[Cell] = [read(line) for _, read in _WHAT]
    what[_TEXT] = line.said.worded(words)
    return (*_whose(one, zone, words), *what, *amounts, session_id)


def line_totals(costs: Costs, words: Words) -> list[tuple[Cell, ...]]:
    """The lines below, one for each currency."""
    blanks: tuple[Cell, ...] = (None,) * (len(_WHOSE) + len(_WHAT) - 1)
    return [(words("Total"), *blanks, *_amounts(one), None) for one in costs.sums]
