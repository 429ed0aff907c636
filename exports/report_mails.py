"""The task that sends scheduled reports: planned on the first of the month, made like any file, mailed once to each recipient."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from domain import outbox
from domain.clock import Clock
from domain.errors import DomainError, UnavailableError
from domain.outbox import Claimed
from domain.ports import Attachment, Mail, Mailer, MailServerAwayError
from domain.reporting import report_deliveries
from domain.reporting.report_deliveries import Delivery, Made
from domain.roles import ExportState
from exports.endpoints import MEDIA_TYPES, file_of
from exports.links import ExportLinks

LOOK_S: Final = 5.0
CLAIM_S: Final = 300.0
"""Longer than a large mail may take, so that a slow server does not make a second worker send it again."""
SERVER_AWAY_S: Final = 60.0
MAKING_S: Final = 2.0
"""How soon a file that is being made is looked after again."""
MOST_ATTACHED: Final = 5 * 1024 * 1024
"""Bytes of a file that goes with the mail; many servers take mails of 10 MB, and a file grows by a third on its way."""

SHORTEST_LINK: Final = timedelta(hours=12)
"""A link that works for less is not sent: the file is made anew."""

_log = structlog.get_logger(__name__)
_UNMADE = frozenset({ExportState.EXPIRED, ExportState.CANCELLED})
_MAKING = frozenset({ExportState.QUEUED, ExportState.RUNNING})


@dataclass(frozen=True, slots=True)
class ReportMails:
    """Plans, and sends what is planned. Files lie in `folder`, where the worker of exports puts them."""

    folder: Path
    mailer: Mailer
    links: ExportLinks
    clock: Clock
    most_attached: int = MOST_ATTACHED

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if not await self.work_once():
                    await self.clock.sleep(LOOK_S)
            except MailServerAwayError:
                await self.clock.sleep(SERVER_AWAY_S)

    async def work_once(self) -> bool:
        """Whether anything was planned or tried. MailServerAwayError: no other mail was tried."""
        has_any = False
        while await report_deliveries.plan_next(self.clock.now()):
            has_any = True
        claimed = await outbox.claim(report_deliveries.REPORT, now=self.clock.now(), for_s=CLAIM_S, limit=1)
        for message in claimed:
            await self._handle(message)
        return has_any or bool(claimed)

    async def _handle(self, message: Claimed) -> None:
        now = self.clock.now()
        delivery = await report_deliveries.waiting(message, now=now)
        if delivery is None:
            await outbox.done(message, now=now)
        elif not delivery.is_theirs:
            await report_deliveries.failed(message, delivery, error=report_deliveries.NOT_THEIRS, now=now)
        elif delivery.address is None:
            await report_deliveries.failed(message, delivery, error=report_deliveries.NO_ADDRESS, now=now)
        else:
            await self._make_or_send(message, delivery, delivery.address)

    async def _make_or_send(self, message: Claimed, delivery: Delivery, address: str) -> None:
        now, file = self.clock.now(), await report_deliveries.made(delivery)
        if file is not None and file.state in _MAKING:
            await outbox.defer(message, seconds=MAKING_S, now=now)
        elif file is not None and file.state is ExportState.FAILED:
            await report_deliveries.forget_file(delivery)
            await report_deliveries.put_off(message, delivery, error=file.error or "The file was not made.", now=now)
        elif file is None or not self._is_there(file, delivery, now):
            # The mail server was away for longer than files are kept.
            await report_deliveries.ask_for_file(delivery, now=now)
            await outbox.defer(message, seconds=MAKING_S, now=now)
        else:
            await self._send(message, delivery, file, address)

    def _is_there(self, file: Made, delivery: Delivery, now: datetime) -> bool:
        if file.state in _UNMADE or file.expires_at is None or file.expires_at <= now:
            return False
        if file.size_bytes > self.most_attached and file.expires_at - now < SHORTEST_LINK:
            # Who is sent a link must have time to follow it.
            return False
        return file_of(self.folder, file.export_id, delivery.format).is_file()

    async def _send(self, message: Claimed, delivery: Delivery, file: Made, address: str) -> None:
        is_attached = file.size_bytes <= self.most_attached
        try:
            await self.mailer.send(await self._mail(delivery, file, address, is_attached=is_attached))
        except UnavailableError as error:
            _log.warning("a report waits", delivery=str(delivery.id), attempts=message.attempts, reason=error.message)
            await report_deliveries.put_off(message, delivery, error=error.message, now=self.clock.now())
            if isinstance(error, MailServerAwayError):
                raise
        except DomainError as error:
            _log.error("a report cannot be delivered", delivery=str(delivery.id), reason=error.message)
            await report_deliveries.failed(message, delivery, error=error.message, now=self.clock.now())
        else:
            await report_deliveries.sent(message, delivery, is_attached=is_attached, now=self.clock.now())

    async def _mail(self, delivery: Delivery, file: Made, address: str, *, is_attached: bool) -> Mail:
        """The same message id at every attempt, by which a repetition is known."""
        attachments: tuple[Attachment, ...] = ()
        if is_attached:
            content = await asyncio.to_thread(file_of(self.folder, file.export_id, delivery.format).read_bytes)
            attachments = (Attachment(file.file_name or "report", MEDIA_TYPES[delivery.format], content),)
        return Mail(
            to=address,
            subject=subject(delivery),
            text=text(delivery, None if is_attached else self._link(file)),
            message_id=f"<{delivery.id.hex}@lade>",
            attachments=attachments,
        )

    def _link(self, file: Made) -> str:
        expires_at = file.expires_at or self.clock.now()
        return f"{self.links.url(file.export_id, expires_at)}\n(until {expires_at:%Y-%m-%d %H:%M} UTC, for whoever has this link)"


def subject(delivery: Delivery) -> str:
    """What the mail is called."""
    what = "Charging" if delivery.user_id is None else "Your charging"
    return f"{what} {delivery.period.from_date:%Y-%m}: {delivery.installation_name}"


def text(delivery: Delivery, link: str | None) -> str:
    """What the mail says; `link`: where the file is when it is too large to go along."""
    period, place = delivery.period, delivery.installation_name
    of = f"at {place} from {period.from_date} up to but not including {period.to_date} ({period.zone.key})"
    where = (
        "The file goes with this mail." if link is None else f"The file is too large for a mail. It is here:\n\n{link}"
    )
    if delivery.user_id is not None:
        return (
            f"Hello {delivery.name or ''},\n\nthis is what you charged {of}.\n{where}\n\n"
            f"You get this because {delivery.made_by} sends everybody who charges there their part every month.\n"
        )
    return (
        f"Hello,\n\nthis is the report of the charging {of}.\n{where}\n\n"
        f"You get this every month because {delivery.made_by}, who owns the installation, has entered your address. "
        "Tell them if you do not want it.\n"
    )
