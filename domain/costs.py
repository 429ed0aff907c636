"""What charges cost, line by line: the one function that the API, summaries, files and reports ask.

An active charge has no cost yet, one that is void none any more. A charge whose clock was wrong is priced as if all of it had been at the
instant when it was registered, where every report has it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.charging.energy_intervals import INTERVAL, Part
from domain.current.holds import Span, held_spans
from domain.pricing.calendar import Calendar
from domain.pricing.lines import Charge, Cost, TermsOn, cost_of, has_idle, needs_parts
from domain.roles import IntervalQuality, SessionFlag, SessionState
from domain.sessions import SessionRow
from domain.tariff_book import PriceBook, TariffBook, tariff_book

_PARTS_AT_ONCE: Final = 2_000
"""Energy intervals that are read, and priced, before others in the process have a turn: about 20 ms."""
_CHARGES_AT_ONCE: Final = 250
_QUALITIES: Final = {quality.value: quality for quality in IntervalQuality}


@dataclass(frozen=True, slots=True)
class Charged:
    """Of an ended session what its cost depends on."""

    id: UUID
    installation_id: UUID
    charger_id: UUID | None
    user_id: UUID | None
    started_at: datetime
    ended_at: datetime
    registered_at: datetime
    flags: SessionFlag
    energy_wh: int | None
    connected_s: int
    is_paused: bool

    @property
    def is_reliable(self) -> bool:
        """Whether its dates are known."""
        return SessionFlag.CLOCK_UNRELIABLE not in self.flags

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when until when it counts."""
        return (self.started_at, self.ended_at) if self.is_reliable else (self.registered_at, self.registered_at)


CHARGED_COLUMNS = """
    s.id, s.installation_id, s.charger_id,
    s.user_id, s.started_at, s.ended_at, s.registered_at, s.flags, s.energy_wh, s.connected_s, s.is_paused
"""
"""What `charged_of` reads, of `charge_sessions s`."""


def charged_of(row: sql.Record) -> Charged:
    """The ended session of a row with CHARGED_COLUMNS."""
    started_at = sql.instant_of(row["started_at"])
    ended_at = sql.optional_instant_of(row["ended_at"]) or started_at
    return Charged(
        id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        charger_id=sql.optional_uuid_of(row["charger_id"]),
        user_id=sql.optional_uuid_of(row["user_id"]),
        started_at=started_at,
        ended_at=max(started_at, ended_at),
        registered_at=sql.optional_instant_of(row["registered_at"]) or ended_at,
        flags=SessionFlag(row["flags"]),
        energy_wh=row["energy_wh"],
        connected_s=row["connected_s"],
        is_paused=bool(row["is_paused"]),
    )


def charged_session(session: SessionRow) -> Charged:
    """The same of a session that somebody sees."""
    ended_at = max(session.started_at, session.ended_at or session.started_at)
    return Charged(
        id=session.id,
        installation_id=session.installation_id,
        charger_id=session.charger_id,
        user_id=session.user_id,
        started_at=session.started_at,
        ended_at=ended_at,
        registered_at=session.registered_at or ended_at,
        flags=session.flag_set,
        energy_wh=session.energy_wh,
        connected_s=session.connected_seconds,
        is_paused=session.is_paused,
    )


async def costs_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, Cost]:
    """The cost of those among these sessions that exist for this caller, have ended, and have a tariff on one of their days."""
    arguments: list[object] = []
    condition = f"{sql.any_of('s.id', list(ids), arguments)} AND {access.sessions_condition('s', arguments)}"
    rows = await sql.rows(
        f"SELECT {CHARGED_COLUMNS} FROM charge_sessions s WHERE {condition} AND s.state = '{SessionState.ENDED}'",  # noqa: S608
        *arguments,
    )
    charged = [charged_of(row) for row in rows]
    till = Till(await tariff_book(one.installation_id for one in charged))
    costs = await till.costs(charged)
    return {one.id: cost for one, cost in zip(charged, costs, strict=True) if cost is not None}


