"""The charges behind a usage summary as rows, a few at a time, however many there are: for memory, and for the turns of others."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from domain import sql
from domain.periods import Period
from domain.roles import ReportBasis
from domain.usage.intervals import touches
from domain.usage.question import UsageQuestion
from domain.usage.rows import INSTANTS, Scope, counted

BATCH: Final = 100
"""Charges that are read at once: a few milliseconds of the loop that others wait for."""


async def charges_behind(
    question: UsageQuestion, period: Period, scope: Scope, columns: Callable[[list[object]], str]
) -> AsyncIterator[Sequence[sql.Record]]:
    """The charges `s` that count, oldest first by the instant of the basis (`counted_at`), then by id.

    `columns` says which columns are read, `s.id` among them, and may append to the arguments.
    """
    instant = INSTANTS.get(question.basis, "s.started_at")
    after: tuple[datetime, UUID] | None = None
    while True:
        arguments: list[object] = []
        shown = columns(arguments)
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
            SELECT {shown}, {instant} AS counted_at FROM charge_sessions s
            WHERE {condition} AND ({inside}) ORDER BY {instant}, s.id LIMIT {BATCH}
        """  # noqa: S608  columns of ours, and marks
        rows = await sql.records(statement, *arguments)
        if rows:
            yield rows
            after = (sql.instant_of(rows[-1]["counted_at"]), sql.uuid_of(rows[-1]["id"]))
        if len(rows) < BATCH:
            return
