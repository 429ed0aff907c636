"""How sessions begin, go on and end: the handlers of a batch, one for each kind of report. They change the working set only."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.authorization.decision import Occasion, Verdict, normalised_card_number
from domain.charging import authorizing
from domain.charging.batch import Batch, Outcome, Question, Report
from domain.charging.live import NO_CURRENT, Connector
from domain.charging.modes import line_currents
from domain.charging.session_rules import (
    CHARGING_ABOVE_A,
    CLOCK_TOLERANCE,
    END_HOLD,
    LATE_SAMPLES_FOR,
    OFFLINE_TOLERANCE,
    Moment,
    OpenSession,
    dates_of,
    moment_of,
    most_possible_wh,
    session_that_ends,
    start_key,
    stop_key,
    was_heard_live,
)
from domain.charging.session_store import SampleRow, SessionRecord
from domain.equipment.signed_records import SignedRow
from domain.ids import new_id
from domain.observations import ConnectorStatus, Metered, Sample, SessionClaimed, SessionEnded, SessionStarted
from domain.roles import AuthorizationDecision, CommandAction, SessionFlag, SessionState, StopReason

BEGIN = "Transaction.Begin"
NO_CHARGER = "This station has no charger here: an installer adds it first."
_PLUGGED = {
    ConnectorStatus.CHARGING,
    ConnectorStatus.SUSPENDED_EV,
    ConnectorStatus.SUSPENDED_EVSE,
    ConnectorStatus.PREPARING,
}


async def started(batch: Batch, report: Report, observation: SessionStarted) -> Outcome:
    """There is one session for this start, however often it is told, under one transaction id."""
    connector = batch.connector(report.station_id, observation.evse)
    if connector is None:
        return Outcome(refusal=NO_CHARGER)
    moment = _moment(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    known = _known_start(batch, report, observation, moment)
    verdict = batch.credentials.verdict(connector.place, observation.id_token, _occasion(batch, moment, known))
    question = None
    if known is None or _is_start_missing(known, observation):
        known = known or _overtaken(batch, connector, observation, moment)
        if known is None:
            known = _new_session(batch, report, connector, moment)
            _supersede(batch, known)
            batch.add(known)
        if observation.transaction_id is None and _is_overtaken(connector, observation, moment):
            batch.adopt(known)
        _begin(batch, known, observation, moment)
        # A transaction of OCPP 2.0.1 may begin with the cable, and its token comes later.
        if observation.id_token or observation.transaction_id is None or verdict.is_accepted:
            verdict = await _spent(batch, connector, known, observation.id_token, verdict, moment)
            question = await _claim(batch, connector, known, observation.id_token, verdict, moment)
    _take_samples(batch, report, connector, known, observation.samples)
    _point(batch, connector)
    return Outcome(known.transaction_id, _word_for(known, observation.id_token, verdict), question=question)


def _occasion(batch: Batch, moment: Moment, session: SessionRecord | None) -> Occasion:
    began_at = moment.at if moment.is_offline else None
    return Occasion(batch.now, began_at=began_at, session_id=None if session is None else session.id)


def _known_start(batch: Batch, report: Report, observation: SessionStarted, moment: Moment) -> SessionRecord | None:
    """The session that this start was told of before, or that was heard of before its start."""
    own_id = observation.transaction_id
    if own_id is None:
        return batch.by_key(report.station_id, "start_key", _start_key(observation))
    known = batch.by_key(report.station_id, "transaction_id", own_id)
    if known is None or not _is_another(known, observation, moment):
        return known
    # The charger counts from the beginning again, e.g. after a factory reset.
    known.transaction_id = None
    batch.touch(known)
    return None


def _is_another(known: SessionRecord, observation: SessionStarted, moment: Moment) -> bool:
    """Whether the start is of a new charge under an id that an ended one had."""
    return (
        known.ended_at is not None
        and SessionFlag.START_UNKNOWN not in known.flags
        and observation.charger_time != known.device_started_at
        and moment.is_reliable
        and moment.at > known.ended_at
    )


def _is_start_missing(known: SessionRecord, observation: SessionStarted) -> bool:
    return observation.transaction_id is not None and SessionFlag.START_UNKNOWN in known.flags


def _start_key(observation: SessionStarted) -> str:
    return start_key(observation.evse, observation.id_token, observation.charger_time, observation.meter_start_wh)


def _new_session(batch: Batch, report: Report, connector: Connector, moment: Moment) -> SessionRecord:
    place = connector.place
    return SessionRecord(
        id=new_id(),
        installation_id=place.installation_id,
        circuit_id=place.circuit_id,
        charger_id=place.charger_id,
        user_id=None,
        card_id=None,
        installation_name=place.installation_name,
        circuit_name=place.circuit_name,
        charger_name=place.charger_name,
        user_name=None,
        card_name=None,
        time_zone=place.time_zone,
        id_token=None,
        station_id=report.station_id,
        transaction_id=None,
        start_key=None,
        stop_key=None,
        state=SessionState.ACTIVE,
        flags=moment.flags,
        authorized_at=None,
        started_at=moment.at,
        ended_at=None,
        registered_at=None,
        last_event_at=moment.at,
        device_started_at=None,
        inferred_end_due_at=None,
        meter_start_wh=None,
        meter_last_wh=None,
        meter_stop_wh=None,
        energy_wh=None,
        connected_s=0,
        charging_s=0,
        stop_reason=None,
        is_paused=False,
        priority=0,
        external_id=None,
        created_at=batch.now,
    )


def _begin(batch: Batch, session: SessionRecord, observation: SessionStarted, moment: Moment) -> None:
    """The session has what its start says."""
    session.start_key = None if observation.transaction_id else _start_key(observation)
    session.transaction_id = observation.transaction_id or batch.next_transaction_id(_station(session))
    session.flags = (session.flags | moment.flags) & ~SessionFlag.START_UNKNOWN
    session.started_at, session.device_started_at = moment.at, moment.device_at
    if observation.meter_start_wh is not None:
        session.meter_start_wh = observation.meter_start_wh
    if session.is_open:
        start_wh = session.meter_start_wh or 0
        session.energy_wh = max(0, (session.meter_last_wh or start_wh) - start_wh)
        session.meter_last_wh = session.meter_last_wh or session.meter_start_wh
        batch.touch(session)
    else:
        batch.finalise(session)
    batch.keep(session)
    batch.tell(session, "STARTED")


async def _spent(
    batch: Batch, connector: Connector, session: SessionRecord, id_token: str | None, verdict: Verdict, moment: Moment
) -> Verdict:
    """The verdict; where it relies on an opening that is another's meanwhile, the one without it."""
    if verdict.opening is None or verdict.opening.is_spent or id_token is None:
        return verdict
    if await batch.spend(verdict.opening, id_token, session):
        return verdict
    return batch.credentials.verdict(connector.place, id_token, _occasion(batch, moment, session))


