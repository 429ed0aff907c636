"""Which sessions stand at a connector: the one that is spoken of, a new one, those that cannot go on, and the one that shows."""

from datetime import datetime

from domain.charging.batch import Batch
from domain.charging.live import NO_CURRENT, Connector
from domain.charging.reports import Report
from domain.charging.session_rules import (
    END_HOLD,
    Moment,
)
from domain.charging.session_store import SessionRecord
from domain.ids import new_id
from domain.observations import (
    ConnectorStatus,
    Metered,
    SessionClaimed,
)
from domain.roles import (
    SessionFlag,
    SessionState,
)

NO_CHARGER = "This station has no charger here: an installer adds it first."
_PLUGGED = {
    ConnectorStatus.CHARGING,
    ConnectorStatus.SUSPENDED_EV,
    ConnectorStatus.SUSPENDED_EVSE,
    ConnectorStatus.PREPARING,
}


def spoken_of(
    batch: Batch, report: Report, observation: Metered | SessionClaimed
) -> tuple[SessionRecord | None, Connector | None]:
    """The session with that transaction id, and its charger or the one that is named."""
    session = batch.by_key(report.station_id, "transaction_id", observation.transaction_id)
    found = batch.connector_of(session) if session else None
    return session, found or batch.connector(report.station_id, observation.evse)


def new_session(batch: Batch, report: Report, connector: Connector, moment: Moment) -> SessionRecord:
    """A session at that connector of which nothing is known but its moment; not of the batch yet."""
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


def unannounced(
    batch: Batch, report: Report, connector: Connector, transaction_id: str | None, moment: Moment
) -> SessionRecord:
    """A session that is heard of before its start, which may still come."""
    session = new_session(batch, report, connector, moment)
    session.flags |= SessionFlag.START_UNKNOWN
    session.transaction_id = transaction_id
    supersede(batch, session)
    batch.add(session)
    return session


def supersede(batch: Batch, session: SessionRecord) -> None:
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


def point(batch: Batch, connector: Connector) -> None:
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
