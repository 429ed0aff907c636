"""Who is mailed about which alert, when, how often, and in which words."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.database import Database
from app.jobs import deliver_some, tell_some_of_alerts
from app.mail import SmtpMailer, smtp_server
from domain import sql
from domain.access import access_of
from domain.alerting import alert_book, alert_mailing, alert_subscriptions
from domain.alerting.alert_book import Finding, Thing
from domain.alerting.alert_letters import Times, due_at
from domain.alerting.alert_subscriptions import Wishes
from domain.models import AlertSubscription, OutboxMessage, Permission, User
from domain.ports import MailServerAwayError
from domain.roles import AlertDelivery, AlertKind, Language, Role, Severity
from tests.domain.mailing import ROOM, subjects, work, written
from tests.domain.rig import at
from tests.factories import NOW, Site, a_charger, a_grant, a_person, a_site
from tests.fakes import HandClock
from tests.servers import free_port

OSLO = ZoneInfo("Europe/Oslo")


@dataclass
class Place:
    """A place with an owner and two chargers."""

    site: Site
    owner: UUID
    chargers: list[UUID]

    async def opens(self, kind: AlertKind, when: datetime, *, number: int | None = 0, info: str | None = None) -> UUID:
        """Something is wrong with that charger, or (None) the whole place."""
        charger_id = None if number is None else self.chargers[number]
        event = await alert_book.opened(Finding(thing=Thing(self.site.id, charger_id), kind=kind, info=info), now=when)
        assert event is not None
        return event.alert_id

    async def ends(self, alert_id: UUID, when: datetime) -> None:
        await alert_book.resolved([alert_id], now=when)

    async def wishes(self, person: UUID | None = None, *, email: str | None = None, **wishes: object) -> UUID:
        """A subscription of the owner, or of that person."""
        access = await access_of(person or self.owner, now=NOW)
        return await alert_subscriptions.subscribe(access, self.site.id, Wishes(**wishes), email=email)  # type: ignore[arg-type]


@pytest.fixture
async def place(database: Database) -> Place:
    site = await a_site()
    owner = await a_person("Olga Owner", email="olga@example.com")
    await a_grant(Role.OWNER, site, user_id=owner)
    return Place(site, owner, [await a_charger(site, f"Space {number}") for number in (1, 2)])


async def test_an_owner_who_never_said_otherwise_is_mailed_at_once(place: Place) -> None:
    """About warnings and worse, not that they are over; what opens together is one mail, the worst first."""
    await place.opens(AlertKind.VEHICLE_COMMUNICATION, at(0))
    await place.opens(AlertKind.METER_FAULT, at(0))
    ground = await place.opens(AlertKind.GROUND_FAULT, at(0) + timedelta(seconds=2), number=1)
    assert await written(at(0) + timedelta(seconds=2)) == []
    (mail,) = await written(at(0) + timedelta(seconds=3))
    assert (mail.to, mail.subject) == ("olga@example.com", "Fjordveien garage: 2 alerts")
    assert mail.text.index("Danger: Space 2 tripped") < mail.text.index("Error: Space 1 has a meter that fails")
    await place.ends(ground, at(5))
    assert len(await written(at(60))) == 1
    row = await AlertSubscription.get()
    assert (row.user_id, row.minimum_severity, row.delivery) == (
        place.owner,
        Severity.WARNING,
        AlertDelivery.IMMEDIATE,
    )


async def test_the_mail_says_all_in_both_forms(place: Place) -> None:
    """What, where, since when by the place's clock, and how to have no more of them (RFC 8058); names stay names."""
    await place.opens(AlertKind.CABLE_FAULT, at(0), info="<b>plug</b>")
    (mail,) = await written(at(1))
    link = dict(mail.headers)["List-Unsubscribe"]
    assert link.startswith("<https://lade.example/alert-mails/unsubscribe/")
    assert dict(mail.headers)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.text == (
        "Hello Olga Owner,\n\nError: Space 1 has a cable fault\nThe charger reports a fault of its cable or plug.\n"
        "Details: <b>plug</b>\nSince: 2026-03-01 13:00 CET\n\nInstallation: Fjordveien garage\n"
        "Open the portal: https://lade.example\n\n-- \nYou get such mails at once.\n"
        f"No more mails about Fjordveien garage: {link[1:-1]}\n"
    )
    assert mail.html is not None
    assert "&lt;b&gt;plug&lt;/b&gt;" in mail.html
    assert "prefers-color-scheme: dark" in mail.html
    assert link[1:-1] in mail.html


