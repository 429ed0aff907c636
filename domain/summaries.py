"""Usage summaries: who used how much, where and when (domain.md §6). Reports, exports and the API all ask this one function."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import sql
from domain.access import Access
from domain.costs import Till, charged_session
from domain.errors import NotFoundError, ValidationError, invalid
from domain.periods import Period, buckets, period_of, zone_of
from domain.pricing.lines import CostLine
from domain.roles import ReportBasis, UsageDimension
from domain.usage.costs import MonthlyFee, add_costs, add_fees, book_for, lines_inside, monthly_fees
from domain.usage.coverage import coverage, empty_because
from domain.usage.interval_sums import energy_in_time
from domain.usage.question import (
    OF_OLD,
    Group,
    GroupPart,
    Snapshot,
    Tally,
    Usage,
    UsageQuestion,
    UsageRow,
    UsageSummary,
    check_question,
    ordered,
    row_of,
    time_dimensions,
    total_of,
)
from domain.usage.rows import NAMES, Scope, whole_sessions
from domain.usage.sessions import CountedSession, counted_batches
from domain.wording import Said

MOST_IDLE_ROWS = 100_000
MOST_ROWS_AT_ONCE = 1_000
MOST_STRETCHES = 10_000
"""A year of hours: finding when ten years of them begin would hold up everything else for seconds."""


class _Site(NamedTuple):
    id: UUID
    name: str
    time_zone: str
    has_tariffs: bool


async def usage_summary(
    access: Access, question: UsageQuestion, *, with_costs: bool = False, with_coverage: bool = True
) -> UsageSummary:
    """The summary, as of now; its rows by label, then time. Rows have costs where they are asked for: then every charge is priced.

    For the installations that the asker owns, or (no installations named) for their own sessions everywhere. NotFoundError for the
    whole when one of the installations, or an id of the filter, is not theirs to ask about; ValidationError when the question is wrong.
    """
    check_question(question)
    sites = await _sites(access, question)
    period = period_of(question.from_date, question.to_date, _zone(question, sites))
    scope = _scope(access, question)
    await _check_filter(access, question, scope)
    gather = energy_in_time if question.basis is ReportBasis.INTERVAL else whole_sessions
    # None of these needs another's answer; where there are several connections, they are had at the same time.
    tallies, book, covered = await asyncio.gather(
        gather(question, period, scope),
        book_for(access, question, (site.id for site in sites if site.has_tariffs)),
        coverage(access, question, period, access.now) if with_coverage else _nothing(),
    )
    if question.include_idle:
        await _add_idle(question, period, tallies)
    fees = await monthly_fees(access, question, period, book)
    add_fees(question, period, fees, tallies, with_costs=with_costs)
    if with_costs:
        await add_costs(question, period, scope, book, tallies)
    rows, total = await _rows(tallies)
    if not rows and covered is None:
        covered = await coverage(access, question, period, access.now)
    return UsageSummary(
        question=question,
        period=period,
        rows=rows,
        total=total,
        covered=covered,
        empty_because=None if rows or covered is None else await empty_because(question, period, scope, covered),
        installation_names=tuple(site.name for site in sites),
        made_at=access.now,
    )


async def _nothing() -> None:
    """What is there where nobody asked."""


async def _rows(tallies: dict[Group, Tally]) -> tuple[tuple[UsageRow, ...], Usage]:
    """The rows in order, and their total; nothing is left of the tallies. To sort many takes longer than others can wait: then a thread
    does it.
    """

    def made() -> tuple[tuple[UsageRow, ...], Usage]:
        rows = tuple(ordered(map(_taken_row, repeat(tallies, len(tallies)))))
        return rows, total_of(row.usage for row in rows)

    return made() if len(tallies) <= MOST_ROWS_AT_ONCE else await asyncio.to_thread(made)


def _taken_row(tallies: dict[Group, Tally]) -> UsageRow:
    group, tally = tallies.popitem()
    return row_of(group, tally)


async def check_may_ask(access: Access, question: UsageQuestion) -> None:
    """Returns when the summary could be had now; errors as `usage_summary`."""
    check_question(question)
    sites = await _sites(access, question)
    period_of(question.from_date, question.to_date, _zone(question, sites))
    await _check_filter(access, question, _scope(access, question))


async def counted_sessions(access: Access, question: UsageQuestion) -> AsyncIterator[Sequence[CountedSession]]:
    """The sessions behind the summary in batches, oldest first, each with the energy that counts; errors as `usage_summary`."""
    check_question(question)
    sites = await _sites(access, question)
    period = period_of(question.from_date, question.to_date, _zone(question, sites))
    scope = _scope(access, question)
    await _check_filter(access, question, scope)
    async for batch in counted_batches(access, question, period, scope):
        yield batch


@dataclass(frozen=True, slots=True)
class BilledSession:
    """A session behind a summary, and the lines of its cost that count; why its cost is not known, when a tariff holds and it is not."""

    counted: CountedSession
    lines: tuple[CostLine, ...]
    unknown_because: Said | None


@dataclass(frozen=True, slots=True)
class Bill:
    """Some of what the costs of a summary are made of: all of its bills add up to its total."""

    sessions: Sequence[BilledSession]
    fees: Sequence[MonthlyFee] = ()


async def bills(access: Access, question: UsageQuestion) -> AsyncIterator[Bill]:
    """The cost lines behind the summary, in batches: those of the sessions, oldest first, then the monthly fees; errors as
    `usage_summary`.
    """
    check_question(question)
    sites = await _sites(access, question)
    period = period_of(question.from_date, question.to_date, _zone(question, sites))
    scope = _scope(access, question)
    await _check_filter(access, question, scope)
    book = await book_for(access, question, (site.id for site in sites))
    till = Till(book)
    async for batch in counted_batches(access, question, period, scope):
        costs = await till.costs([charged_session(one.session) for one in batch])
        yield Bill(
            [
                BilledSession(one, lines_inside(cost, question.basis, period), cost.unknown_said)
                for one, cost in zip(batch, costs, strict=True)
                if cost is not None
            ]
        )
    yield Bill((), await monthly_fees(access, question, period, book))


async def _sites(access: Access, question: UsageQuestion) -> list[_Site]:
    """The installations asked about; those of the asker's sessions when none are named."""
    arguments: list[object] = []
    if question.installation_ids is None:
        arguments.append(access.person())
        condition = "i.id IN (SELECT s.installation_id FROM charge_sessions s WHERE s.user_id = $1)"
    else:
        if not all(map(access.reads_sessions_of, question.installation_ids)):
            raise NotFoundError(path=("installationIds",))
        condition = sql.any_of("i.id", question.installation_ids, arguments)
    statement = f"""
        SELECT i.id, i.name, i.time_zone, EXISTS (SELECT 1 FROM tariffs t WHERE t.installation_id = i.id) AS has_tariffs
        FROM installations i WHERE {condition} ORDER BY i.name, i.id
    """  # noqa: S608  marks only
    return [
        _Site(sql.uuid_of(row["id"]), row["name"], row["time_zone"], bool(row["has_tariffs"]))
        for row in await sql.records(statement, *arguments)
    ]