async def _claim(
    batch: Batch,
    connector: Connector,
    session: SessionRecord,
    id_token: str | None,
    verdict: Verdict,
    moment: Moment,
) -> Question | None:
    """The session is whose the token is, as far as it may charge; what an external system is to be asked about it."""
    session.id_token = normalised_card_number(id_token or "") or None
    session.external_id = verdict.external_session_id
    if verdict.is_accepted:
        session.authorized_at = session.authorized_at or moment.at
        session.stop_reason = None if session.is_open else session.stop_reason
    if verdict.is_degraded:
        session.flags |= SessionFlag.AUTHORIZATION_DEGRADED
    person = verdict.person
    session.user_id, session.user_name = (person.user_id, person.user_name) if person else (None, None)
    session.card_id, session.card_name = (person.card_id, person.card_name) if person else (None, None)
    batch.touch(session)
    if session.is_going_on and verdict.decision in (None, AuthorizationDecision.ACCEPTED):
        batch.credentials.begins(session.id_token or "", session.id, connector.place, verdict)
    await _confirm_start(batch, session)
    at = moment.at if moment.is_offline else batch.now
    attempt = authorizing.noted(batch, connector.place, id_token, verdict, at=at, session_id=session.id)
    return None if moment.is_offline else authorizing.asked(batch, connector.place, id_token, verdict, attempt)


