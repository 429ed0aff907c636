"""What waits in the database for somebody to do it: how much, since when, and what was given up. For operators only: counts of all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from domain import sql
from domain.roles import CommandState, ExportState

KINDS = ("mail", "alert", "alert-confirmation", "invitation", "password-reset")
"""Of the outbox: shown also when nothing of the kind waits."""
NOTICES, EXPORTS, EVENTS, COMMANDS, QUESTIONS = "alert-notice", "export", "session-event", "command", "authorization"
QUEUES = (*KINDS, NOTICES, EXPORTS, EVENTS, COMMANDS, QUESTIONS)


@dataclass(frozen=True, slots=True)
class Queue:
    """How much waits, since when the first does (None: nothing waits), and how much was given up and is kept to be looked at."""

    waiting: int = 0
    oldest_at: datetime | None = None
    given_up: int = 0


_OUTBOX = """
SELECT kind AS name, SUM(CASE WHEN failed_at IS NULL THEN 1 ELSE 0 END) AS n,
  MIN(CASE WHEN failed_at IS NULL THEN created_at END) AS oldest, SUM(CASE WHEN failed_at IS NULL THEN 0 ELSE 1 END) AS given_up
FROM outbox WHERE done_at IS NULL GROUP BY kind
"""
_NOTICES = "SELECT COUNT(*) AS n, MIN(due_at) AS oldest, 0 AS given_up FROM alert_notices WHERE mailed_at IS NULL AND due_at <= $1"
_EXPORTS = f"""
SELECT COUNT(*) AS n, MIN(created_at) AS oldest, 0 AS given_up FROM exports
WHERE state IN ('{ExportState.QUEUED.value}', '{ExportState.RUNNING.value}')
"""  # noqa: S608  enums' values
_EVENTS = """
SELECT COUNT(*) AS n, MIN(due_at) AS oldest, 0 AS given_up FROM session_events
WHERE delivered_at IS NULL AND failed_at IS NULL AND due_at <= $1
"""
_COMMANDS = f"""
SELECT COUNT(*) AS n, MIN(requested_at) AS oldest, 0 AS given_up FROM commands
WHERE state IN ('{CommandState.QUEUED.value}', '{CommandState.SENT.value}', '{CommandState.ACCEPTED.value}')
"""  # noqa: S608  enums' values
_QUESTIONS = "SELECT COUNT(*) AS n, MIN(requested_at) AS oldest, 0 AS given_up FROM authorization_requests WHERE decided_at IS NULL"


async def look(*, now: datetime) -> Mapping[str, Queue]:
    """Every queue of the portal by its name; those to be done later wait from then on."""
    found = {name: Queue() for name in QUEUES}
    for row in await sql.rows(_OUTBOX):
        found[row["name"]] = _queue(row)
    for name, statement, arguments in (
        (NOTICES, _NOTICES, (now,)),
        (EXPORTS, _EXPORTS, ()),
        (EVENTS, _EVENTS, (now,)),
        (COMMANDS, _COMMANDS, ()),
        (QUESTIONS, _QUESTIONS, ()),
    ):
        counted = await sql.row(statement, *arguments)
        if counted is not None:
            found[name] = _queue(counted)
    return found


def _queue(row: sql.Row) -> Queue:
    return Queue(int(row["n"]), sql.optional_instant_of(row["oldest"]), int(row["given_up"]))
