"""Scheduled reports reach whom they are for, once, whatever happens to the portal and the mail server meanwhile."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from python_calamine import CalamineWorkbook
from starlette.applications import Starlette

from app.mail import SmtpMailer, SmtpServer
from domain import outbox
from domain.errors import NotFoundError, ValidationError
from domain.identity import erasure
from domain.models import AuditEntry, Export, OutboxMessage, Permission, ReportDelivery, ReportSchedule, User
from domain.pages import PageRequest
from domain.ports import Mail, Mailer, MailServerAwayError
from domain.reporting import report_deliveries
from domain.reporting.export_jobs import next_job
from domain.reporting.exports import exports_page
from domain.reporting.report_schedules import (
    ScheduleWish,
    create_report_schedule,
    due_after,
    month_of,
    remove_report_schedule,
    schedules_by_ids,
    schedules_of,
)
from domain.roles import DeliveryState, ExportFormat, ReportKind, UsageDimension
from exports import report_mails
from exports.endpoints import export_routes
from exports.links import ExportLinks
from exports.report_mails import ReportMails
from exports.worker import ExportWorker
from exports.writing import WritingProcess
from tests import factories
from tests.app.test_mail import Post, serving
from tests.factories import NOW, Town
from tests.fakes import HandClock, PlainPasswords, RecordingBus, UnlimitedAttempts
from tests.servers import free_port

OWNER = "OWNER of installation"
MANAGER = "manager@example.com"
DUE = datetime(2026, 4, 1, 4, tzinfo=UTC)
"""Six o'clock on the first of April, in Oslo."""
LINKS = ExportLinks("s" * 32, "http://lade.example")


@pytest.fixture
def post() -> Post:
    return Post()


class Portal:
    """A portal at its work, on a clock that is set by hand; `begin` is a start after a kill."""

    def __init__(self, folder: Path, writing: WritingProcess, town: Town) -> None:
        self.folder, self.writing, self.town = folder, writing, town
        self.folder.mkdir(exist_ok=True)
        self.clock = HandClock(NOW)
        self.mailer: Mailer = SmtpMailer(
            SmtpServer("127.0.0.1", free_port(), use_tls=False, starttls=False),
            sender="lade@lade.example",
            clock=self.clock,
        )
        self.begin()

    def begin(self) -> None:
        """Nothing is known but what is stored."""
        self.worker = ExportWorker(folder=self.folder, writing=self.writing, bus=RecordingBus(), clock=self.clock)
        self.mails = ReportMails(self.folder, self.mailer, LINKS, self.clock)

    def at(self, port: int) -> None:
        """The mail server is there."""
        server = SmtpServer("127.0.0.1", port, use_tls=False, starttls=False)
        self.mailer = SmtpMailer(server, sender="Lade <lade@lade.example>", clock=self.clock)
        self.begin()

    async def schedule(self, **further: object) -> ReportSchedule:
        """A new one of the owner's."""
        wish = ScheduleWish(**{"recipients": (MANAGER,), **further})  # type: ignore[arg-type]  # tests pass fields by name
        made = await create_report_schedule(
            await self.town.access(OWNER, now=self.clock.now()), self.town.site.id, wish
        )
        return await ReportSchedule.get(id=made)

    def wait(self, seconds: float) -> None:
        """So much later."""
        self.clock.advance(timedelta(seconds=seconds))

    async def rest(self) -> None:
        """What can be done at this moment is done."""
        await self.worker.expire()
        for _ in range(60):
            was_tried = await self.mails.work_once()
            was_made = await self.worker.make_next()
            if not was_tried and not was_made:
                return
            self.wait(report_mails.MAKING_S)
        raise AssertionError("there is no end to it")

    async def go_to(self, instant: datetime) -> None:
        """It is that time, and what is due is done."""
        self.clock.advance(instant - self.clock.now())
        await self.rest()


@pytest.fixture
async def portal(town: Town, tmp_path: Path, writing: WritingProcess) -> Portal:
    return Portal(tmp_path / "exports", writing, town)


async def march(town: Town, person: str | None, energy_wh: int, day: int = 3) -> None:
    """A charge of March."""
    start = datetime(2026, 3, day, 9, tzinfo=UTC)
    await factories.a_session(
        town.site,
        town.charger_id,
        user_id=town.people[person] if person else None,
        user_name=person,
        started_at=start,
        ended_at=start + timedelta(hours=1),
        energy_wh=energy_wh,
    )


