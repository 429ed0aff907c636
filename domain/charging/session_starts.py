"""How sessions begin: one for each start however often it is told, and whose it is."""

from uuid import UUID

from domain.authorization.decision import Verdict, normalised_card_number
from domain.charging import authorizing, awaited_commands
from domain.charging.authorizing import occasion, word_for
from domain.charging.batch import Batch
from domain.charging.live import Connector
from domain.charging.reports import Outcome, Question, Report
from domain.charging.session_moments import moment_told
from domain.charging.session_readings import take_samples
from domain.charging.session_rules import (
    OFFLINE_TOLERANCE,
    Moment,
    start_key,
)
from domain.charging.session_store import SessionRecord
from domain.charging.sessions_at_connectors import NO_CHARGER, new_session, point, spoken_of, supersede, unannounced
from domain.observations import (
    SessionClaimed,
    SessionStarted,
)
from domain.roles import (
    AuthorizationDecision,
    CommandAction,
    SessionFlag,
)


async def started(batch: Batch, report: Report, observation: SessionStarted) -> Outcome:
    """There is one session for this start, however often it is told, under one transaction id."""
    connector = batch.connector(report.station_id, observation.evse)
    if connector is None:
        return Outcome(refusal=NO_CHARGER)
    moment = moment_told(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    known = _known_start(batch, report, observation, moment)
    verdict = batch.credentials.verdict(connector.place, observation.id_token, occasion(batch, moment, known))
    question = None
    if known is None or _is_start_missing(known, observation):
        known = known or _overtaken(batch, connector, observation, moment)
        if known is None:
            known = new_session(batch, report, connector, moment)
            supersede(batch, known)
            batch.add(known)
        if observation.transaction_id is None and _is_overtaken(connector, observation, moment):
            batch.adopt(known)
        _begin(batch, known, observation, moment)
        # A transaction of OCPP 2.0.1 may begin with the cable, and its token comes later.
        if observation.id_token or observation.transaction_id is None or verdict.is_accepted:
            verdict = await _spent(batch, connector, known, observation.id_token, verdict, moment)
            question = await _claim(batch, connector, known, observation.id_token, verdict, moment)
    take_samples(batch, report, connector, known, observation.samples)
    point(batch, connector)
    return Outcome(known.transaction_id, word_for(known, observation.id_token, verdict), question=question)


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


async def claimed(batch: Batch, report: Report, observation: SessionClaimed) -> Outcome:
    """The first token that may charge has the session, also one that was refused before; others, and one shown to stop it, are only
    decided about.
    """
    session, connector = spoken_of(batch, report, observation)
    if connector is None:
        return Outcome(refusal=NO_CHARGER)
    moment = moment_told(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    token, place = observation.id_token, connector.place
    verdict = batch.credentials.verdict(place, token, occasion(batch, moment, session))
    question = None
    if session is None:
        session = unannounced(batch, report, connector, observation.transaction_id, moment)
    is_taken = session.id_token is not None and session.authorized_at is not None
    is_known = session.id_token == normalised_card_number(token) and not verdict.is_accepted
    if not (is_taken or is_known or observation.is_stop):
        verdict = await _spent(batch, connector, session, token, verdict, moment)
        question = await _claim(batch, connector, session, token, verdict, moment)
        batch.tell(session, "UPDATED")
    point(batch, connector)
    return Outcome(session.transaction_id, word_for(session, token, verdict), question=question)


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


async def _spent(
    batch: Batch, connector: Connector, session: SessionRecord, id_token: str | None, verdict: Verdict, moment: Moment
) -> Verdict:
    """The verdict; where it relies on an opening that is another's meanwhile, the one without it."""
    if verdict.opening is None or verdict.opening.is_spent or id_token is None:
        return verdict
    if await awaited_commands.spend(batch, verdict.opening, id_token, session):
        return verdict
    return batch.credentials.verdict(connector.place, id_token, occasion(batch, moment, session))


async def _confirm_start(batch: Batch, session: SessionRecord) -> None:
    for command in list(batch.commands):
        if command.action is CommandAction.START and command.id_token and command.id_token == session.id_token:
            await awaited_commands.confirm(batch, command, session.id)
