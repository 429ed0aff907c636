"""Work that waits in the database: mails to be sent, and rows whose time is over."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec
import structlog

from domain import idempotency, outbox, queues, session_events
from domain.alerting import alert_book, alert_mailing, alert_planning
from domain.alerting.alert_mailing import MailRoom
from domain.authorization import requests
from domain.clock import Clock
from domain.current import offers
from domain.equipment import ocpp_messages, unknown_chargers
from domain.errors import DomainError, UnavailableError
from domain.identification import card_enrollments
from domain.identity import account_recovery, invitations
from domain.ports import Mail, Mailer, MailServerAwayError, Tokens
from domain.roles import Severity
from domain.tracing import UNTRACED, Tracing

MAIL_KIND = "mail"
LOOK_FOR_MAIL_S = 2.0
LOOK_FOR_NEWS_S = 1.0
COUNTED_EVERY_S = 15.0
MOST_IN_A_BATCH = 100
"""Servers close a connection after so many, or take the sender for one that sends to lists."""
SERVER_AWAY_S = 15.0
"""A server that hangs keeps each mail for long: so the others wait for it to be back, and not for each other."""
MAIL_CLAIM_S = 600.0
"""Longer than an SMTP conversation may take, so that a slow server does not make a second worker send it again."""

ENDS_WITHIN_S = 5.0
"""A server that has all of a mail says so within moments, or is too slow to be waited for at an end."""

HOUSEKEEPING_S = 3600.0
DECISIONS_KEPT = timedelta(days=30)
DONE_MESSAGES_KEPT = timedelta(days=30)
OCPP_MESSAGES_KEPT = timedelta(days=30)
ATTEMPTS_KEPT = timedelta(days=90)
QUESTIONS_KEPT = timedelta(days=30)
ENROLLMENTS_KEPT = timedelta(days=30)
UNKNOWN_CHARGERS_KEPT = timedelta(days=30)


class _Writer(Protocol):
    """Makes a letter with a code, which is in no table, of what waits; None when there is nobody to write to any more."""

    async def __call__(
        self, message: outbox.Claimed, /, *, tokens: Tokens, public_url: str, now: datetime
    ) -> Mail | None:
        """The letter."""
        ...


_WRITERS: Final[Mapping[str, _Writer]] = {
    invitations.INVITATION: invitations.write,
    account_recovery.RESET: account_recovery.write_reset,
}

_log = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(Mail)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows went away."""

    decisions: int
    messages: int
    idempotency_keys: int
    secrets: int = 0
    attempts: int = 0
    questions: int = 0
    enrollments: int = 0
    session_events: int = 0
    ocpp_messages: int = 0
    unknown_chargers: int = 0
    alert_notices: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of one queue: how much waits, for how long the first does, and how much was given up."""

    count: int = 0
    oldest_s: float = 0.0
    given_up: int = 0


@dataclass
class MailCounts:
    """What became of mails in this process."""

    sent: int = 0
    waiting: int = 0
    failed: int = 0
    about_alerts: int = 0
    queued: int = 0
    oldest_s: float = 0.0
    """How long the first of the queued mails has waited."""
    queues: Mapping[str, Waiting] = field(default_factory=dict)
    """What waits for somebody to do it, by queue; in the whole portal, as queued and oldest_s."""
    open_alerts: dict[Severity, int] = field(default_factory=lambda: dict.fromkeys(Severity, 0))
    """In the whole portal, as queued and oldest_s."""


AsOfNow = Callable[[Mail], Awaitable[Mail | None]]
"""A mail as it may go out now, which is perhaps long after it was written; None where it may not."""


async def deliver_mails(
    mailer: Mailer,
    clock: Clock,
    counts: MailCounts | None = None,
    tracing: Tracing = UNTRACED,
    *,
    as_of_now: AsOfNow | None = None,
) -> None:
    """Until cancelled: every mail of the outbox is handed to the SMTP server once, however long that is away."""
    while True:
        try:
            if not await deliver_some(mailer, clock, counts, tracing, as_of_now=as_of_now):
                await clock.sleep(LOOK_FOR_MAIL_S)
        except MailServerAwayError:
            await clock.sleep(SERVER_AWAY_S)


async def deliver_some(
    mailer: Mailer,
    clock: Clock,
    counts: MailCounts | None = None,
    tracing: Tracing = UNTRACED,
    *,
    as_of_now: AsOfNow | None = None,
) -> bool:
    """Whether there was anything to deliver; what is due goes over one connection. MailServerAwayError: no other was tried.

    One mail is claimed at a time, so that a crash repeats one at most. Who ends it waits for the server's word on the one that is out.
    """
    counts = counts or MailCounts()
    claimed = await outbox.claim(MAIL_KIND, now=clock.now(), for_s=MAIL_CLAIM_S, limit=1)
    if not claimed:
        return False
    with tracing.span("mail batch") as span:
        async with mailer.batch() as connection:
            mails = 0
            while claimed:
                await _to_its_end(_deliver(claimed[0], connection, clock, counts, as_of_now))
                mails += 1
                span.note(mails=mails)
                if mails == MOST_IN_A_BATCH:
                    break
                claimed = await outbox.claim(MAIL_KIND, now=clock.now(), for_s=MAIL_CLAIM_S, limit=1)
    return True


async def _to_its_end(delivery: Coroutine[None, None, None]) -> None:
    """The delivery is over; one that is cancelled has some seconds for that, because the server may have taken the mail already."""
    task = asyncio.create_task(delivery, name="mail delivery")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=ENDS_WITHIN_S)
        task.cancel()
        # Whatever became of it is in its row.
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _deliver(
    message: outbox.Claimed, mailer: Mailer, clock: Clock, counts: MailCounts, as_of_now: AsOfNow | None
) -> None:
    try:
        mail: Mail | None = _decoder.decode(message.payload)
        if mail is not None and as_of_now is not None:
            mail = await as_of_now(mail)
        if mail is None:
            await outbox.done(message, now=clock.now())
            return
        await mailer.send(mail)
    except MailServerAwayError as error:
        counts.waiting += 1
        _log.warning("mail waits", message=str(message.id), attempts=message.attempts, reason=error.message)
        await outbox.retry(message, error=error.message, now=clock.now())
        raise
    except UnavailableError as error:
        counts.waiting += 1
        _log.warning("mail waits", message=str(message.id), attempts=message.attempts, reason=error.message)
        await outbox.retry(message, error=error.message, now=clock.now())
    except (DomainError, msgspec.DecodeError) as error:
        counts.failed += 1
        _log.error("mail cannot be delivered", message=str(message.id), reason=str(error))
        await outbox.fail(message, error=str(error), now=clock.now())
    else:
        counts.sent += 1
        await outbox.done(message, now=clock.now())


async def tell_of_alerts(room: MailRoom, clock: Clock, counts: MailCounts | None = None) -> None:
    """Until cancelled: whoever wants to know of an alert has a mail, as soon as they want it."""
    while True:
        if not await tell_some_of_alerts(room, clock, counts):
            await clock.sleep(LOOK_FOR_NEWS_S)


async def keep_count(counts: MailCounts, clock: Clock) -> None:
    """Until cancelled: what waits and what is wrong is counted."""
    while True:
        await count(counts, now=clock.now())
        await clock.sleep(COUNTED_EVERY_S)


async def count(counts: MailCounts, *, now: datetime) -> None:
    """What waits and what is wrong is counted, as of now."""
    counts.queues = {name: _waiting(queue, now) for name, queue in (await queues.look(now=now)).items()}
    mails = counts.queues[MAIL_KIND]
    counts.queued, counts.oldest_s = mails.count, mails.oldest_s
    counts.open_alerts = dict(await alert_book.open_counts())


def _waiting(queue: queues.Queue, now: datetime) -> Waiting:
    oldest_s = 0.0 if queue.oldest_at is None else max(0.0, (now - queue.oldest_at).total_seconds())
    return Waiting(queue.waiting, oldest_s, queue.given_up)


async def tell_some_of_alerts(room: MailRoom, clock: Clock, counts: MailCounts | None = None) -> bool:
    """Whether there was anything to plan or to write."""
    is_news = await alert_planning.plan_some(now=clock.now())
    written = await alert_mailing.write_some(room, now=clock.now()) + await alert_mailing.ask_some(
        room, now=clock.now()
    )
    if counts is not None:
        counts.about_alerts += written
    return is_news or written > 0


async def deliver_codes(mailer: Mailer, tokens: Tokens, public_url: str, clock: Clock) -> None:
    """Until cancelled: whoever is invited, or forgot their password, has a letter with a code."""
    while True:
        if not await deliver_some_codes(mailer, tokens, public_url, clock):
            await clock.sleep(LOOK_FOR_MAIL_S)


async def deliver_some_codes(mailer: Mailer, tokens: Tokens, public_url: str, clock: Clock) -> bool:
    """Whether there was any such letter to write."""
    has_any = False
    for kind, write in _WRITERS.items():
        for message in await outbox.claim(kind, now=clock.now(), for_s=MAIL_CLAIM_S, limit=1):
            has_any = True
            await _write(message, write, mailer, tokens, public_url, clock)
    return has_any


async def _write(
    message: outbox.Claimed, write: _Writer, mailer: Mailer, tokens: Tokens, public_url: str, clock: Clock
) -> None:
    try:
        mail = await write(message, tokens=tokens, public_url=public_url, now=clock.now())
        if mail is not None:
            await mailer.send(mail)
    except UnavailableError as error:
        await outbox.retry(message, error=error.message, now=clock.now())
    except DomainError as error:
        _log.error("a letter with a code cannot be delivered", message=str(message.id), reason=error.message)
        await outbox.fail(message, error=error.message, now=clock.now())
    else:
        await outbox.done(message, now=clock.now())


async def keep_house(clock: Clock) -> None:
    """Until cancelled: rows that nobody may ask for any more go away."""
    while True:
        kept = await keep_house_once(clock.now())
        _log.info("house kept", **asdict(kept))
        await clock.sleep(HOUSEKEEPING_S)


async def keep_house_once(now: datetime) -> Forgotten:
    """What nobody may ask for any more is gone: docs/operations.md says what is kept how long."""
    return Forgotten(
        decisions=await offers.forget_decisions(before=now - DECISIONS_KEPT),
        messages=await outbox.forget(before=now - DONE_MESSAGES_KEPT),
        idempotency_keys=await idempotency.forget_old(now),
        secrets=await account_recovery.forget(now=now),
        attempts=await requests.forget_attempts(before=now - ATTEMPTS_KEPT),
        questions=await requests.forget(before=now - QUESTIONS_KEPT, now=now),
        enrollments=await card_enrollments.forget(before=now - ENROLLMENTS_KEPT),
        session_events=await session_events.forget(before=now - DONE_MESSAGES_KEPT),
        ocpp_messages=await ocpp_messages.forget(before=now - OCPP_MESSAGES_KEPT),
        unknown_chargers=await unknown_chargers.forget(before=now - UNKNOWN_CHARGERS_KEPT),
        alert_notices=await alert_mailing.forget(before=now - alert_mailing.NOTICES_KEPT),
    )