def attached(mail: EmailMessage) -> tuple[str, bytes]:
    """(name, content) of the file that goes with it."""
    (part,) = mail.iter_attachments()
    content = part.get_content()
    return str(part.get_filename()), content if isinstance(content, bytes) else content.encode()


def total_kwh(content: bytes) -> float:
    """What the workbook's summary says below."""
    rows = CalamineWorkbook.from_filelike(BytesIO(content)).get_sheet_by_name("Summary").to_python()
    return float(str(next(row for row in rows if row[0] == "Total")[2]))


async def states() -> list[tuple[str, DeliveryState, str | None]]:
    rows = await ReportDelivery.all().order_by("recipient")
    return [(row.recipient, row.state, row.error) for row in rows]


async def test_the_report_of_the_month_comes_on_the_first(portal: Portal, post: Post) -> None:
    """At six by the installation's clock, not before, to each recipient once, with the file; the next is due in a month."""
    town = portal.town
    await march(town, "USER of charger", 1_500)
    await march(town, None, 500)
    schedule = await portal.schedule(recipients=(" Manager@Example.com", MANAGER, "board@example.com"))
    assert schedule.next_at == DUE
    with serving(post) as port:
        portal.at(port)
        await portal.go_to(DUE - timedelta(seconds=1))
        assert post.received == []
        await portal.go_to(DUE)
        await portal.go_to(DUE + timedelta(days=1))
    assert sorted(mail["To"] for mail in post.received) == ["board@example.com", MANAGER]
    for mail in post.received:
        assert mail["Subject"] == "Charging 2026-03: Fjordveien garage"
        name, content = attached(mail)
        assert name == "fjordveien-garage-2026-03-01-2026-04-01.xlsx"
        assert total_kwh(content) == 2.0
    assert len({mail["Message-ID"] for mail in post.received}) == 2
    assert await states() == [("board@example.com", DeliveryState.SENT, None), (MANAGER, DeliveryState.SENT, None)]
    assert (await ReportSchedule.get(id=schedule.id)).next_at == datetime(2026, 5, 1, 4, tzinfo=UTC)


async def test_everybody_gets_their_own_part(portal: Portal, post: Post) -> None:
    """At their proven address, with nobody else in it; who has none is in the log; the recipients get the whole."""
    town = portal.town
    await march(town, "USER of charger", 1_500)
    await march(town, "USER of installation", 700)
    await march(town, "stranger", 300)
    await User.filter(id=town.people["stranger"]).update(email_verified_at=None)
    await portal.schedule(is_per_person=True, format=ExportFormat.CSV, group_by=(UsageDimension.USER,))
    with serving(post) as port:
        portal.at(port)
        await portal.go_to(DUE)
    parts = {}
    for mail in post.received:
        lines = attached(mail)[1].decode("utf-8-sig").splitlines()
        parts[str(mail["To"])] = [line.split(",")[:3] for line in lines[1:]]
    emails = {
        name: (await User.get(id=town.people[name])).email for name in ("USER of charger", "USER of installation")
    }
    assert parts == {
        emails["USER of charger"]: [["USER of charger", "1", "1.500"]],
        emails["USER of installation"]: [["USER of installation", "1", "0.700"]],
        MANAGER: [
            ["stranger", "1", "0.300"],
            ["USER of charger", "1", "1.500"],
            ["USER of installation", "1", "0.700"],
        ],
    }
    assert await states() == [
        ("USER of charger", DeliveryState.SENT, None),
        ("USER of installation", DeliveryState.SENT, None),
        (MANAGER, DeliveryState.SENT, None),
        ("stranger", DeliveryState.FAILED, report_deliveries.NO_ADDRESS),
    ]