async def test_a_mail_in_norwegian(place: Place) -> None:
    """For whoever asked for it."""
    await place.wishes(language=Language.NB)
    alert = await place.opens(AlertKind.CHARGER_OFFLINE, at(0))
    (mail,) = await written(at(1))
    assert mail.subject == "Fjordveien garage: Space 1 er uten nett"
    assert mail.text.startswith("Hei Olga Owner,\n\nAdvarsel: Space 1 er uten nett\nLaderen gir ikke lyd fra seg.")
    assert '<html lang="nb">' in (mail.html or "")
    await place.ends(alert, at(10))
    assert (await written(at(15)))[-1].subject == "Fjordveien garage: over: Space 1 er uten nett"


async def test_that_it_is_over_is_told_when_it_has_not_come_back(place: Place) -> None:
    """Five minutes later; what comes back before is neither over nor new."""
    await place.wishes()
    alert = await place.opens(AlertKind.CABLE_FAULT, at(0))
    await work(at(1))
    await place.ends(alert, at(10))
    await work(at(12))
    await place.opens(AlertKind.CABLE_FAULT, at(13))
    assert len(await written(at(16))) == 1
    await place.ends(alert, at(20))
    assert len(await written(at(24.9))) == 1
    (_, over) = await written(at(25))
    assert over.subject == "Fjordveien garage: over: Space 1 has a cable fault"
    assert "Over since: 2026-03-01 13:20 CET" in over.text
    assert len(await written(at(600))) == 2


async def test_what_is_over_before_anybody_wrote_is_told_once(place: Place) -> None:
    """The mail says both, and no other follows."""
    await place.wishes(delivery=AlertDelivery.HOURLY_DIGEST)
    alert = await place.opens(AlertKind.CABLE_FAULT, at(10))
    await place.ends(alert, at(20))
    assert await written(at(59)) == []
    (mail,) = await written(at(60))
    assert mail.subject == "Fjordveien garage: over: Space 1 has a cable fault"
    assert len(await written(at(600))) == 1


async def test_whoever_was_told_that_it_is_over_is_told_that_it_is_back(place: Place) -> None:
    """It had ended before the first mail was written, which said so, and began again a minute later."""
    await place.wishes(delivery=AlertDelivery.HOURLY_DIGEST)
    alert = await place.opens(AlertKind.CABLE_FAULT, at(10))
    await place.ends(alert, at(59))
    (over,) = await written(at(60))
    assert over.subject == "Fjordveien garage: over: Space 1 has a cable fault"
    assert await place.opens(AlertKind.CABLE_FAULT, at(61)) == alert
    _, back = await written(at(120))
    assert back.subject == "Fjordveien garage: Space 1 has a cable fault"
    assert back.message_id != over.message_id
    assert len(await written(at(600))) == 2


