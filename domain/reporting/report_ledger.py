"""What locked reports have counted of every session, as a ledger: whatever happens to sessions, the lines of a period and the correction
lines after them add up to the live figures.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from domain import sql
from domain.periods import Period
from domain.pricing.sums import NO_COSTS, Costs, Sum
from domain.roles import ReportBasis, SessionState, UsageDimension
from domain.usage.intervals import crosses, crossing, touches
from domain.usage.question import Usage, UsageQuestion
from domain.usage.rows import INSTANTS, OFFLINE, UNRELIABLE, Scope

THINGS = (UsageDimension.CHARGER, UsageDimension.CIRCUIT, UsageDimension.USER, UsageDimension.CHARGE_CARD)
"""What lines can be grouped by, beside the installation."""
IDS = ("charger_id", "circuit_id", "user_id", "card_id")
_FIGURES = ("session_count", "energy_wh", "connected_s", "charging_s", "offline_count", "unreliable_count")
_KEYS = ("session_id", *IDS)


@dataclass(frozen=True, slots=True)
class Book:
    """The ledger of an installation under one basis."""

    installation_id: UUID
    basis: ReportBasis


@dataclass(frozen=True, slots=True)
class Difference:
    """How much of a session counts more than the ledger has of it, or less; `ids` in the order of THINGS."""

    session_id: UUID | None
    ids: tuple[UUID | None, ...]
    usage: Usage


async def differences(book: Book, period: Period, *, until_revision: int | None = None) -> list[Difference]:
    """What of each session counts otherwise now than in the ledger, or than it stood there with that revision. In no order."""
    whole = await _whole(book, period, until_revision)
    found = [_difference(row) async for some in sql.in_turns(whole) for row in some]
    if book.basis is ReportBasis.INTERVAL:
        found += await _cut(book, period, until_revision)
    return found


async def write(book: Book, period: Period, revision: int, found: Sequence[Difference]) -> None:
    """The ledger has these, so that it is as the live figures are."""
    of = (book.installation_id, book.basis, period.from_date, revision)
    async for some in sql.in_turns(found):
        await _LINES.insert(
            (*of, one.session_id, *one.ids, *amounts, *costs) for one in some for amounts, costs in _entries(one.usage)
        )


def _entries(usage: Usage) -> Iterator[tuple[tuple[int, ...], tuple[object, ...]]]:
    """(figures, (cost, VAT in it, currency, how many are not known)) of the lines that say this: one for each currency."""
    unknown = usage.costs.unknown_count
    costs: list[tuple[object, ...]] = [
        (one.total_minor, one.vat_minor, one.currency, 0) for one in usage.costs.sums if one.net_minor or one.vat_minor
    ]
    if unknown:
        costs.append((0, 0, None, unknown))
    yield _amounts(usage), costs[0] if costs else (None, None, None, None)
    for further in costs[1:]:
        yield (0,) * len(_FIGURES), further


async def locked_energies(
    book: Book, period: Period, revision: int, *, user_id: UUID | None = None
) -> AsyncIterator[Sequence[tuple[UUID, int]]]:
    """(session, Wh) of each that counted in the report of that revision for its own period, in parts, by id; `user_id`: for that person."""
    after: UUID | None = None
    while True:
        arguments: list[object] = [book.installation_id, book.basis, period.from_date, revision]
        following = ""
        if user_id is not None:
            arguments.append(user_id)
            following = f" AND user_id = ${len(arguments)}"
        if after is not None:
            arguments.append(after)
            following += f" AND session_id > ${len(arguments)}"
        rows = await sql.records(
            "SELECT session_id, SUM(energy_wh) AS wh FROM locked_lines WHERE installation_id = $1 AND basis = $2 AND from_date = $3"  # noqa: S608
            f" AND revision <= $4 AND session_id IS NOT NULL{following} GROUP BY session_id HAVING {_any_sum()}"
            f" ORDER BY session_id LIMIT {sql.AT_ONCE}",
            *arguments,
        )
        if rows:
            yield [(sql.uuid_of(row["session_id"]), int(row["wh"])) for row in rows]
        if len(rows) < sql.AT_ONCE:
            return
        after = sql.uuid_of(rows[-1]["session_id"])


def _sums() -> str:
    return ", ".join(f"SUM({name}) AS sum_{name}" for name in _FIGURES)


def _any_sum() -> str:
    return " OR ".join(f"SUM({name}) <> 0" for name in _FIGURES)


_LIVE = f"""
SELECT s.id AS session_id, s.charger_id, s.circuit_id, s.user_id, s.card_id, 1 AS session_count,
  COALESCE(s.energy_wh, 0) AS energy_wh, s.connected_s, s.charging_s,
  CASE WHEN (s.flags & {OFFLINE}) <> 0 THEN 1 ELSE 0 END AS offline_count,
  CASE WHEN (s.flags & {UNRELIABLE}) <> 0 THEN 1 ELSE 0 END AS unreliable_count
