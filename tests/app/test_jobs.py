"""Tests of mails on their way from the outbox to a real SMTP server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.jobs import Forgotten, MailCounts, count, deliver_some, keep_house_once
from app.mail import SmtpMailer, smtp_server
from app.metrics import exposition, new_registry, watch_mails
from domain import idempotency, outbox, sql
from domain.clock import SystemClock
from domain.ids import new_id
from domain.ports import Mail, Mailer, MailServerAwayError
from domain.roles import AlertKind, Severity
from tests.factories import NOW, a_site, an_alert
from tests.servers import free_port

pytestmark = pytest.mark.usefixtures("database")

CLOCK = SystemClock()


@dataclass
class Inbox:
    """What an SMTP server took; `answer` is what it says to the next mail."""

    answer: str = "250 OK"
    taken: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  the server's name for it
        """Keeps the mail unless it is told otherwise."""
        if self.answer.startswith("250"):
            self.taken.append(envelope)
        return self.answer


@pytest.fixture
def inbox() -> Inbox:
    """An empty inbox."""
    return Inbox()


@pytest.fixture
def mailer(inbox: Inbox) -> Iterator[SmtpMailer]:
    """A mailer whose server is real and on this machine."""
    port = free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield SmtpMailer(smtp_server(f"smtp://127.0.0.1:{port}"), sender="Lade <lade@example.org>", clock=CLOCK)
    controller.stop()


async def put_mail(to: str = "ida@example.org") -> None:
    """One mail waits in the outbox."""
    mail = Mail(
        to=to, subject="P7 is silent", text="Nothing heard from P7 for 15 minutes.", message_id="<1@example.org>"
    )
    await outbox.put("mail", msgspec.json.encode(mail).decode(), now=CLOCK.now())


async def test_a_mail_reaches_the_server_once(mailer: SmtpMailer, inbox: Inbox) -> None:
    """What waits in the outbox is delivered, and nothing is left to deliver."""
    await put_mail()
    assert await deliver_some(mailer, CLOCK)
    assert not await deliver_some(mailer, CLOCK)
    assert [envelope.rcpt_tos for envelope in inbox.taken] == [["ida@example.org"]]


async def test_a_mail_waits_while_the_server_cannot(mailer: SmtpMailer, inbox: Inbox) -> None:
    """A server that asks for patience gets the mail later; it is neither lost nor marked as done."""
    inbox.answer = "451 try later"
    await put_mail()
    await deliver_some(mailer, CLOCK)
    row = await sql.row("SELECT attempts, done_at, failed_at, due_at, created_at FROM outbox")
    assert row is not None
    assert (row["attempts"], row["done_at"], row["failed_at"]) == (1, None, None)
    assert sql.instant_of(row["due_at"]) > sql.instant_of(row["created_at"])


async def test_a_refused_mail_is_kept_with_the_reason(mailer: SmtpMailer, inbox: Inbox) -> None:
    """What a server refuses for good is not tried again."""
    inbox.answer = "550 no such person"
    await put_mail()
    await deliver_some(mailer, CLOCK)
    row = await sql.row("SELECT failed_at, error FROM outbox")
    assert row is not None
    assert row["failed_at"] is not None
    assert "550" in row["error"]
    assert not await deliver_some(mailer, CLOCK)


@dataclass
class SlowServer:
    """It has the mail, and takes its time to say so."""

    has_it: asyncio.Event = field(default_factory=asyncio.Event)
    says_so: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        """Returns when told."""
        self.taken.append(mail)
        self.has_it.set()
        await self.says_so.wait()

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Mailer]:
        """The same."""
        yield self


async def test_a_server_that_is_stopped_waits_for_the_word_on_the_mail_that_is_out() -> None:
    """Otherwise the next one would send it again."""
    await put_mail()
    server = SlowServer()
    delivering = asyncio.create_task(deliver_some(server, CLOCK))
    await server.has_it.wait()
    delivering.cancel()
    await asyncio.sleep(0)
    server.says_so.set()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert await sql.row("SELECT 1 AS n FROM outbox WHERE kind = 'mail' AND done_at IS NULL") is None
    assert len(server.taken) == 1


async def test_a_mail_that_may_not_go_out_any_more_does_not(mailer: SmtpMailer, inbox: Inbox) -> None:
    """Whoever judges mails before they leave is asked each time, and what they leave of it goes out."""
    await put_mail("lost@example.org")
    await put_mail("ida@example.org")

    async def as_of_now(mail: Mail) -> Mail | None:
        return None if mail.to == "lost@example.org" else replace(mail, subject="Less")

    assert await deliver_some(mailer, CLOCK, as_of_now=as_of_now)
    assert [one.rcpt_tos for one in inbox.taken] == [["ida@example.org"]]
    assert b"Subject: Less" in (inbox.taken[0].content or b"")
    assert not await deliver_some(mailer, CLOCK)


async def test_a_server_that_is_away_is_not_asked_for_every_mail() -> None:
    """The first mail finds out; it is tried again later, and the second has not been touched."""
    away = SmtpMailer(smtp_server(f"smtp://127.0.0.1:{free_port()}"), sender="Lade <lade@example.org>", clock=CLOCK)
    await put_mail()
    await put_mail()
    with pytest.raises(MailServerAwayError):
        await deliver_some(away, CLOCK)
    rows = await sql.rows("SELECT attempts, claimed_until FROM outbox ORDER BY attempts")
    assert [(row["attempts"], row["claimed_until"]) for row in rows] == [(0, None), (1, None)]


async def test_what_waits_and_what_is_wrong_is_counted(mailer: SmtpMailer) -> None:
    """Mails sent, waiting and how long; alerts that are not resolved."""
    site = await a_site()
    await an_alert(site.id)
    await an_alert(site.id, kind=AlertKind.VOLTAGE, severity=Severity.CRITICAL, resolved_at=NOW)
    counts, now = MailCounts(), CLOCK.now()
    await put_mail()
    await count(counts, now=now + timedelta(seconds=90))
    assert (counts.queued, round(counts.oldest_s)) == (1, 90)
    assert {one: number for one, number in counts.open_alerts.items() if number} == {Severity.ERROR: 1}
    await deliver_some(mailer, CLOCK, counts)
    await count(counts, now=now)
    assert (counts.sent, counts.queued, counts.oldest_s) == (1, 0, 0.0)
    registry = new_registry()
    watch_mails(registry, counts)
    shown = exposition(registry).decode()
    assert 'lade_mails_total{outcome="sent"} 1.0' in shown
    assert 'lade_alerts_open{severity="ERROR"} 1.0' in shown
    assert 'lade_queue_waiting{queue="export"} 0.0' in shown


async def test_an_unreadable_mail_does_not_stop_the_others(mailer: SmtpMailer, inbox: Inbox) -> None:
    """A broken row is set aside and the next mail goes out."""
    await outbox.put("mail", "not json", now=CLOCK.now())
    await put_mail()
    assert await deliver_some(mailer, CLOCK)
    assert len(inbox.taken) == 1


async def test_the_house_forgets_what_nobody_may_ask_for(mailer: SmtpMailer) -> None:
    """A key of yesterday and a mail of last month go; what is younger stays."""

    async def done() -> idempotency.Outcome:
        return idempotency.Outcome("Charger", None)

    await idempotency.once(new_id(), "addCharger", "one", "digest", done, clock=CLOCK)
    await put_mail()
    await deliver_some(mailer, CLOCK)
    now = CLOCK.now()
    assert await keep_house_once(now + timedelta(hours=23)) == Forgotten(0, 0, 0)
    assert await keep_house_once(now + timedelta(hours=25)) == Forgotten(0, 0, 1)
    assert await keep_house_once(now + timedelta(days=31)) == Forgotten(0, 1, 0)