def _zone(question: UsageQuestion, sites: Sequence[_Site]) -> ZoneInfo:
    if question.time_zone is not None:
        return zone_of(question.time_zone)
    names = sorted({site.time_zone for site in sites})
    if len(names) > 1:
        listed = ", ".join(names[:5])
        raise invalid(
            ("period", "timeZone"),
            f"These installations lie in different time zones ({listed}): say which the days are of.",
        )
    return zone_of(names[0] if names else "UTC")


def _scope(access: Access, question: UsageQuestion) -> Scope:
    def condition(arguments: list[object]) -> str:
        if question.installation_ids is not None:
            return sql.any_of("s.installation_id", question.installation_ids, arguments)
        arguments.append(access.person())
        return f"s.user_id = ${len(arguments)}"

    return Scope(condition, tuple(one for one in sorted(access.installations) if access.sees_circuits(one)))


async def _check_filter(access: Access, question: UsageQuestion, scope: Scope) -> None:
    """Returns when every id of the filter is one that the asker may see, there or in the sessions; else NotFoundError."""
    where = question.where
    for field, ids, column, visible in (
        ("chargerIds", where.charger_ids, "charger_id", _visible_chargers),
        ("userIds", where.user_ids, "user_id", _visible_users),
        ("chargeCardIds", where.charge_card_ids, "card_id", _visible_cards),
        ("circuitIds", where.circuit_ids, None, _visible_circuits),
    ):
        wanted = set(ids or ())
        if not wanted:
            continue
        arguments: list[object] = []
        known = await _ids(visible(access, sorted(wanted), arguments), arguments)
        if column is not None and not wanted <= known:
            arguments = []
            listed = sql.any_of(f"s.{column}", sorted(wanted), arguments)
            charged = f"SELECT DISTINCT s.{column} AS id FROM charge_sessions s WHERE {listed} AND {scope.condition(arguments)}"  # noqa: S608
            known |= await _ids(charged, arguments)
        if not wanted <= known:
            raise NotFoundError(path=("where", field))


async def _ids(statement: str, arguments: Sequence[object]) -> set[UUID]:
    return {sql.uuid_of(row["id"]) for row in await sql.rows(statement, *arguments)}


def _visible_chargers(access: Access, ids: Sequence[UUID], arguments: list[object]) -> str:
    listed = sql.any_of("c.id", ids, arguments)
    return f"SELECT c.id FROM chargers c WHERE {listed} AND {access.chargers_condition('c', arguments)}"  # noqa: S608


def _visible_users(access: Access, ids: Sequence[UUID], arguments: list[object]) -> str:
    listed = sql.any_of("u.id", ids, arguments)
    return f"SELECT u.id FROM users u WHERE {listed} AND {access.user_contacts_condition('u', arguments)}"  # noqa: S608


def _visible_cards(access: Access, ids: Sequence[UUID], arguments: list[object]) -> str:
    listed = sql.any_of("k.id", ids, arguments)
    return f"SELECT k.id FROM charge_cards k WHERE {listed} AND {access.cards_condition('k', arguments)}"  # noqa: S608


