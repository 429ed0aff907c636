"""When what is told of a session happened: by the clock of its charger where that can be, else by when it arrived."""

from datetime import datetime

from domain.charging.batch import Batch
from domain.charging.reports import Report
from domain.charging.session_rules import (
    Moment,
    moment_of,
    was_heard_live,
)
from domain.charging.session_store import SessionRecord
from domain.roles import SessionFlag


def moment_told(
    report: Report, charger_time: datetime | None, received_at: datetime, is_marked_offline: bool
) -> Moment:
    """The instant, as the connection and what is known of its charger's clock have it."""
    return moment_of(charger_time, received_at, report.hearing, is_marked_offline=is_marked_offline)


def by_receipt(report: Report, moment: Moment) -> Moment:
    """The moment of what a clock wrote that was put back meanwhile: it is not old, only written so."""
    observation = report.observation
    return Moment(
        observation.received_at, moment.device_at, is_reliable=False, is_offline=observation.is_marked_offline
    )


def reconsider(batch: Batch, report: Report, session: SessionRecord) -> None:
    """A session whose start seemed to be older than the connection is not, now that the clock is known to be behind."""
    if SessionFlag.OFFLINE not in session.flags:
        return
    if was_heard_live(session.device_started_at, session.created_at, report.hearing):
        session.flags = (session.flags & ~SessionFlag.OFFLINE) | SessionFlag.CLOCK_UNRELIABLE
        session.started_at = min(session.created_at, report.observation.received_at)
        session.last_event_at = max(session.last_event_at or session.started_at, session.started_at)
        batch.touch(session)
