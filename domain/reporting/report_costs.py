"""What the sessions behind locked reports cost, beside what the ledger has of it: what is locked keeps its cost.

A changed tariff corrects nothing of a locked period. Only what a session costs that counts otherwise by now is corrected, and what one
costs whose cost was not known when it was locked.
"""

import asyncio
from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.costs import CHARGED_COLUMNS, Till, charged_of
from domain.periods import Period, start_of
from domain.pricing.sums import NO_COSTS, UNKNOWN, Costs, Sum
from domain.reporting.report_ledger import IDS, THINGS, Book, Difference, booked_costs, inside, is_any, with_costs
from domain.roles import SessionState, UsageDimension
from domain.tariff_book import tariff_book
from domain.usage.costs import lines_inside, monthly_fees, sum_of
from domain.usage.question import UsageQuestion

_Key = tuple[UUID | None, tuple[UUID | None, ...]]
"""A session (None: the monthly fees), and what it is grouped by, in the order of THINGS."""


async def all_costs(access: Access, book: Book, period: Period, found: Sequence[Difference]) -> list[Difference]:
    """The differences of a period that is locked now, with what all of its sessions and monthly fees cost beside the ledger."""
    live = await _live(book, period, None) | await _fees(access, book, period)
    booked = await booked_costs(book, period)
    # Of a large site there are more than others in the process can wait for.
    return await asyncio.to_thread(lambda: with_costs(found, _minus(live, booked)))


async def changed_costs(access: Access, book: Book, period: Period, found: Sequence[Difference]) -> list[Difference]:
    """The differences of a period that was locked before, with what these sessions cost beside the ledger.

    Who has a monthly fee by a charge that came later, or has none any more as a charge is void or another's, is corrected by it; what a
    fee was stays.
    """
    booked = await booked_costs(book, period)
    open_ids = {key[0] for key, costs in booked.items() if costs.unknown_count}
    ids = {one.session_id for one in found} | open_ids
    wanted = sorted(one for one in ids if one is not None)
    known = {key: costs for key, costs in booked.items() if key[0] in ids and key[0] is not None}
    costs = _minus(await _live(book, period, wanted), known)
    people = {one.ids[THINGS.index(UsageDimension.USER)] for one in found} | await _came_later(book, period)
    return with_costs(found, costs | await _changed_fees(access, book, period, people, booked))


async def _came_later(book: Book, period: Period) -> set[UUID | None]:
    """Who began a charge in the months of the period that was registered, or made void, after it was locked, whatever period the charge
    counts in.
    """
    first = period.from_date.replace(day=1)
    after = ((period.to_date - timedelta(days=1)).replace(day=1) + timedelta(days=31)).replace(day=1)
    arguments = (
        book.installation_id,
        start_of(first, period.zone),
        start_of(after, period.zone),
        book.basis,
        period.from_date,
    )
    return {sql.uuid_of(row["user_id"]) for row in await sql.rows(_CAME_LATER, *arguments)}


_LOCKED_AT = (
    "SELECT MIN(r.locked_at) FROM locked_reports r WHERE r.installation_id = $1 AND r.basis = $4 AND r.from_date = $5"
)
_CAME_LATER = f"""
SELECT DISTINCT s.user_id FROM charge_sessions s
WHERE s.installation_id = $1 AND s.started_at >= $2 AND s.started_at < $3 AND s.state = '{SessionState.ENDED}'
  AND s.user_id IS NOT NULL AND s.registered_at > ({_LOCKED_AT})
UNION SELECT s.user_id FROM charge_sessions s LEFT JOIN charge_sessions n ON n.id = s.replaced_by_id
WHERE s.installation_id = $1 AND s.started_at >= $2 AND s.started_at < $3 AND s.state = '{SessionState.VOID}'
  AND s.user_id IS NOT NULL AND (n.id IS NULL OR n.registered_at > ({_LOCKED_AT}))
"""  # noqa: S608  enums' values


async def _changed_fees(
    access: Access, book: Book, period: Period, people: Set[UUID | None], booked: Mapping[_Key, Costs]
) -> dict[_Key, Costs]:
    """The fees of those among the people who had none and have one now, or the other way round."""
    if people <= {None}:
        return {}
    fees = await _fees(access, book, period)
    theirs = {key: costs for key, costs in booked.items() if key[0] is None}
    return {
        key: costs
        for key, costs in _minus(fees, theirs).items()
        if not (people - {None}).isdisjoint(key[1])
        and is_any(fees.get(key, NO_COSTS)) is not is_any(theirs.get(key, NO_COSTS))
    }


def _minus(live: Mapping[_Key, Costs], booked: Mapping[_Key, Costs]) -> dict[_Key, Costs]:
    keys = live.keys() | booked.keys()
    return {key: live.get(key, NO_COSTS) + -booked.get(key, NO_COSTS) for key in keys}


async def _live(book: Book, period: Period, session_ids: Sequence[UUID] | None) -> dict[_Key, Costs]:
    """What these sessions (None: all) cost now of which something counts in the period."""
    till = Till(await tariff_book([book.installation_id]))
    found: dict[_Key, Costs] = {}
    if not till.book.sites:
        return found
    for some in [None] if session_ids is None else sql.in_chunks(session_ids):
        async for rows in sql.in_turns(await _rows(book, period, some)):
            charged = [charged_of(row) for row in rows]
            for row, one, cost in zip(rows, charged, await till.costs(charged), strict=True):
                if cost is not None:
                    ids = tuple(sql.optional_uuid_of(row[name]) for name in IDS)
                    lines = lines_inside(cost, book.basis, period)
                    priced = sum_of(*lines) or Costs((Sum(cost.currency, 0, 0),))
                    found[one.id, ids] = UNKNOWN if cost.unknown_because is not None else priced
    return found


async def _rows(book: Book, period: Period, session_ids: Sequence[UUID] | None) -> Sequence[sql.Record]:
    arguments: list[object] = [book.installation_id, period.start_at, period.end_at]
    chosen = "" if session_ids is None else f" AND {sql.any_of('s.id', session_ids, arguments)}"
    statement = f"""
        SELECT {CHARGED_COLUMNS}, s.circuit_id, s.card_id FROM charge_sessions s
        WHERE s.installation_id = $1 AND s.state = '{SessionState.ENDED}' AND {inside(book, "$2", "$3")}{chosen}
    """  # noqa: S608  columns of ours, and marks
    return await sql.records(statement, *arguments)


async def _fees(access: Access, book: Book, period: Period) -> dict[_Key, Costs]:
    question = UsageQuestion(
        from_date=period.from_date,
        to_date=period.to_date,
        installation_ids=(book.installation_id,),
        time_zone=period.zone.key,
        group_by=(UsageDimension.USER,),
        basis=book.basis,
    )
    found: dict[_Key, Costs] = {}
    for fee in await monthly_fees(access, question, period, await tariff_book([book.installation_id])):
        key = (None, tuple(fee.user_id if one is UsageDimension.USER else None for one in THINGS))
        found[key] = found.get(key, NO_COSTS) + sum_of(fee.line)
    return found