async def test_a_day_without_a_mail_server_delays_one_mail_each(portal: Portal, post: Post) -> None:
    """Tried ever more seldom; the file is made anew when it is no longer kept; the owner sees why it waits."""
    await march(portal.town, "USER of charger", 1_500)
    await portal.schedule(recipients=(MANAGER, "board@example.com"))
    tries = 0
    portal.clock.advance(DUE - NOW)
    while portal.clock.now() < DUE + timedelta(hours=27):
        try:
            await portal.rest()
        except MailServerAwayError:
            tries += 1
        portal.wait(report_mails.SERVER_AWAY_S)
    assert 50 < tries < 80
    rows = await states()
    assert [state for _, state, _ in rows] == [DeliveryState.WAITING] * 2
    assert all(error is not None and error.startswith("The mail server did not take the mail") for _, _, error in rows)
    with serving(post) as port:
        portal.at(port)
        for _ in range(70):
            await portal.rest()
            portal.wait(report_mails.SERVER_AWAY_S)
    assert sorted(mail["To"] for mail in post.received) == ["board@example.com", MANAGER]
    assert [total_kwh(attached(mail)[1]) for mail in post.received] == [1.5, 1.5]
    assert [state for _, state, _ in await states()] == [DeliveryState.SENT] * 2


async def test_what_cannot_be_sent_for_three_days_is_given_up(portal: Portal) -> None:
    """And recorded."""
    await portal.schedule()
    portal.clock.advance(DUE - NOW)
    while portal.clock.now() < DUE + timedelta(hours=75):
        with contextlib.suppress(MailServerAwayError):
            await portal.rest()
        portal.wait(1_800)
    ((_, state, error),) = await states()
    assert state is DeliveryState.FAILED
    assert error is not None
    assert (await OutboxMessage.get(kind="report")).failed_at is not None


async def test_a_refused_address_is_given_up_at_once(portal: Portal) -> None:
    """The others have theirs."""
    await portal.schedule()
    post = Post(rcpt="550 no such mailbox")
    with serving(post) as port:
        portal.at(port)
        await portal.go_to(DUE)
    assert await states() == [(MANAGER, DeliveryState.FAILED, "The mail server refuses this mail for good (550).")]


async def test_a_portal_that_was_down_sends_what_it_missed(portal: Portal, post: Post) -> None:
    """Each month once, when it is up."""
    await portal.schedule()
    with serving(post) as port:
        portal.at(port)
        await portal.go_to(datetime(2026, 6, 3, 15, tzinfo=UTC))
        await portal.go_to(datetime(2026, 6, 4, 15, tzinfo=UTC))
    assert sorted(mail["Subject"].split(":")[0] for mail in post.received) == [
        "Charging 2026-03",
        "Charging 2026-04",
        "Charging 2026-05",
    ]


class Killer:
    """Ends the portal at a certain moment."""

    def __init__(self, inner: Mailer, *, is_after: bool) -> None:
        self.inner, self.is_after = inner, is_after

    async def send(self, mail: Mail) -> None:
        if self.is_after:
            await self.inner.send(mail)
        raise asyncio.CancelledError

    def batch(self) -> object:
        raise NotImplementedError


@pytest.mark.parametrize("is_after", [False, True])
async def test_one_mail_each_through_a_kill(portal: Portal, post: Post, is_after: bool) -> None:
    """Before the mail was handed over it goes out later. After that, before it was noted, it is the same mail again, by its id."""
    await march(portal.town, "USER of charger", 1_500)
    await portal.schedule()
    with serving(post) as port:
        portal.at(port)
        sound = portal.mailer
        portal.mailer = Killer(sound, is_after=is_after)  # type: ignore[assignment]  # sends only
        portal.begin()
        with pytest.raises(asyncio.CancelledError):
            await portal.go_to(DUE)
        assert [state for _, state, _ in await states()] == [DeliveryState.WAITING]
        portal.mailer = sound
        portal.begin()
        await portal.rest()
        assert len(post.received) == int(is_after), "it is held by a claim that runs out"
        portal.wait(report_mails.CLAIM_S)
        await portal.rest()
        portal.begin()
        await portal.go_to(DUE + timedelta(days=2))
    assert len({mail["Message-ID"] for mail in post.received}) == 1
    assert len(post.received) == 1 + int(is_after)
    assert [state for _, state, _ in await states()] == [DeliveryState.SENT]


async def test_a_kill_while_it_is_planned_or_made_changes_nothing(portal: Portal, post: Post) -> None:
    """Planned twice it is there once; a file that was begun is made again."""
    await march(portal.town, "USER of charger", 1_500)
    schedule = await portal.schedule()
    portal.clock.advance(DUE - NOW)
    assert await report_deliveries.plan_next(portal.clock.now())
    await ReportSchedule.filter(id=schedule.id).update(next_at=DUE)
    assert await report_deliveries.plan_next(portal.clock.now())
    assert await ReportDelivery.all().count() == await OutboxMessage.filter(kind="report").count() == 1
    assert await portal.mails.work_once()
    assert await next_job(portal.clock.now()), "a worker that is killed now"
    with serving(post) as port:
        portal.at(port)
        portal.wait(61)
        await portal.rest()
    assert len(post.received) == await Export.all().count() == 1