async def test_wishes_choose_kinds_chargers_and_severity(place: Place) -> None:
    """What concerns the whole place concerns each charger; the default is no more once there is a wish."""
    await place.wishes(
        kinds=[AlertKind.CABLE_FAULT, AlertKind.BALANCER_DEGRADED, AlertKind.SECURITY],
        charger_ids=[place.chargers[0]],
        minimum_severity=Severity.ERROR,
    )
    await place.opens(AlertKind.CABLE_FAULT, at(0), number=1)
    await place.opens(AlertKind.VOLTAGE, at(0))
    await place.opens(AlertKind.SECURITY, at(0))
    assert await written(at(1)) == []
    await place.opens(AlertKind.BALANCER_DEGRADED, at(2), number=None)
    await place.opens(AlertKind.CABLE_FAULT, at(10))
    await work(at(3))
    assert [mail.subject for mail in await written(at(11))] == [
        "Fjordveien garage: nobody shares the current",
        "Fjordveien garage: Space 1 has a cable fault",
    ]


async def test_what_is_asked_for_replaces_what_came_unasked(place: Place) -> None:
    """Whoever was mailed at once, and then asks for a digest, is mailed once about what comes after."""
    await place.opens(AlertKind.CABLE_FAULT, at(0))
    assert len(await written(at(1))) == 1
    await place.wishes(delivery=AlertDelivery.HOURLY_DIGEST)
    await place.opens(AlertKind.VOLTAGE, at(2))
    assert len(await written(at(3))) == 1
    assert len(await written(at(60))) == 2
    assert len(await written(at(600))) == 2


async def test_quiet_hours_hold_back_all_but_danger(place: Place) -> None:
    """From ten at night to seven; what was held back comes in one mail in the morning."""
    await place.wishes(quiet_from=time(22), quiet_to=time(7))
    night = datetime(2026, 3, 1, 23, 30, tzinfo=OSLO).astimezone(UTC)
    await place.opens(AlertKind.CABLE_FAULT, night)
    await place.opens(AlertKind.VOLTAGE, night, number=1)
    await place.opens(AlertKind.GROUND_FAULT, night)
    assert subjects(await written(night + timedelta(minutes=1))) == [
        ("olga@example.com", "Fjordveien garage: Space 1 tripped its residual current protection")
    ]
    morning = datetime(2026, 3, 2, 7, tzinfo=OSLO).astimezone(UTC)
    assert len(await written(morning - timedelta(seconds=4))) == 1
    assert (await written(morning))[1].subject == "Fjordveien garage: 2 alerts"


async def test_a_daily_digest_comes_at_its_hour(place: Place) -> None:
    """By the clocks of the place, with all of the day."""
    await place.wishes(delivery=AlertDelivery.DAILY_DIGEST, digest_hour=18)
    await place.opens(AlertKind.CABLE_FAULT, at(0))
    await place.opens(AlertKind.GROUND_FAULT, at(60), number=1)
    evening = datetime(2026, 3, 1, 18, tzinfo=OSLO).astimezone(UTC)
    assert await written(evening - timedelta(seconds=4)) == []
    (mail,) = await written(evening)
    assert mail.subject == "Fjordveien garage: 2 alerts"
    assert "once a day" in mail.text


@pytest.mark.parametrize(
    ("local", "hour", "expected"),
    [
        ("2026-03-28T12:00", 2, "2026-03-29T01:00:00+00:00"),
        ("2026-03-29T03:30", 2, "2026-03-30T00:00:00+00:00"),
        ("2026-10-25T01:30", 2, "2026-10-25T00:00:00+00:00"),
        ("2026-10-25T12:00", 12, "2026-10-26T11:00:00+00:00"),
    ],
)
def test_digests_on_the_days_when_clocks_change(local: str, hour: int, expected: str) -> None:
    """A time that is skipped is the one after the leap, one that comes twice is the first of them."""
    times = Times(delivery=AlertDelivery.DAILY_DIGEST, digest_hour=hour, quiet=None, zone=OSLO)
    now = datetime.fromisoformat(local).replace(tzinfo=OSLO).astimezone(UTC)
    assert due_at(times, Severity.ERROR, now=now, wait=timedelta(seconds=1)).isoformat() == expected


