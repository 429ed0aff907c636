"""What mails about alerts say, before it is put into words. Pure."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from domain.roles import AlertDelivery, AlertKind, Language, Severity

GATHERED_FOR = timedelta(seconds=3)
"""What opens within that time goes into one mail."""
ENDS_AFTER = timedelta(minutes=5)
"""That something is over is told when it has not come back for so long (domain.alerting.alert_book.REOPENS_WITHIN)."""
DAMPED_FOR = timedelta(hours=1)
"""What comes and goes is told of once in so long."""
MOST_LINES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One alert in a mail; instants are those of the place. `thing` None: the whole installation. `over_at` None: it goes on."""

    kind: AlertKind
    severity: Severity
    thing: str | None
    details: str | None
    began_at: datetime
    over_at: datetime | None
    occurrences: int
    is_again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLetter:
    """A mail about alerts. `left_out`: how many more there are than `lines`."""

    language: Language
    name: str
    installation: str
    lines: tuple[Line, ...]
    left_out: int
    delivery: AlertDelivery
    unsubscribe_url: str
    portal_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationLetter:
    """A mail that asks whether somebody wants mails about alerts."""

    language: Language
    asked_by: str
    installation: str
    confirm_url: str


@dataclass(frozen=True, slots=True)
class Written:
    """A mail in words."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When a subscription is to be mailed, in the zone of the installation. `quiet`: from when until when not, perhaps over midnight."""

    delivery: AlertDelivery
    digest_hour: int
    quiet: tuple[time, time] | None
    zone: ZoneInfo


def due_at(times: Times, severity: Severity, *, now: datetime, wait: timedelta) -> datetime:
    """When what happens now is to be mailed, not before `wait` has passed: a daily digest goes out at its hour, whatever is quiet."""
    earliest = now + wait
    if times.delivery is AlertDelivery.DAILY_DIGEST:
        return _next_at(earliest, time(times.digest_hour), times.zone)
    if times.delivery is AlertDelivery.HOURLY_DIGEST:
        whole = earliest.replace(minute=0, second=0, microsecond=0)
        earliest = whole if whole == earliest else whole + timedelta(hours=1)
    if times.quiet is None or severity is Severity.CRITICAL:
        return earliest
    begin, end = times.quiet
    local = earliest.astimezone(times.zone).time().replace(tzinfo=None)
    is_quiet = begin <= local < end if begin < end else local >= begin or local < end
    return _next_at(earliest, end, times.zone) if is_quiet else earliest


def _next_at(earliest: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The first instant from then on at which the clocks there show that time; where they skip it, the one after the leap."""
    day = earliest.astimezone(zone).date()
    for one in (day, day + timedelta(days=1)):
        # By way of UTC: a time that is skipped becomes the same instant as an hour later.
        found = datetime.combine(one, at, zone).astimezone(earliest.tzinfo)
        if found >= earliest:
            return found
    return datetime.combine(day + timedelta(days=2), at, zone).astimezone(earliest.tzinfo)
