"""Mails about alerts in tests: what would go out at an instant."""

from datetime import datetime

import msgspec

from app.auth import SignedTokens
from app.press import Press
from domain.alerting import alert_mailing, alert_planning
from domain.alerting.alert_mailing import MailRoom
from domain.models import OutboxMessage
from domain.ports import Mail

ROOM = MailRoom(Press(), SignedTokens("a secret for tests"), "https://lade.example")


async def work(now: datetime) -> None:
    """Everything that is due then is planned and written."""
    while await alert_planning.plan_some(now=now):
        pass
    while await alert_mailing.write_some(ROOM, now=now):
        pass
    while await alert_mailing.ask_some(ROOM, now=now):
        pass


async def mails() -> list[Mail]:
    """All that were written and wait for the server, in their order."""
    rows = await OutboxMessage.filter(kind="mail").order_by("created_at", "id")
    return [msgspec.json.decode(row.payload, type=Mail) for row in rows]


async def written(now: datetime) -> list[Mail]:
    """All mails that were written by then."""
    await work(now)
    return await mails()


def subjects(found: list[Mail]) -> list[tuple[str, str]]:
    """(to whom, subject) of each."""
    return [(mail.to, mail.subject) for mail in found]