async def test_a_file_that_could_not_be_made_is_made_later(portal: Portal, post: Post) -> None:
    """Here nobody made files for two hours."""
    await march(portal.town, "USER of charger", 1_500)
    await portal.schedule()
    portal.clock.advance(DUE - NOW)
    assert await portal.mails.work_once()
    portal.wait(7_200)
    with serving(post) as port:
        portal.at(port)
        await portal.rest()
        assert await states() == [(MANAGER, DeliveryState.WAITING, "It could not be made within an hour.")]
        portal.wait(60)
        await portal.rest()
    assert len(post.received) == 1
    assert await states() == [(MANAGER, DeliveryState.SENT, None)]


async def test_a_file_that_can_never_be_made_is_given_up_at_once(portal: Portal) -> None:
    """A month of more lines than a PDF has room for: the owner sees it on the first, and nothing is made again."""
    for day in (3, 4, 5):
        await march(portal.town, "USER of charger", 1_500, day)
    await portal.schedule(format=ExportFormat.PDF, kind=ReportKind.SESSIONS)
    portal.worker.most_printed = 2
    await portal.go_to(DUE)
    reason = "A PDF has at most 2 lines: ask for a shorter period, or for XLSX."
    assert await states() == [(MANAGER, DeliveryState.FAILED, reason)]
    portal.wait(7_200)
    await portal.rest()
    assert await Export.all().count() == 1
    assert await OutboxMessage.filter(kind="report", done_at=None, failed_at=None).count() == 0


async def test_two_portals_send_it_once(portal: Portal, post: Post) -> None:
    """Whoever plans and claims first does it."""
    await portal.schedule(recipients=(MANAGER, "board@example.com"))
    with serving(post) as port:
        portal.at(port)
        other = ReportMails(portal.folder, portal.mailer, LINKS, portal.clock)
        portal.clock.advance(DUE - NOW)
        for _ in range(20):
            await asyncio.gather(portal.mails.work_once(), other.work_once())
            await portal.worker.make_next()
            portal.wait(report_mails.MAKING_S)
    assert sorted(mail["To"] for mail in post.received) == ["board@example.com", MANAGER]


async def test_a_large_file_is_a_link(portal: Portal, post: Post) -> None:
    """That works without signing in for a day."""
    await march(portal.town, "USER of charger", 1_500)
    await portal.schedule()
    with serving(post) as port:
        portal.at(port)
        portal.mails = replace(portal.mails, most_attached=10)
        await portal.go_to(DUE)
    (mail,) = post.received
    assert list(mail.iter_attachments()) == []
    url = next(line for line in mail.get_content().splitlines() if line.startswith("http"))
    transport = httpx.ASGITransport(Starlette(routes=[*export_routes(LINKS, folder=portal.folder, clock=portal.clock)]))
    async with httpx.AsyncClient(transport=transport) as client:
        assert total_kwh((await client.get(url)).content) == 1.5


async def test_nothing_is_sent_by_who_owns_the_place_no_more(portal: Portal, post: Post) -> None:
    """Neither what is due later nor what waits; the other owners see why."""
    await march(portal.town, "USER of charger", 1_500)
    await portal.schedule(is_per_person=True)
    portal.clock.advance(DUE - NOW)
    assert await report_deliveries.plan_next(portal.clock.now())
    await Permission.filter(user_id=portal.town.people[OWNER]).update(revoked_at=portal.clock.now())
    with serving(post) as port:
        portal.at(port)
        await portal.rest()
        await portal.go_to(datetime(2026, 5, 1, 5, tzinfo=UTC))
    assert post.received == []
    assert {(state, error) for _, state, error in await states()} == {
        (DeliveryState.FAILED, report_deliveries.NOT_THEIRS)
    }