FROM charge_sessions s WHERE s.installation_id = $1 AND s.state = '{SessionState.ENDED}' AND
"""  # noqa: S608  an enum's value


async def _whole(book: Book, period: Period, until_revision: int | None) -> Sequence[sql.Record]:
    """Of sessions that lie in the period as a whole, or not at all. All of it is done where the rows are."""
    arguments: list[object] = [book.installation_id, book.basis, period.from_date, period.start_at, period.end_at]
    inside, stays_out = _inside(book), ""
    if book.basis is ReportBasis.INTERVAL:
        stays_out = f" AND NOT EXISTS (SELECT 1 FROM charge_sessions s WHERE s.id = l.session_id AND {_is_cut()})"  # noqa: S608
    statement = f"""
        SELECT {", ".join(_KEYS)}, {_sums()} FROM (
            {_LIVE} {inside}
            UNION ALL
            SELECT l.session_id, {", ".join(f"l.{name}" for name in IDS)}, {", ".join(f"-l.{name}" for name in _FIGURES)}
            FROM locked_lines l WHERE {_booked(until_revision, arguments)}{stays_out}
        ) d GROUP BY {", ".join(_KEYS)} HAVING {_any_sum()}
    """  # noqa: S608  columns of ours, and marks
    return await sql.records(statement, *arguments)


def _inside(book: Book) -> str:
    if book.basis is ReportBasis.INTERVAL:
        return f"{touches('$4', '$5')} AND NOT {crosses('$4', '$5')}"
    instant = INSTANTS[book.basis]
    return f"{instant} >= $4 AND {instant} < $5"


def _is_cut() -> str:
    return f"s.state = '{SessionState.ENDED}' AND {crosses('$4', '$5')}"


def _booked(until_revision: int | None, arguments: list[object]) -> str:
    """The condition on lines `l` of the period; appends to `arguments`, of which the first three are the book and the date."""
    condition = "l.installation_id = $1 AND l.basis = $2 AND l.from_date = $3"
    if until_revision is None:
        return condition
    arguments.append(until_revision)
    return f"{condition} AND l.revision <= ${len(arguments)}"


async def _cut(book: Book, period: Period, until_revision: int | None) -> list[Difference]:
    """Of the few sessions that a border of the period cuts."""
    question = UsageQuestion(
        from_date=period.from_date,
        to_date=period.to_date,
        installation_ids=(book.installation_id,),
        group_by=THINGS,
        basis=book.basis,
    )
    live = await crossing(question, period, _scope(book))
    amounts: dict[tuple[UUID, tuple[UUID | None, ...]], Usage] = {
        (session_id, tuple(ids[one] for one in THINGS)): usage for session_id, (ids, usage) in live.items()
    }
    for session_id, ids, usage in await _booked_of(book, period, list(live), until_revision):
        amounts[session_id, ids] = amounts.get((session_id, ids), Usage()) + negative(usage)
    return [Difference(session_id, ids, usage) for (session_id, ids), usage in amounts.items() if any(_amounts(usage))]


async def booked_costs(book: Book, period: Period) -> dict[tuple[UUID | None, tuple[UUID | None, ...]], Costs]:
    """What the ledger has of costs in the period: by session (None: monthly fees) and what it is grouped by, in the order of THINGS."""
    rows = await sql.records(
        f"SELECT {', '.join(_KEYS)}, currency, SUM(cost_minor) AS sum_cost, SUM(vat_minor) AS sum_vat, SUM(unknown_costs) AS sum_unknown"  # noqa: S608
        " FROM locked_lines l WHERE l.installation_id = $1 AND l.basis = $2 AND l.from_date = $3 AND cost_minor IS NOT NULL"
        f" GROUP BY {', '.join(_KEYS)}, currency",
        book.installation_id,
        book.basis,
        period.from_date,
    )
    found: dict[tuple[UUID | None, tuple[UUID | None, ...]], Costs] = {}
    async for some in sql.in_turns(rows):
        for row in some:
            vat = int(row["sum_vat"])
            sums = () if row["currency"] is None else (Sum(row["currency"], int(row["sum_cost"]) - vat, vat),)
            key = (sql.optional_uuid_of(row["session_id"]), _ids_of(row))
            found[key] = found.get(key, NO_COSTS) + Costs(sums, int(row["sum_unknown"]))
    return found


def with_costs(
    found: Sequence[Difference], costs: Mapping[tuple[UUID | None, tuple[UUID | None, ...]], Costs]
) -> list[Difference]:
    """The differences with these of costs, in the order of THINGS; what is no difference is left out."""
    usages = {(one.session_id, one.ids): one.usage for one in found}
    for key, cost in costs.items():
        if is_any(cost):
            usages[key] = msgspec.structs.replace(usages.get(key, Usage()), costs=cost)
    return [Difference(session_id, ids, usage) for (session_id, ids), usage in usages.items()]


def inside(book: Book, start: str, end: str) -> str:
    """The condition on sessions that something of them counts between these marks."""
    if book.basis is ReportBasis.INTERVAL:
        return touches(start, end)
    instant = INSTANTS[book.basis]
    return f"{instant} >= {start} AND {instant} < {end}"


def _scope(book: Book) -> Scope:
    def condition(arguments: list[object]) -> str:
        arguments.append(book.installation_id)
        return f"s.installation_id = ${len(arguments)}"

    return Scope(condition, (book.installation_id,))


async def _booked_of(
    book: Book, period: Period, session_ids: Sequence[UUID], until_revision: int | None
) -> list[tuple[UUID, tuple[UUID | None, ...], Usage]]:
    found = []
    for some in sql.in_chunks(session_ids):
        arguments: list[object] = [book.installation_id, book.basis, period.from_date]
        condition = _booked(until_revision, arguments)
        wanted = sql.any_of("l.session_id", some, arguments)
        rows = await sql.rows(
            f"SELECT {', '.join(_KEYS)}, {_sums()} FROM locked_lines l WHERE {condition} AND {wanted}"  # noqa: S608
            f" GROUP BY {', '.join(_KEYS)}",
            *arguments,
        )
        found += [(sql.uuid_of(row["session_id"]), _ids_of(row), _usage(row)) for row in rows]
    return found


def _difference(row: sql.Record) -> Difference:
    return Difference(sql.optional_uuid_of(row["session_id"]), _ids_of(row), _usage(row))


def _ids_of(row: sql.Record) -> tuple[UUID | None, ...]:
    return tuple(sql.optional_uuid_of(row[name]) for name in IDS)


def _usage(row: sql.Record) -> Usage:
    return _of([int(row[f"sum_{name}"]) for name in _FIGURES])


def _amounts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.session_count,
        usage.energy_wh,
        usage.connected_s,
        usage.charging_s,
        usage.offline_count,
        usage.unreliable_count,
    )


def _of(amounts: Sequence[int]) -> Usage:
    sessions, energy_wh, connected_s, charging_s, offline, unreliable = amounts
    return Usage(sessions, energy_wh, connected_s, charging_s, offline, unreliable)


def negative(usage: Usage) -> Usage:
    """What takes the figures away again."""
    return _of([-one for one in _amounts(usage)])


def grouped(
    found: Sequence[Difference], dimensions: Sequence[UsageDimension], installation_id: UUID
) -> Iterator[tuple[tuple[UUID | None, ...], Usage]]:
    """(ids in the order of the dimensions, figures) of those groups for which something is different."""
    tallies: dict[tuple[UUID | None, ...], Usage] = {}
    for one in found:
        ids = dict(zip(THINGS, one.ids, strict=True)) | {UsageDimension.INSTALLATION: installation_id}
        key = tuple(ids[dimension] for dimension in dimensions)
        tallies[key] = tallies.get(key, Usage()) + one.usage
    return ((key, usage) for key, usage in tallies.items() if any(_amounts(usage)) or is_any(usage.costs))


def is_any(costs: Costs) -> bool:
    """Whether they are more, or less, than nothing."""
    return costs.unknown_count != 0 or any(one.net_minor or one.vat_minor for one in costs.sums)


_LINES = sql.Columns(
    "locked_lines",
    {
        "installation_id": "uuid",
        "basis": "text",
        "from_date": "date",
        "revision": "int4",
        **dict.fromkeys(_KEYS, "uuid"),
        "session_count": "int4",
        "energy_wh": "int8",
        "connected_s": "int8",
        "charging_s": "int8",
        "offline_count": "int4",
        "unreliable_count": "int4",
        "cost_minor": "int8",
        "vat_minor": "int8",
        "currency": "text",
        "unknown_costs": "int4",
    },
)
