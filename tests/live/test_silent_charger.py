"""A charger falls silent: its owner, and nobody else, gets one mail by a real SMTP server, however long that was away."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.auth import SignedTokens
from app.database import Database
from app.demo.garage import OWNER, ZONE, Garage, Space, make_garage
from app.jobs import deliver_mails, tell_of_alerts
from app.mail import mailer_of
from app.press import Press
from app.redis_bus import RedisBus
from app.settings import Settings
from devices.service import DeviceOptions
from domain.alerting.absences import AbsenceWatch
from domain.alerting.alert_mailing import MailRoom
from domain.clock import SystemClock
from domain.models import Alert, OutboxMessage
from domain.roles import AlertKind, AlertState
from tests.devices.server import SECRET, RawCharger, Server, a_server, authorization
from tests.servers import free_port

QUICKLY = DeviceOptions(offline_after_s=1.0, check_every_s=0.1)
APPEARS_WITHIN_S = 10.0


class Post:
    """Keeps every mail that it takes, in order."""

    def __init__(self) -> None:
        self.mails: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        """Taken."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default)
        # The server has a thread and a loop of its own.
        self._loop.call_soon_threadsafe(self.mails.put_nowait, mail)
        return "250 OK"

    async def next(self) -> EmailMessage:
        """The next mail."""
        async with asyncio.timeout(APPEARS_WITHIN_S):
            return await self.mails.get()


class LeapingClock(SystemClock):
    """The machine's clock, which can be put forward; those who sleep by it look up often."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """The instant, put forward."""
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        """Returns soon."""
        await super().sleep(min(seconds, 0.02))


@contextmanager
def post_office(post: Post, port: int) -> Iterator[None]:
    """Inside: the SMTP server answers."""
    controller = Controller(post, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


@asynccontextmanager
async def postman(port: int, clock: SystemClock) -> AsyncIterator[None]:
    """Inside: the mails of the outbox are delivered there."""
    settings = Settings(data_dir=Path("/"), secret_key=SECRET, smtp_url=f"smtp://127.0.0.1:{port}")
    room = MailRoom(Press(), SignedTokens(SECRET), "https://lade.example")
    tasks = [
        asyncio.create_task(tell_of_alerts(room, clock)),
        asyncio.create_task(deliver_mails(mailer_of(settings, clock=clock), clock)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def heard_and_lost(server: Server, space: Space) -> None:
    """The charger was here, and its connection broke without a word."""
    async with connect(
        server.url(space.identity),
        additional_headers=authorization(space.identity, space.password),
        subprotocols=[Subprotocol("ocpp1.6")],
        compression=None,
    ) as socket:
        raw = RawCharger(socket)
        reading = asyncio.create_task(raw.read())
        await raw.call("Heartbeat", {})
        socket.transport.abort()
        await asyncio.wait([reading])
        # Its end is what was caused here.
        reading.exception()


async def until(seen: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(APPEARS_WITHIN_S):
        while not await seen():  # noqa: ASYNC110  rows tell nobody that they changed
            await asyncio.sleep(0.02)


@pytest.fixture
async def garage(database: Database) -> Garage:
    """A garage with an owner, residents, an installer and an administrator."""
    return await make_garage(secret_key=SECRET, now=SystemClock().now(), seed=1)


async def test_the_owner_gets_one_mail_that_says_which_and_since_when(bus: RedisBus, garage: Garage) -> None:
    """Within seconds, to the owner alone; the charger that is back is no longer reported."""
    post, port, clock = Post(), free_port(), SystemClock()
    space, began = garage.spaces[4], clock.now()
    async with a_server(bus, options=QUICKLY) as server:
        with post_office(post, port):
            async with postman(port, clock):
                await heard_and_lost(server, space)
                mail = await post.next()
                await until(all_done)
        alert = await Alert.get()
        assert (alert.kind, alert.charger_id, alert.state) == (
            AlertKind.CHARGER_OFFLINE,
            space.charger_id,
            AlertState.OPEN,
        )
        again = await AbsenceWatch(timedelta(seconds=1), began).check(now=clock.now())
        assert again == []
        await heard_and_lost(server, space)
        await alert.refresh_from_db()
        assert alert.state is AlertState.RESOLVED
    assert mail["To"] == OWNER.email
    assert mail["Subject"] == "Fjordveien 12: A5 is offline"
    body = mail.get_body(("plain",))
    assert body is not None
    assert "A5 is offline" in body.get_content()
    assert began.astimezone(ZoneInfo(ZONE)).strftime("Since: %Y-%m-%d %H:") in body.get_content()
    assert post.mails.empty()


async def test_a_mail_waits_for_a_server_that_is_away(bus: RedisBus, garage: Garage) -> None:
    """Nobody takes mail, the worker ends and another begins, the server is back: the mail comes, once."""
    post, port, clock = Post(), free_port(), LeapingClock()
    async with a_server(bus, options=QUICKLY) as server:
        await heard_and_lost(server, garage.spaces[0])
        async with postman(port, clock):
            await until(was_tried)
    (waiting,) = await OutboxMessage.all()
    assert (waiting.done_at, waiting.failed_at) == (None, None)
    assert "did not take the mail" in (waiting.error or "")
    with post_office(post, port):
        async with postman(port, clock):
            clock.ahead = timedelta(minutes=1)
            mail = await post.next()
            await until(all_done)
            clock.ahead = timedelta(hours=3)
    assert mail["To"] == OWNER.email
    assert re.fullmatch(r"<[^<>\s]+@lade>", mail["Message-ID"])
    assert post.mails.empty()


async def was_tried() -> bool:
    """There is a mail, and it was refused once."""
    rows = await OutboxMessage.all()
    return bool(rows) and all(row.attempts > 0 and row.claimed_until is None for row in rows)


async def all_done() -> bool:
    """Every mail was taken."""
    return await OutboxMessage.exists() and not await OutboxMessage.filter(done_at=None).exists()
