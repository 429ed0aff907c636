"""The sessions behind a usage summary, in batches, each with the energy that counts."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain import sql
from domain.access import Access
from domain.periods import Period
from domain.roles import ReportBasis
from domain.sessions import SESSION_COLUMNS, SessionRow, session_of_row
from domain.usage.intervals import energy_inside, touches
from domain.usage.question import UsageQuestion
from domain.usage.rows import INSTANTS, Scope, counted

BATCH = 250
"""Sessions that are read at once: a few milliseconds of the loop that others wait for."""


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
    instant = INSTANTS.get(question.basis, "s.started_at")
    after: tuple[datetime, object] | None = None
    while True:
        arguments: list[object] = []
        condition = counted(scope, question.where, arguments)
        arguments += [period.start_at, period.end_at]
        start, end = f"${len(arguments) - 1}", f"${len(arguments)}"
        inside = f"{instant} >= {start} AND {instant} < {end}"
        if question.basis is ReportBasis.INTERVAL:
            inside = touches(start, end)
        if after is not None:
            arguments += list(after)
            at, key = f"${len(arguments) - 1}", f"${len(arguments)}"
            # As a row, so that the database begins there in its index instead of reading from the first.
            inside = f"({inside}) AND ({instant}, s.id) > ({at}, {key})"
        statement = f"""
            SELECT {SESSION_COLUMNS}, {instant} AS counted_at FROM charge_sessions s
            WHERE {condition} AND ({inside}) ORDER BY {instant}, s.id LIMIT {BATCH}
        """  # noqa: S608  columns of ours, and marks
        rows = await sql.rows(statement, *arguments)
        if rows:
            sessions = [(session_of_row(access, row), sql.instant_of(row["counted_at"])) for row in rows]
            energies = await _energies([session for session, _ in sessions], question.basis, period)
            yield [CountedSession(one, energy, at) for (one, at), energy in zip(sessions, energies, strict=True)]
            after = (sessions[-1][1], sessions[-1][0].id)
        if len(rows) < BATCH:
            return


async def _energies(sessions: Sequence[SessionRow], basis: ReportBasis, period: Period) -> list[int]:
    if basis is not ReportBasis.INTERVAL:
        return [session.energy_wh or 0 for session in sessions]
    return await energy_inside(sessions, period.start_at, period.end_at)
