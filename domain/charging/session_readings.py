"""How sessions go on: readings are kept, count for their session where they are its, and show where they are the newest."""

from collections.abc import Sequence
from datetime import datetime

from domain.charging.batch import Batch
from domain.charging.live import NO_CURRENT, Connector
from domain.charging.modes import line_currents
from domain.charging.reports import Outcome, Report
from domain.charging.session_moments import by_receipt, moment_told, reconsider
from domain.charging.session_rules import (
    CHARGING_ABOVE_A,
    LATE_SAMPLES_FOR,
    Moment,
    most_possible_wh,
)
from domain.charging.session_store import SampleRow, SessionRecord
from domain.charging.sessions_at_connectors import NO_CHARGER, point, spoken_of, unannounced
from domain.equipment.signed_records import SignedRow
from domain.observations import (
    Metered,
    Sample,
)
from domain.roles import SessionFlag


def metered(batch: Batch, report: Report, observation: Metered) -> Outcome:
    """The readings are kept; those of a session count for it, those that are newest and live show."""
    session, connector = spoken_of(batch, report, observation)
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
        reconsider(batch, report, session)
    take_samples(batch, report, connector, session, observation.samples)
    if session is not None and session.is_open and observation.is_own_id and not observation.samples:
        _speaks(batch, report, session, observation)
    if session is not None and not session.is_open and _is_listened_to(batch, session):
        batch.finalise(session)
    if session is not None and session.is_open and not observation.is_marked_offline:
        batch.tell(session, "UPDATED")
    point(batch, connector)
    return Outcome()


def _speaks(batch: Batch, report: Report, session: SessionRecord, observation: Metered) -> None:
    """A word of the session without a reading: it went on until then."""
    moment = moment_told(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    session.flags |= moment.flags
    session.last_event_at = max(session.last_event_at or moment.at, moment.at)
    batch.touch(session)


def _is_listened_to(batch: Batch, session: SessionRecord) -> bool:
    """Whether readings still change the session: until a day after its end arrived, whatever was corrected meanwhile."""
    end_arrived_at = batch.end_arrived_at(session)
    return end_arrived_at is None or batch.now - end_arrived_at <= LATE_SAMPLES_FOR


def _session_at(batch: Batch, report: Report, connector: Connector, observation: Metered) -> SessionRecord | None:
    """The session of readings without a known transaction: one that is new to us, else the one at the connector, if it had begun."""
    moment = moment_told(report, observation.charger_time, observation.received_at, observation.is_marked_offline)
    if observation.is_own_id:
        return unannounced(batch, report, connector, observation.transaction_id, moment)
    going_on = [one for one in batch.open_at(connector.place.charger_id) if one.started_at <= moment.at]
    return going_on[-1] if going_on else None


def take_samples(
    batch: Batch, report: Report, connector: Connector, session: SessionRecord | None, samples: Sequence[Sample]
) -> None:
    """The samples are kept; they count for the session, if there is one, and show, as far as they are the newest."""
    for sample in samples:
        observation = report.observation
        moment = moment_told(
            report, sample.at or observation.charger_time, observation.received_at, observation.is_marked_offline
        )
        if session is not None and batch.is_put_back(session, sample.register_wh, moment.at):
            moment = by_receipt(report, moment)
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
