"""When the portal held cars back: it offered nothing to one that wanted current, or that a person had paused."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from domain import sql

Span = tuple[datetime, datetime]


async def end(charger_ids: Sequence[UUID], *, now: datetime) -> None:
    """What was held at these chargers is held no longer, and is remembered. Their offers go on to say that it is: write them, too."""
    arguments: list[object] = [now]
    chosen = sql.any_of("o.charger_id", charger_ids, arguments)
    await sql.execute(
        "INSERT INTO held_spans (charger_id, since, until)"  # noqa: S608  marks only
        f" SELECT o.charger_id, o.held_since, CAST($1 AS {sql.instant_type()}) FROM offers o"
        f" WHERE o.held_since IS NOT NULL AND {chosen}",
        *arguments,
    )


async def held_spans(charger_ids: Sequence[UUID], since: datetime, until: datetime) -> Mapping[UUID, Sequence[Span]]:
    """When each of these chargers was held back in that time, in order; what has not ended goes on until its end."""
    found: dict[UUID, list[Span]] = {}
    for some in sql.in_chunks(charger_ids):
        arguments: list[object] = [since, until]
        spans, offers = (sql.any_of(f"{table}.charger_id", some, arguments) for table in ("h", "o"))
        statement = f"""
            SELECT h.charger_id, h.since, h.until FROM held_spans h WHERE {spans} AND h.until > $1 AND h.since < $2
            UNION ALL SELECT o.charger_id, o.held_since, CAST($2 AS {sql.instant_type()}) FROM offers o WHERE {offers} AND o.held_since < $2
        """  # noqa: S608  marks only
        for row in await sql.records(statement, *arguments):
            span = sql.instant_of(row[1]), sql.instant_of(row[2])
            found.setdefault(sql.uuid_of(row[0]), []).append(span)
    return {charger_id: sorted(spans) for charger_id, spans in found.items()}