def _visible_circuits(access: Access, ids: Sequence[UUID], arguments: list[object]) -> str:
    listed = sql.any_of("k.id", ids, arguments)
    return f"SELECT k.id FROM circuits k WHERE {listed} AND {access.circuits_condition('k', arguments)}"  # noqa: S608


async def _add_idle(question: UsageQuestion, period: Period, tallies: dict[Group, Tally]) -> None:
    """Things and stretches of time without a session are groups, too, with nothing in them.

    Each thing with each stretch of time; of two kinds of things only pairs that occurred.
    """
    things = [dimension for dimension in question.group_by if dimension in NAMES]
    if len(things) > 1 or question.installation_ids is None:
        return
    times = time_dimensions(question)
    choices: list[list[tuple[GroupPart, str]]] = []
    for dimension in question.group_by:
        if dimension in times:
            stretches = list(itertools.islice(buckets(period, dimension), MOST_STRETCHES + 1))
            choices.append([(GroupPart(dimension, bucket=one), "") for one in stretches])
        else:
            named = await _things(dimension, question, period)
            choices.append([(GroupPart(dimension, one), name) for one, name in named.items()])
    is_long = times and max(map(len, choices)) > MOST_STRETCHES
    if is_long or math.prod(map(len, choices)) > MOST_IDLE_ROWS:
        raise _too_many_idle()
    _cross(choices, tallies)


def _too_many_idle() -> ValidationError:
    return invalid(
        "includeIdle", "That would be too many empty rows: ask for a shorter period or longer stretches of time."
    )


def _cross(choices: Sequence[Sequence[tuple[GroupPart, str]]], tallies: dict[Group, Tally]) -> None:
    pairs = [(one,) for one in choices[0]] if len(choices) == 1 else [(a, b) for a in choices[0] for b in choices[1]]
    for pair in pairs:
        group = tuple(part for part, _ in pair)
        if _overlaps(group):
            tallies.setdefault(group, Tally()).add(
                Usage(), [(part.dimension, Snapshot(OF_OLD, name)) for part, name in pair if name]
            )


def _overlaps(group: Group) -> bool:
    """Whether there is time that lies in all of the group's stretches; a week lies in few months."""
    stretches = [part.bucket for part in group if part.bucket is not None]
    return not stretches or max(one.start_at for one in stretches) < min(one.end_at for one in stretches)


_THINGS = {
    UsageDimension.INSTALLATION: "SELECT x.id, x.name FROM installations x WHERE {x_id}",
    UsageDimension.CHARGER: """
        SELECT x.id, x.name FROM chargers x
        WHERE {x_installation_id} AND x.created_at < {end} AND (x.removed_at IS NULL OR x.removed_at > {start})""",
    UsageDimension.CIRCUIT: """
        SELECT x.id, x.name FROM circuits x
        WHERE {x_installation_id} AND x.created_at < {end} AND (x.removed_at IS NULL OR x.removed_at > {start})""",
    UsageDimension.USER: """
        SELECT DISTINCT u.id, u.name FROM permissions x LEFT JOIN group_members m ON m.group_id = x.group_id
        JOIN users u ON u.id = COALESCE(x.user_id, m.user_id)
        WHERE {x_installation_id} AND x.valid_from < {end} AND (x.valid_to IS NULL OR x.valid_to > {start})
            AND (x.revoked_at IS NULL OR x.revoked_at > {start})""",
    UsageDimension.CHARGE_CARD: """
        SELECT DISTINCT k.id, k.name FROM permissions x LEFT JOIN group_members m ON m.group_id = x.group_id
        JOIN charge_cards k ON k.user_id = COALESCE(x.user_id, m.user_id)
        WHERE {x_installation_id} AND x.valid_from < {end} AND (x.valid_to IS NULL OR x.valid_to > {start})
            AND (x.revoked_at IS NULL OR x.revoked_at > {start})""",
}


async def _things(dimension: UsageDimension, question: UsageQuestion, period: Period) -> Mapping[UUID, str]:
    """Whatever could have had sessions in the period, as far as the filter lets it through, with today's names."""
    arguments: list[object] = []
    ids = question.installation_ids or ()
    column = "x.id" if dimension is UsageDimension.INSTALLATION else "x.installation_id"
    marks = {column.replace(".", "_"): sql.any_of(column, ids, arguments)}
    if dimension is not UsageDimension.INSTALLATION:
        arguments += [period.start_at, period.end_at]
        marks |= {"start": f"${len(arguments) - 1}", "end": f"${len(arguments)}"}
    rows = await sql.rows(_THINGS[dimension].format(**marks), *arguments)
    chosen = {
        UsageDimension.CHARGER: question.where.charger_ids,
        UsageDimension.USER: question.where.user_ids,
        UsageDimension.CHARGE_CARD: question.where.charge_card_ids,
        UsageDimension.CIRCUIT: question.where.circuit_ids,
    }.get(dimension)
    found = {sql.uuid_of(row["id"]): str(row["name"]) for row in rows}
    return {one: name for one, name in found.items() if chosen is None or one in chosen}
