"""What waits to be done, counted for operators."""

import pytest

from domain import outbox, queues
from domain.ids import new_id
from domain.models import AuthorizationRequest, Command, Export
from domain.queues import QUEUES, Queue
from domain.roles import CommandAction, CommandState, ExportFormat, ExportState, ReportKind
from tests.domain.rig import at
from tests.factories import a_charger, a_person, a_question, a_site

pytestmark = pytest.mark.usefixtures("database")


async def test_nothing_waits_in_a_new_portal() -> None:
    """Every queue is there, and empty."""
    assert await queues.look(now=at(0)) == dict.fromkeys(QUEUES, Queue())


async def test_what_waits_is_counted_and_what_is_done_is_not() -> None:
    """Each with when its first began to wait; what was given up is apart."""
    site, person = await a_site(), await a_person()
    charger_id = await a_charger(site)
    for minute in (1, 2, 3, 4):
        await outbox.put("mail", str(minute), now=at(minute))
    first, second = await outbox.claim("mail", now=at(4), for_s=10, limit=2)
    await outbox.done(first, now=at(4))
    await outbox.fail(second, error="no such mailbox", now=at(4))
    await a_question(site, charger_id)
    asked = await AuthorizationRequest.get()
    for state, minute in ((ExportState.QUEUED, 5), (ExportState.READY, 1)):
        await Export.create(
            user_id=person,
            kind=ReportKind.SESSIONS,
            format=ExportFormat.CSV,
            parameters="{}",
            state=state,
            created_at=at(minute),
        )
    for command_state, minute in ((CommandState.SENT, 6), (CommandState.CONFIRMED, 1)):
        await Command.create(
            id=new_id(),
            installation_id=site.id,
            charger_id=charger_id,
            action=CommandAction.STOP,
            state=command_state,
            requested_at=at(minute),
            deadline=at(minute + 1),
        )
    found = await queues.look(now=at(10))
    assert {name: queue for name, queue in found.items() if queue != Queue()} == {
        "mail": Queue(2, at(3), 1),
        "export": Queue(1, at(5)),
        "command": Queue(1, at(6)),
        "authorization": Queue(1, asked.requested_at),
    }