@pytest.mark.parametrize(
    ("local", "quiet", "expected"),
    [
        ("12:30", ("12:00", "13:00"), "13:00"),
        ("13:00", ("12:00", "13:00"), "13:00"),
        ("11:59", ("12:00", "13:00"), "11:59"),
        ("23:00", ("22:00", "00:00"), "00:00"),
        ("21:59", ("22:00", "00:00"), "21:59"),
    ],
)
def test_quiet_hours_have_their_beginning_and_not_their_end(local: str, quiet: tuple[str, str], expected: str) -> None:
    """00:00 is the end of the day."""
    begin, end = map(time.fromisoformat, quiet)
    times = Times(delivery=AlertDelivery.IMMEDIATE, digest_hour=7, quiet=(begin, end), zone=OSLO)
    now = datetime.fromisoformat(f"2026-03-01T{local}").replace(tzinfo=OSLO)
    assert f"{due_at(times, Severity.ERROR, now=now, wait=timedelta()).astimezone(OSLO):%H:%M}" == expected
    assert due_at(times, Severity.CRITICAL, now=now, wait=timedelta()) == now


async def test_another_address_is_asked_first(place: Place) -> None:
    """One mail asks; no alert goes there before it said yes, and the owner is told of it as if nothing had been asked."""
    subscription = await place.wishes(email="Janitor@Example.com ")
    await place.opens(AlertKind.CABLE_FAULT, at(0))
    asked, own = sorted(await written(at(1)), key=lambda mail: mail.to)
    assert own.to == "olga@example.com"
    assert (asked.to, asked.subject) == ("janitor@example.com", "Mails about Fjordveien garage?")
    assert "https://lade.example/alert-mails/confirm/" in asked.text
    await AlertSubscription.filter(email=None).delete()
    await place.wishes(kinds=[AlertKind.SECURITY])
    await AlertSubscription.filter(id=subscription).update(verified_at=at(2))
    await place.opens(AlertKind.VOLTAGE, at(3))
    assert subjects(await written(at(4)))[2:] == [
        ("janitor@example.com", "Fjordveien garage: Space 1 has too much or too little voltage")
    ]


async def test_who_may_see_it_no_more_is_not_mailed(place: Place) -> None:
    """Also where the mail was to come later: not a word about what is hidden by now."""
    await place.wishes(delivery=AlertDelivery.HOURLY_DIGEST)
    await place.opens(AlertKind.CABLE_FAULT, at(10))
    await work(at(11))
    await Permission.filter(user_id=place.owner).update(revoked_at=at(20))
    assert await written(at(60)) == []


@pytest.mark.parametrize("change", ["ended", "inactive"])
async def test_who_has_unsubscribed_or_is_gone_is_not_mailed(place: Place, change: str) -> None:
    """What waits is not sent."""
    subscription = await place.wishes()
    await place.opens(AlertKind.CABLE_FAULT, at(0))
    if change == "ended":
        await alert_subscriptions.unsubscribe(await access_of(place.owner, now=at(0)), subscription)
    else:
        await User.filter(id=place.owner).update(is_active=False)
    await work(at(0))
    assert await written(at(1)) == []
    assert await AlertSubscription.all().count() == 1


@pytest.mark.parametrize("change", ["ended", "inactive", "revoked"])
async def test_a_mail_that_waited_for_its_server_tells_nothing_that_is_hidden_or_unwanted_by_now(
    place: Place, change: str
) -> None:
    """It was written and could not go out; who has unsubscribed, is gone or lost the right meanwhile gets nothing."""
    subscription = await place.wishes()
    await place.opens(AlertKind.CABLE_FAULT, at(0))
    (mail,) = await written(at(1))
    assert await alert_mailing.as_of_now(mail, ROOM, now=at(2)) == mail
    if change == "ended":
        await alert_subscriptions.unsubscribe(await access_of(place.owner, now=at(2)), subscription)
    elif change == "inactive":
        await User.filter(id=place.owner).update(is_active=False)
    else:
        await Permission.filter(user_id=place.owner).update(revoked_at=at(2))
    assert await alert_mailing.as_of_now(mail, ROOM, now=at(3)) is None