class Till:
    """Prices charges by one reading of the tariffs; imported prices are read as they are needed."""

    def __init__(self, book: TariffBook) -> None:
        self.book = book
        self._prices = PriceBook()

    async def costs(self, charged: Sequence[Charged]) -> list[Cost | None]:
        """What each costs, in their order; None where no tariff holds. Others in the process have their turns meanwhile."""
        found: list[Cost | None] = []
        waiting: list[Charged] = []
        expected = 0
        for one in charged:
            waiting.append(one)
            expected += 1 + (one.ended_at - one.started_at) // INTERVAL if one.installation_id in self.book.sites else 0
            if expected >= _PARTS_AT_ONCE or len(waiting) == _CHARGES_AT_ONCE:
                found += await self._some(waiting)
                waiting, expected = [], 0
        return found + await self._some(waiting)

    async def _some(self, charged: Sequence[Charged]) -> list[Cost | None]:
        await asyncio.sleep(0)
        asked = {one.id for one in charged if self._needs_parts(one)}
        cut = [one for one in charged if one.id in asked and one.is_reliable]
        stored = await _stored_parts([one.id for one in cut])
        held = await self._held(cut)
        for one in charged:
            if one.id in asked:
                await self._reach_prices(one)
        await asyncio.sleep(0)
        return [self._cost(one, stored.get(one.id), held, is_cut=one.id in asked) for one in charged]

    async def _held(self, charged: Sequence[Charged]) -> Mapping[UUID, Sequence[Span]]:
        """When the chargers of those for whom idle time costs something were held back."""
        priced = [one for one in charged if self._has_idle(one)]
        chargers = {one.charger_id for one in priced if one.charger_id is not None}
        if not chargers:
            return {}
        first, last = min(one.started_at for one in priced), max(one.ended_at for one in priced)
        return await held_spans(sorted(chargers), first, last)

    def _has_idle(self, one: Charged) -> bool:
        site = self.book.sites.get(one.installation_id)
        return site is not None and has_idle(*one.span, self._terms_on(one), site.calendar)

    def _terms_on(self, one: Charged) -> TermsOn:
        return self.book.terms_of(one.installation_id, one.user_id)

    def _needs_parts(self, one: Charged) -> bool:
        site = self.book.sites.get(one.installation_id)
        return site is not None and needs_parts(*one.span, self._terms_on(one), site.calendar)

    async def _reach_prices(self, one: Charged) -> None:
        """What may be needed of imported prices is here."""
        site = self.book.sites[one.installation_id]
        since, until = one.span
        terms_on, days = self._terms_on(one), site.calendar.days(since, until)
        for terms in {terms.id: terms for day in days if (terms := terms_on(day)) is not None}.values():
            if terms.is_imported:
                await self._prices.reach(terms.id, since, until)

    def _cost(
        self, one: Charged, stored: Sequence[Part] | None, held: Mapping[UUID, Sequence[Span]], *, is_cut: bool
    ) -> Cost | None:
        site = self.book.sites.get(one.installation_id)
        if site is None:
            return None
        spans = () if one.charger_id is None else held.get(one.charger_id, ())
        charge = _charge(one, stored, spans, is_cut=is_cut)
        return cost_of(charge, self._terms_on(one), self._prices, site.calendar, site.currency)


def _charge(one: Charged, stored: Sequence[Part] | None, held: Sequence[Span], *, is_cut: bool) -> Charge:
    """The charge with its energy over time; in one piece where it is not cut, or its dates are not known."""
    since, until = one.span
    energy_wh = one.energy_wh or 0
    whole = (Part(since, until, energy_wh, IntervalQuality.ESTIMATED),)
    if not is_cut or not one.is_reliable:
        return Charge(since, until, one.energy_wh, one.connected_s, whole)
    is_usable = stored and _fit(stored, since, until, energy_wh)
    # Imported history keeps no rows for what follows from the session itself: even over its time.
    parts = stored if stored and is_usable else whole
    idle_from = None if one.is_paused or not is_usable else _idle_from(parts)
    return Charge(since, until, one.energy_wh, one.connected_s, parts, idle_from, held)


def _fit(parts: Sequence[Part], since: datetime, until: datetime, energy_wh: int) -> bool:
    """Whether the parts lie within the charge and add up to its energy."""
    return (
        since <= parts[0].start_at and parts[-1].end_at <= until and sum(part.energy_wh for part in parts) == energy_wh
    )


def _idle_from(parts: Sequence[Part]) -> datetime | None:
    """The end of the last interval in which energy was taken; None where that is a guess, or where none ever was."""
    if any(part.quality is IntervalQuality.ESTIMATED for part in parts):
        return None
    return next((part.end_at for part in reversed(parts) if part.energy_wh > 0), None)


async def _stored_parts(session_ids: Sequence[UUID]) -> dict[UUID, list[Part]]:
    found: dict[UUID, list[Part]] = {}
    for some in sql.in_chunks(session_ids):
        arguments: list[object] = []
        condition = sql.any_of("session_id", some, arguments)
        last: object = None
        for row in await sql.records(
            f"SELECT session_id, start_at, end_at, energy_wh, quality FROM energy_intervals WHERE {condition}"  # noqa: S608
            " ORDER BY session_id, start_at",
            *arguments,
        ):
            if row[0] != last:
                last, parts = row[0], found.setdefault(sql.uuid_of(row[0]), [])
            parts.append(Part(sql.instant_of(row[1]), sql.instant_of(row[2]), row[3], _QUALITIES[row[4]]))
    return found


def first_days(calendar: Calendar, since: datetime, until: datetime) -> list[date]:
    """The firsts of the months that begin in [since, until), by the local clock."""
    day = calendar.day_of(since)
    first = day.replace(day=1)
    found = []
    while calendar.start(first) < until:
        if calendar.start(first) >= since:
            found.append(first)
        first = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return found