async def test_a_schedule_that_is_removed_sends_nothing_more(portal: Portal, post: Post) -> None:
    """Nor what waits; others than its owners cannot remove it, or see it."""
    schedule = await portal.schedule()
    portal.clock.advance(DUE - NOW)
    assert await report_deliveries.plan_next(portal.clock.now())
    for person in ("SERVICE", "ADMINISTRATOR", "stranger"):
        viewer = await portal.town.access(person)
        assert await schedules_of(viewer, portal.town.site.id) == []
        with pytest.raises(NotFoundError):
            await remove_report_schedule(viewer, schedule.id)
    owner = await portal.town.access(OWNER)
    await remove_report_schedule(owner, schedule.id)
    assert await schedules_by_ids(owner, [schedule.id]) == {}
    with serving(post) as port:
        portal.at(port)
        await portal.go_to(datetime(2026, 5, 2, tzinfo=UTC))
    assert post.received == []
    actions = [entry.action for entry in await AuditEntry.all().order_by("id")]
    assert actions == ["report_schedule.create", "report_schedule.remove"]


@pytest.mark.parametrize(
    "recipients",
    [
        (),
        ("nobody",),
        ("a@example.com\nBcc: b@example.com",),
        ("a@example.com, b@example.com",),
        ("a" * 300 + "@example.com",),
    ],
)
async def test_what_is_no_address_is_refused(portal: Portal, recipients: tuple[str, ...]) -> None:
    """None at all, no address, a line break, two in one, or one that is too long."""
    with pytest.raises(ValidationError) as refused:
        await portal.schedule(recipients=recipients)
    assert refused.value.path[0] == "recipients"
    assert await ReportSchedule.all().count() == 0


async def test_the_files_are_in_nobodys_list(portal: Portal, post: Post) -> None:
    """The owner asked for mails, not for files; what was sent is cleared away."""
    await portal.schedule()
    with serving(post) as port:
        portal.at(port)
        await portal.go_to(DUE)
    assert (await exports_page(await portal.town.access(OWNER), PageRequest(first=5))).rows == []
    await portal.worker.expire()
    assert list(portal.folder.iterdir()) == []


async def test_who_was_erased_gets_no_report(portal: Portal, post: Post) -> None:
    """Neither at their own address in a list nor their own part, and the log does not know them."""
    town = portal.town
    person = town.people["USER of charger"]
    await march(town, "USER of charger", 1_500)
    email = (await User.get(id=person)).email
    assert email is not None
    schedule = await portal.schedule(is_per_person=True, recipients=(email, MANAGER))
    portal.clock.advance(DUE - NOW)
    assert await report_deliveries.plan_next(portal.clock.now())
    proof = erasure.Proof(PlainPasswords(), UnlimitedAttempts(), "192.0.2.1")
    await erasure.erase_person(await town.access("ADMINISTRATOR"), person, proof=proof, bus=RecordingBus())
    with serving(post) as port:
        portal.at(port)
        await portal.rest()
    assert [mail["To"] for mail in post.received] == [MANAGER]
    assert (await ReportSchedule.get(id=schedule.id)).recipients == f'["{MANAGER}"]'
    shown = await states()
    assert [state for _, state, _ in shown] == [DeliveryState.FAILED, DeliveryState.FAILED, DeliveryState.SENT]
    assert all(email not in recipient and "USER of charger" not in recipient for recipient, _, _ in shown)


@pytest.mark.parametrize(
    ("now", "zone", "due"),
    [
        ("2026-03-01T12:00:00+00:00", "Europe/Oslo", "2026-04-01T04:00:00+00:00"),
        ("2026-03-01T04:59:59+00:00", "Europe/Oslo", "2026-03-01T05:00:00+00:00"),
        ("2026-03-01T05:00:00+00:00", "Europe/Oslo", "2026-04-01T04:00:00+00:00"),
        ("2026-12-31T23:30:00+00:00", "Pacific/Auckland", "2027-01-31T17:00:00+00:00"),
        ("2026-12-31T16:59:00+00:00", "Pacific/Auckland", "2026-12-31T17:00:00+00:00"),
        ("2026-10-31T23:00:00+00:00", "America/New_York", "2026-11-01T11:00:00+00:00"),
    ],
)
def test_a_report_is_due_at_six_where_the_installation_is(now: str, zone: str, due: str) -> None:
    """Also across the changes of the clock."""
    assert due_after(datetime.fromisoformat(now), ZoneInfo(zone)) == datetime.fromisoformat(due)
    assert timedelta(days=1) < outbox.GIVE_UP_AFTER
    assert date(2026, 3, 1) == month_of(DUE, ZoneInfo("Europe/Oslo")).from_date