async def claimed(batch: Batch, report: Report, observation: SessionClaimed) -> Outcome:
    """The first token that may charge has the session, also one that was refused before; others, and one shown to stop it, are only
    decided about.
    """
    session, connector = _spoken_of(batch, report, observation)
    if connector is None:
        return Outcome(refusal=NO_CHARGER)
    moment = _moment(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    token, place = observation.id_token, connector.place
    verdict = batch.credentials.verdict(place, token, _occasion(batch, moment, session))
    question = None
    if session is None:
        session = _unannounced(batch, report, connector, observation.transaction_id, moment)
    is_taken = session.id_token is not None and session.authorized_at is not None
    is_known = session.id_token == normalised_card_number(token) and not verdict.is_accepted
    if not (is_taken or is_known or observation.is_stop):
        verdict = await _spent(batch, connector, session, token, verdict, moment)
        question = await _claim(batch, connector, session, token, verdict, moment)
        batch.tell(session, "UPDATED")
    _point(batch, connector)
    return Outcome(session.transaction_id, _word_for(session, token, verdict), question=question)


def _word_for(session: SessionRecord, token: str | None, verdict: Verdict) -> AuthorizationDecision:
    """The decision about a token of a session: what is still being asked goes on with the session that it has, and only there, until
    it is denied.
    """
    if verdict.decision is not None:
        return verdict.decision
    is_denied = session.stop_reason is StopReason.DEAUTHORIZED
    has_it = session.id_token == normalised_card_number(token or "") and not is_denied
    return AuthorizationDecision.ACCEPTED if has_it else AuthorizationDecision.INVALID


def _spoken_of(
    batch: Batch, report: Report, observation: Metered | SessionClaimed
) -> tuple[SessionRecord | None, Connector | None]:
    """The session with that transaction id, and its charger or the one that is named."""
    session = batch.by_key(report.station_id, "transaction_id", observation.transaction_id)
    found = batch.connector_of(session) if session else None
    return session, found or batch.connector(report.station_id, observation.evse)


def _unannounced(
    batch: Batch, report: Report, connector: Connector, transaction_id: str | None, moment: Moment
) -> SessionRecord:
    """A session that is heard of before its start, which may still come."""
    session = _new_session(batch, report, connector, moment)
    session.flags |= SessionFlag.START_UNKNOWN
    session.transaction_id = transaction_id
    _supersede(batch, session)
    batch.add(session)
    return session


def _station(session: SessionRecord) -> UUID:
    if session.station_id is None:
        raise LookupError("a session of a machine has a station")
    return session.station_id


def _is_overtaken(connector: Connector, observation: SessionStarted, moment: Moment) -> bool:
    """Whether readings of this transaction may have come before its start, when nobody knew whose they were."""
    observed_at = connector.live.observed_at
    is_behind = observed_at is not None and observed_at > moment.at
    return is_behind or observation.received_at - moment.at > OFFLINE_TOLERANCE


def _overtaken(batch: Batch, connector: Connector, observation: SessionStarted, moment: Moment) -> SessionRecord | None:
    """The session whose final record arrived before its start did; only where the charger has no ids of its own."""
    if observation.transaction_id is not None:
        return None
    token = normalised_card_number(observation.id_token or "")
    for one in batch.sessions.values():
        if (
            one.station_id == connector.place.station_id
            and SessionFlag.START_UNKNOWN in one.flags
            and one.ended_at is not None
            and moment.is_reliable
            and moment.at <= one.ended_at
            and (one.id_token is None or one.id_token == token)
            and (one.meter_stop_wh or 0) >= (observation.meter_start_wh or 0)
        ):
            return one
    return None


def _supersede(batch: Batch, session: SessionRecord) -> None:
    """Older sessions at the connector cannot go on: their ends are awaited."""
    for older in batch.open_at(session.charger_id):
        if older.id != session.id and older.started_at <= session.started_at:
            await_end(batch, older)


def await_end(batch: Batch, session: SessionRecord) -> None:
    """A signal says that the session is over: its final record has the hold's time to arrive."""
    if session.is_open and session.inferred_end_due_at is None:
        session.inferred_end_due_at = batch.now + END_HOLD
        batch.credentials.ends(session.id_token or "", session.id)
        batch.touch(session)


def await_ends_before(batch: Batch, connector: Connector, at: datetime) -> None:
    """The ends of sessions that have said nothing since that instant are awaited."""
    for session in batch.open_at(connector.place.charger_id):
        if session.last_event_at is None or session.last_event_at < at:
            await_end(batch, session)


async def _confirm_start(batch: Batch, session: SessionRecord) -> None:
    for command in list(batch.commands):
        if command.action is CommandAction.START and command.id_token and command.id_token == session.id_token:
            await batch.confirm(command, session.id)


def metered(batch: Batch, report: Report, observation: Metered) -> Outcome:
    """The readings are kept; those of a session count for it, those that are newest and live show."""
    session, connector = _spoken_of(batch, report, observation)
    if observation.evse == 0 and (session is None or batch.connector_of(session) is None):
        return Outcome()  # The station's main meter, not a charger's.
    if connector is None:
        return Outcome(refusal=NO_CHARGER)
    if session is None:
        session = _session_at(batch, report, connector, observation)
    elif session.inferred_end_due_at is not None and session.is_open:
        session.inferred_end_due_at = None  # It speaks again, so it is not over.
        batch.touch(session)
    if session is not None and _is_listened_to(batch, session):
        _reconsider(batch, report, session)
    _take_samples(batch, report, connector, session, observation.samples)
    if session is not None and session.is_open and observation.is_own_id and not observation.samples:
        _speaks(batch, report, session, observation)
    if session is not None and not session.is_open and _is_listened_to(batch, session):
        batch.finalise(session)
    if session is not None and session.is_open and not observation.is_marked_offline:
        batch.tell(session, "UPDATED")
    _point(batch, connector)
    return Outcome()


def _speaks(batch: Batch, report: Report, session: SessionRecord, observation: Metered) -> None:
    """A word of the session without a reading: it went on until then."""
    moment = _moment(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    session.flags |= moment.flags
    session.last_event_at = max(session.last_event_at or moment.at, moment.at)
    batch.touch(session)


def _is_listened_to(batch: Batch, session: SessionRecord) -> bool:
    """Whether readings still change the session: until a day after its end arrived, whatever was corrected meanwhile."""
    end_arrived_at = batch.end_arrived_at(session)
    return end_arrived_at is None or batch.now - end_arrived_at <= LATE_SAMPLES_FOR


def _session_at(batch: Batch, report: Report, connector: Connector, observation: Metered) -> SessionRecord | None:
    """The session of readings without a known transaction: one that is new to us, else the one at the connector, if it had begun."""
    moment = _moment(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    if observation.is_own_id:
        return _unannounced(batch, report, connector, observation.transaction_id, moment)
    going_on = [one for one in batch.open_at(connector.place.charger_id) if one.started_at <= moment.at]
    return going_on[-1] if going_on else None


def _take_samples(
    batch: Batch, report: Report, connector: Connector, session: SessionRecord | None, samples: Sequence[Sample]
) -> None:
    for sample in samples:
        observation = report.observation
        moment = _moment(
            report, sample.at or observation.charger_time, observation.received_at, observation.is_marked_offline
        )
        if session is not None and batch.is_put_back(session, sample.register_wh, moment.at):
            moment = _by_receipt(report, moment)
        batch.samples.append(
            SampleRow(
                installation_id=session.installation_id if session else connector.place.installation_id,
                charger_id=connector.place.charger_id,
                session_id=session.id if session else None,
                at=moment.at,
                received_at=observation.received_at,
                context=sample.context,
                register_wh=sample.register_wh,
                power_w=sample.power_w,
                currents=_lines(connector, sample),
            )
        )
        if session is not None and _is_listened_to(batch, session):
            _count(batch, connector, session, sample, moment)
        if session is not None:
            _sign(batch, session, sample, moment, observation.received_at)
        if not moment.is_offline:
            _show(connector, session, sample, moment, observation.received_at)


def _lines(connector: Connector, sample: Sample) -> tuple[float | None, float | None, float | None]:
    if sample.currents == (None, None, None):
        return (None, None, None)
    return line_currents(sample.currents, connector.place.phase_rotation) or (None, None, None)


def _count(batch: Batch, connector: Connector, session: SessionRecord, sample: Sample, moment: Moment) -> None:
    """The session has the sample's flags and, where it is the newest, its energy and charging time."""
    if moment.is_offline or not moment.is_reliable:
        session.flags |= moment.flags
    batch.read_on(session)
    before = session.last_event_at or session.started_at
    if not session.is_open or moment.at < before:
        return
    session.last_event_at = moment.at
    session.connected_s = max(0, round((moment.at - session.started_at).total_seconds()))
    if max((current or 0.0 for current in sample.currents), default=0.0) > CHARGING_ABOVE_A:
        session.charging_s = min(session.connected_s, session.charging_s + round((moment.at - before).total_seconds()))
    register = sample.register_wh
    if register is None:
        return
    if session.meter_start_wh is None:
        session.meter_start_wh = register
    if register < (session.meter_last_wh or session.meter_start_wh):
        return  # A register that fell says nothing about energy; the final record settles it.
    energy = register - session.meter_start_wh
    if energy <= most_possible_wh(connector.place.rating_w, moment.at - session.started_at) or not moment.is_reliable:
        session.meter_last_wh = register
        session.energy_wh = energy


def _sign(batch: Batch, session: SessionRecord, sample: Sample, moment: Moment, received_at: datetime) -> None:
    """What the meter signed is kept with the session."""
    if sample.signed_payload is None:
        return
    session.flags |= SessionFlag.SIGNED
    batch.signed.append(
        SignedRow(
            session_id=session.id,
            installation_id=session.installation_id,
            charger_id=session.charger_id,
            context=sample.context,
            at=moment.at,
            received_at=received_at,
            sent=sample.signed_payload,
        )
    )


def _show(
    connector: Connector, session: SessionRecord | None, sample: Sample, moment: Moment, received_at: datetime
) -> None:
    live = connector.live
    if live.observed_at is not None and moment.at < live.observed_at:
        return
    live.observed_at = moment.at
    live.received_at = received_at
    if sample.register_wh is not None:
        live.register_wh = sample.register_wh
    if sample.power_w is not None:
        live.power_w = sample.power_w
    if sample.currents != (None, None, None):
        live.currents = line_currents(sample.currents, connector.place.phase_rotation)
        # By our clock, and of currents only: the balancer compares it with the instants of acknowledgements.
        live.measured_at = received_at
    if session is not None and not session.is_open:
        live.power_w, live.currents = 0.0, NO_CURRENT


def _point(batch: Batch, connector: Connector) -> None:
    """The charger shows the newest session that goes on there, if any."""
    live = connector.live
    going_on = batch.open_at(connector.place.charger_id)
    current = next(
        (one for one in reversed(going_on) if one.inferred_end_due_at is None), going_on[-1] if going_on else None
    )
    if current is None and live.session_id is not None:
        live.power_w, live.currents = 0.0, NO_CURRENT
        if live.connector_status in _PLUGGED:
            # Its own word for it follows; until then it is not waiting for a card.
            live.connector_status = ConnectorStatus.FINISHING
    live.session_id = current.id if current else None
    live.session_user_id = current.user_id if current else None
    live.session_energy_wh = current.energy_wh if current else None
    connector.is_paused = current.is_paused if current else False
    connector.is_unclaimed = current.is_unclaimed if current else False
    connector.settle_mode()


async def ended(batch: Batch, report: Report, observation: SessionEnded) -> Outcome:
    """The session has its final record; the first real one counts, a repetition changes nothing."""
    moment = _moment(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
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
    _reconsider(batch, report, session)
    if session.is_open and session.last_event_at is not None and moment.at < session.last_event_at - CLOCK_TOLERANCE:
        moment = _by_receipt(report, moment)
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
        _take_samples(batch, report, found, session, observation.samples)
        _point(batch, found)
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
    return _word_for(session, observation.id_token, verdict)


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
    session = _new_session(batch, report, connector, moment)
    session.flags |= SessionFlag.START_UNKNOWN
    session.transaction_id = observation.transaction_id if observation.is_own_id else None
    session.id_token = normalised_card_number(observation.id_token or "") or None
    stamped = [one for one in observation.samples if one.at is not None and one.register_wh is not None]
    if stamped:
        first = min(stamped, key=lambda one: one.at or moment.at)
        begun = _moment(report, first.at, observation.received_at, observation.is_marked_offline)
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


async def confirm_stops(batch: Batch, session: SessionRecord) -> None:
    """Whoever asked for this session's end has got it."""
    for command in list(batch.commands):
        if command.action is CommandAction.STOP and command.session_id == session.id:
            await batch.confirm(command, session.id)


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
        _point(batch, connector)
    batch.tell(session, "ENDED")


def _by_receipt(report: Report, moment: Moment) -> Moment:
    """The moment of what a clock wrote that was put back meanwhile: it is not old, only written so."""
    observation = report.observation
    return Moment(
        observation.received_at, moment.device_at, is_reliable=False, is_offline=observation.is_marked_offline
    )


def _reconsider(batch: Batch, report: Report, session: SessionRecord) -> None:
    """A session whose start seemed to be older than the connection is not, now that the clock is known to be behind."""
    if SessionFlag.OFFLINE not in session.flags:
        return
    if was_heard_live(session.device_started_at, session.created_at, report.hearing):
        session.flags = (session.flags & ~SessionFlag.OFFLINE) | SessionFlag.CLOCK_UNRELIABLE
        session.started_at = min(session.created_at, report.observation.received_at)
        session.last_event_at = max(session.last_event_at or session.started_at, session.started_at)
        batch.touch(session)


def _moment(report: Report, charger_time: datetime | None, received_at: datetime, is_marked_offline: bool) -> Moment:
    return moment_of(charger_time, received_at, report.hearing, is_marked_offline=is_marked_offline)