async def test_a_mail_that_waited_tells_what_is_still_seen(place: Place) -> None:
    """Who owned the place and owns one charger of it by now hears of that one only."""
    await place.wishes()
    for number in (0, 1):
        await place.opens(AlertKind.CABLE_FAULT, at(0), number=number)
    (mail,) = await written(at(1))
    assert mail.subject == "Fjordveien garage: 2 alerts"
    await Permission.filter(user_id=place.owner).update(revoked_at=at(2))
    await a_grant(Role.OWNER, place.site, user_id=place.owner, charger_id=place.chargers[1])
    left = await alert_mailing.as_of_now(mail, ROOM, now=at(3))
    assert left is not None
    assert left.subject == "Fjordveien garage: Space 2 has a cable fault"
    assert "Space 1" not in left.text


async def test_an_owner_of_a_charger_is_mailed_about_that_one(place: Place) -> None:
    """Neither about the neighbour's, nor about fuses."""
    await place.wishes()
    other = await a_person("Own", email="own@example.com")
    await a_grant(Role.OWNER, place.site, user_id=other, charger_id=place.chargers[0])
    for kind, number in ((AlertKind.CABLE_FAULT, 1), (AlertKind.BALANCER_DEGRADED, None)):
        await place.opens(kind, at(0), number=number)
    assert "own@example.com" not in [mail.to for mail in await written(at(1))]
    await place.opens(AlertKind.VOLTAGE, at(2), number=0)
    assert ("own@example.com", "Fjordveien garage: Space 1 has too much or too little voltage") in subjects(
        await written(at(3))
    )


async def test_a_storm_of_alerts_is_one_mail_that_is_not_endless(place: Place) -> None:
    """Fifty are told, and how many more there are."""
    for number in range(60):
        place.chargers.append(await a_charger(place.site, f"More {number}"))
        await place.opens(AlertKind.CABLE_FAULT, at(0), number=number)
    (mail,) = await written(at(1))
    assert mail.subject == "Fjordveien garage: 60 alerts"
    assert mail.text.count("has a cable fault") == 50
    assert "And 10 more" in mail.text


@dataclass
class Inbox:
    """What an SMTP server took."""

    taken: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  the server's name for it
        assert isinstance(envelope.content, bytes)
        self.taken.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default))
        return "250 OK"


async def test_a_server_that_is_down_for_a_day_loses_nothing_and_doubles_nothing(place: Place) -> None:
    """An alert each hour, and its end; when the server is back each mail comes exactly once."""
    await place.wishes()
    clock, port, inbox = HandClock(NOW), free_port(), Inbox()
    mailer = SmtpMailer(smtp_server(f"smtp://127.0.0.1:{port}"), sender="Lade <lade@example.org>", clock=clock)
    for hour in range(24):
        alert = await place.opens(AlertKind.CABLE_FAULT, at(hour * 60))
        for minute in range(0, 60, 10):
            clock.advance(timedelta(minutes=10))
            if minute == 20:
                await place.ends(alert, at(hour * 60 + 20))
            while await tell_some_of_alerts(ROOM, clock):
                pass
            try:
                await deliver_some(mailer, clock)
            except MailServerAwayError:
                continue
    assert await OutboxMessage.filter(kind="mail").count() == 48
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        for _ in range(3):
            clock.advance(timedelta(hours=1))
            while await deliver_some(mailer, clock):
                pass
    finally:
        controller.stop()
    ids = [mail["Message-ID"] for mail in inbox.taken]
    assert (len(ids), len(set(ids))) == (48, 48)
    left = await sql.row("SELECT COUNT(*) AS n FROM outbox WHERE kind = 'mail' AND done_at IS NULL")
    assert left is not None
    assert left["n"] == 0
