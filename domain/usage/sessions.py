"""The sessions behind a usage summary, in batches, each with the energy that counts."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain import sql
from domain.access import Access
from domain.periods import Period
from domain.roles import ReportBasis
from domain.sessions import SESSION_COLUMNS, SessionRow, session_of_row
from domain.usage.batches import charges_behind
from domain.usage.intervals import energy_inside
from domain.usage.question import UsageQuestion
from domain.usage.rows import Scope


@dataclass(frozen=True, slots=True)
class CountedSession:
    """A session, and how much of its energy lies in the period; `at` is the instant that puts it there."""

    session: SessionRow
    energy_wh: int
    at: datetime


async def counted_batches(
    access: Access, question: UsageQuestion, period: Period, scope: Scope
) -> AsyncIterator[Sequence[CountedSession]]:
    """Oldest first by the instant of the basis, then by id."""
    async for rows in charges_behind(question, period, scope, lambda _: SESSION_COLUMNS):
        sessions = [session_of_row(access, row) for row in rows]
        energies = await _energies(sessions, question.basis, period)
        yield [
            CountedSession(one, energy, sql.instant_of(row["counted_at"]))
            for one, energy, row in zip(sessions, energies, rows, strict=True)
        ]


async def _energies(sessions: Sequence[SessionRow], basis: ReportBasis, period: Period) -> list[int]:
    if basis is not ReportBasis.INTERVAL:
        return [session.energy_wh or 0 for session in sessions]
    return await energy_inside(sessions, period.start_at, period.end_at)
