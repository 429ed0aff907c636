"""How sessions end: with their final record, or without one when nothing more will be heard of them."""

from collections.abc import Sequence

from domain.authorization.decision import (
    Occasion,
    normalised_card_number,
)
from domain.charging import awaited_commands
from domain.charging.authorizing import word_for
from domain.charging.batch import Batch
from domain.charging.live import Connector
from domain.charging.reports import Outcome, Report
from domain.charging.session_moments import by_receipt, moment_told, reconsider
from domain.charging.session_readings import take_samples
from domain.charging.session_rules import (
    CLOCK_TOLERANCE,
    Moment,
    OpenSession,
    dates_of,
    session_that_ends,
    stop_key,
)
from domain.charging.session_store import SessionRecord
from domain.charging.sessions_at_connectors import NO_CHARGER, new_session, point
from domain.observations import (
    Sample,
    SessionEnded,
)
from domain.roles import (
    AuthorizationDecision,
    CommandAction,
    SessionFlag,
    SessionState,
    StopReason,
)

BEGIN = "Transaction.Begin"


async def ended(batch: Batch, report: Report, observation: SessionEnded) -> Outcome:
    """The session has its final record; the first real one counts, a repetition changes nothing."""
    moment = moment_told(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    key = stop_key(observation.transaction_id, observation.charger_time, observation.meter_stop_wh)
    session = batch.by_key(report.station_id, "transaction_id", observation.transaction_id)
    if session is None and not observation.is_own_id:
        session = batch.by_key(report.station_id, "stop_key", key) or _that_ends(batch, report, observation, moment)
    if session is not None and not session.is_open and not session.is_inferred:
        return Outcome(session.transaction_id, _word_at_end(batch, session, observation))
    if session is None:
        connector = batch.connector(report.station_id, observation.evse)
        if connector is None:
            return Outcome(refusal=NO_CHARGER)
        session = _without_start(batch, report, connector, observation, moment)
    reconsider(batch, report, session)
    if session.is_open and session.last_event_at is not None and moment.at < session.last_event_at - CLOCK_TOLERANCE:
        moment = by_receipt(report, moment)
    if observation.is_own_id:
        session.meter_start_wh = _register_at_start(session, observation.samples)
    found = batch.connector_of(session)
    session.stop_key = None if observation.is_own_id else key
    _finish(session, observation, moment)
    batch.credentials.ends(session.id_token or "", session.id)
    batch.end_arrives(session)
    batch.keep(session)
    batch.finalise(session)
    if found is not None:
        take_samples(batch, report, found, session, observation.samples)
        point(batch, found)
    await confirm_stops(batch, session)
    batch.tell(session, "ENDED")
    return Outcome(session.transaction_id, _word_at_end(batch, session, observation))


def _register_at_start(session: SessionRecord, samples: Sequence[Sample]) -> int | None:
    """The register at the start: some chargers tell it only in the final record, after readings that were higher already."""
    begun = [one.register_wh for one in samples if one.context == BEGIN and one.register_wh is not None]
    known = [] if session.meter_start_wh is None else [session.meter_start_wh]
    return min(begun[:1] + known, default=None)


def _word_at_end(batch: Batch, session: SessionRecord, observation: SessionEnded) -> AuthorizationDecision:
    """How the token of a final record stands: a charger keeps the answer for later (2.0.1)."""
    connector = batch.connector_of(session)
    if not observation.is_own_id or observation.id_token is None or connector is None:
        return AuthorizationDecision.ACCEPTED
    verdict = batch.credentials.verdict(
        connector.place, observation.id_token, Occasion(batch.now, session_id=session.id)
    )
    return word_for(session, observation.id_token, verdict)


def _that_ends(batch: Batch, report: Report, observation: SessionEnded, moment: Moment) -> SessionRecord | None:
    candidates = [
        OpenSession(session.id, connector.place.evse, session.id_token, session.started_at, session.meter_start_wh)
        for connector in batch.connectors.get(report.station_id, [])
        for session in batch.open_at(connector.place.charger_id)
    ]
    found = session_that_ends(
        candidates,
        moment,
        evse=observation.evse,
        id_token=normalised_card_number(observation.id_token or "") or None,
        meter_stop_wh=observation.meter_stop_wh,
    )
    return batch.sessions[found] if found else None


def _without_start(
    batch: Batch, report: Report, connector: Connector, observation: SessionEnded, moment: Moment
) -> SessionRecord:
    """A session of which we know no start: it begins with its first reading."""
    session = new_session(batch, report, connector, moment)
    session.flags |= SessionFlag.START_UNKNOWN
    session.transaction_id = observation.transaction_id if observation.is_own_id else None
    session.id_token = normalised_card_number(observation.id_token or "") or None
    stamped = [one for one in observation.samples if one.at is not None and one.register_wh is not None]
    if stamped:
        first = min(stamped, key=lambda one: one.at or moment.at)
        begun = moment_told(report, first.at, observation.received_at, observation.is_marked_offline)
        session.started_at = min(begun.at, moment.at)
        session.device_started_at = begun.device_at
        session.meter_start_wh = first.register_wh
    batch.add(session)
    return session


def _finish(session: SessionRecord, observation: SessionEnded, moment: Moment) -> None:
    start_reliable = SessionFlag.CLOCK_UNRELIABLE not in session.flags
    dates = dates_of(session.started_at, session.device_started_at, start_reliable, moment)
    session.state = SessionState.ENDED
    session.flags = (session.flags | moment.flags) & ~SessionFlag.END_INFERRED
    if not dates.is_reliable:
        session.flags |= SessionFlag.CLOCK_UNRELIABLE
    if observation.reason is StopReason.CARD:
        session.flags |= SessionFlag.STOPPED_BY_CARD
    session.started_at, session.ended_at = dates.started_at, dates.ended_at
    session.last_event_at = max(session.last_event_at or moment.at, moment.at)
    session.meter_stop_wh = observation.meter_stop_wh
    # A stop that was asked for because the charge was denied is told by the charger as remote.
    is_denied = session.stop_reason is StopReason.DEAUTHORIZED and observation.reason is StopReason.REMOTE
    session.stop_reason = StopReason.DEAUTHORIZED if is_denied else observation.reason
    session.inferred_end_due_at = None


def infer_end(batch: Batch, session: SessionRecord) -> None:
    """The session ended with the last that was heard of it."""
    session.state = SessionState.ENDED
    session.flags |= SessionFlag.END_INFERRED
    session.ended_at = max(session.last_event_at or session.started_at, session.started_at)
    session.stop_reason = StopReason.UNKNOWN
    session.registered_at = batch.now
    session.inferred_end_due_at = None
    batch.finalise(session)
    if connector := batch.connector_of(session):
        point(batch, connector)
    batch.tell(session, "ENDED")


async def confirm_stops(batch: Batch, session: SessionRecord) -> None:
    """Whoever asked for this session's end has got it."""
    for command in list(batch.commands):
        if command.action is CommandAction.STOP and command.session_id == session.id:
            await awaited_commands.confirm(batch, command, session.id)
