"""What is asked of the table of events every half a second stays quick: it holds a month of them, of which few wait."""

import logging
import re
from datetime import timedelta

import pytest

from domain import session_events, sql
from domain.ids import new_id
from domain.models import ExternalAuthentication, SessionEvent
from domain.roles import ExternalMode, SessionEventKind
from tests.factories import NOW, a_site

pytestmark = pytest.mark.usefixtures("database")

DELIVERED = 20_000
FIRST, DUE = NOW - timedelta(days=29), NOW - timedelta(minutes=1)


async def test_no_question_about_events_reads_what_was_delivered(caplog: pytest.LogCaptureFixture) -> None:
    """What is due, what waits, what was given up and what is old are each found by an index, on either database."""
    site = await a_site()
    system = ExternalAuthentication(installation_id=site.id, mode=ExternalMode.SHADOW, url="https://system.example/")
    await ExternalAuthentication.bulk_create([system])
    await SessionEvent.bulk_create(
        SessionEvent(
            installation_id=site.id,
            session_id=new_id(),
            kind=SessionEventKind.STARTED,
            payload="{}",
            created_at=FIRST + timedelta(minutes=2 * number),
            due_at=FIRST,
            delivered_at=FIRST if number < DELIVERED - 5 else None,
        )
        for number in range(DELIVERED)
    )
    await sql.execute("ANALYZE session_events")
    caplog.set_level(logging.DEBUG, "tortoise.db_client")
    await session_events.due_places(now=NOW)
    assert len(await session_events.claim([site.id], now=NOW, for_s=60, limit=8)) == 5
    assert (await session_events.pending(site.id)).count == 5
    assert (await session_events.given_up(site.id)).count == 0
    await session_events.give_up_all(site.id, error="away", now=NOW)
    assert await session_events.forget(before=FIRST) == 0
    said = [record.args for record in caplog.records if isinstance(record.args, tuple)]
    asked: list[tuple[str, list[object]]] = [one for one in said if "session_events" in str(one[0])]  # type: ignore[misc]
    assert len(asked) >= 6
    explain = "EXPLAIN QUERY PLAN" if sql.is_sqlite() else "EXPLAIN"
    for statement, values in asked:
        plan = await sql.connection().execute_query_dict(f"{explain} {statement}", values)
        steps = "\n".join(str(row.get("detail") or row.get("QUERY PLAN")) for row in plan)
        assert not re.search(r"(Seq Scan on session_events|SCAN (session_events|e|o)$)", steps, re.MULTILINE), steps
        assert re.search(r"session_events_(due|given_up)|created_at", steps), steps
