"""The door for what chargers say: a batch of reports is one transaction, and only what is durable is answered. Machines only."""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from tortoise.transactions import in_transaction

from domain import sql
from domain.alerting import faults, inferred_faults
from domain.charging import (
    authorizing,
    awaited_commands,
    batch_reading,
    batch_writing,
    session_ends,
    session_readings,
    session_starts,
    session_store,
)
from domain.charging.batch import Batch
from domain.charging.live import Connector
from domain.charging.reports import Outcome, Report
from domain.charging.session_rules import END_HOLD, Moment, moment_of
from domain.charging.sessions_at_connectors import await_ends_before
from domain.equipment import ocpp_messages
from domain.errors import UnavailableError
from domain.events import Event
from domain.observations import (
    Booted,
    ConnectorStatus,
    FaultReported,
    FirmwareReported,
    Metered,
    SessionClaimed,
    SessionEnded,
    SessionStarted,
    StatusReported,
    TokenPresented,
)
from domain.roles import CommandAction

__all__ = ["BatchResult", "Outcome", "Report", "apply_batch", "settle"]

STALE = "A newer connection of this station has taken over."
DEFECT = "This message could not be stored."
_WITHOUT_CURRENT = frozenset(
    {
        ConnectorStatus.AVAILABLE,
        ConnectorStatus.PREPARING,
        ConnectorStatus.SUSPENDED_EV,
        ConnectorStatus.SUSPENDED_EVSE,
        ConnectorStatus.FINISHING,
        ConnectorStatus.RESERVED,
    }
)
"""States in which no energy flows (OCPP 1.6 §4.9). A faulted charger may have a welded contactor: what it measures counts."""

_FREE = frozenset({ConnectorStatus.AVAILABLE, ConnectorStatus.RESERVED})
_WITH_CAR = frozenset(
    {
        ConnectorStatus.PREPARING,
        ConnectorStatus.CHARGING,
        ConnectorStatus.SUSPENDED_EV,
        ConnectorStatus.SUSPENDED_EVSE,
        ConnectorStatus.FINISHING,
    }
)

DEFECTS = (*sql.DATABASE_TROUBLE, ArithmeticError, LookupError, TypeError, ValueError)
"""What one bad report may raise; it must not take the others of its batch along."""
SETTLED_AT_ONCE = 100
DEADLOCKS = 5
"""So often others may stand in a batch's way before its chargers are sent off, who keep what they have to tell."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One outcome for each report, in their order, and what is to be published now."""

    outcomes: tuple[Outcome, ...]
    events: tuple[Event, ...]


async def apply_batch(reports: Sequence[Report], *, now: datetime) -> BatchResult:
    """All reports are durable, but for those whose outcome is a refusal.

    Reports of one station are worked on in the given order. UnavailableError: the database is away and nothing was stored.
    """
    try:
        return await _once_more(reports, now)
    except sql.DATABASE_AWAY as error:
        raise UnavailableError("The database is away.") from error
    except DEFECTS:
        if len(reports) == 1:
            _log.exception(
                "a report was refused",
                station_id=str(reports[0].station_id),
                report=type(reports[0].observation).__name__,
            )
            return BatchResult((Outcome(refusal=DEFECT),), ())
    singles = [await apply_batch([one], now=now) for one in reports]
    return BatchResult(
        tuple(outcome for single in singles for outcome in single.outcomes),
        tuple(event for single in singles for event in single.events),
    )


async def _once_more(reports: Sequence[Report], now: datetime) -> BatchResult:
    """As `_applied`, again where others stood in its way: that is no fault of what was said."""
    for number in range(DEADLOCKS):
        try:
            return await _applied(reports, now)
        except sql.MET_ANOTHER as error:
            _log.warning("reports met another transaction", reports=len(reports), tries=number + 1, reason=str(error))
            await asyncio.sleep(random.uniform(0.0, 0.2))
    raise UnavailableError("Others are changing the same at this moment.")


async def _applied(reports: Sequence[Report], now: datetime) -> BatchResult:
    async with in_transaction():
        batch = await batch_reading.load(reports, now=now)
        outcomes = [await _outcome(batch, one) for one in reports]
        events = await batch_writing.write(batch)
        messages = [one.message for one in reports if one.message is not None]
        await ocpp_messages.insert(messages, places=batch.places())
    return BatchResult(tuple(outcomes), tuple(events))


async def _outcome(batch: Batch, report: Report) -> Outcome:
    station = batch.stations.get(report.station_id)
    if station is None or report.epoch < station.epoch:
        return Outcome(refusal=STALE)
    match report.observation:
        case Metered() as metered:
            return session_readings.metered(batch, report, metered)
        case SessionStarted() as started:
            return await session_starts.started(batch, report, started)
        case SessionClaimed() as claimed:
            return await session_starts.claimed(batch, report, claimed)
        case SessionEnded() as ended:
            return await session_ends.ended(batch, report, ended)
        case StatusReported() as reported:
            return await _status(batch, report, reported)
        case FaultReported() as reported_fault:
            return await _fault(batch, report, reported_fault)
        case TokenPresented() as presented:
            return authorizing.presented(batch, report, presented)
        case Booted() as booted:
            return await _booted(batch, report, booted)
        case FirmwareReported() as progress:
            return await _progressed(batch, report, progress)
    return Outcome()


async def _booted(batch: Batch, report: Report, booted: Booted) -> Outcome:
    """The station is known by what it says of itself; restarts have happened, and sessions may have ended with the power."""
    station = batch.stations[report.station_id]
    station.booted = booted
    connectors = batch.connectors.get(report.station_id, [])
    here = {one.place.charger_id for one in connectors}
    awaited = [one for one in batch.commands if one.charger_id in here and one.action in _RESTARTING]
    for connector in connectors:
        if booted.lost_power:
            await_ends_before(batch, connector, booted.received_at)
    for command in awaited if booted.is_restart else ():
        if command.action is CommandAction.RESTART:
            await awaited_commands.confirm(batch, command)
    if booted.is_restart and not awaited and connectors:
        count = station.restart(batch.now, inferred_faults.RESTARTS_WITHIN)
        batch.events += await inferred_faults.restarted(connectors[0], count, now=batch.now)
    return Outcome()


_RESTARTING = frozenset({CommandAction.RESTART, CommandAction.UPDATE_FIRMWARE})
"""What a station restarts for."""


_DONE = frozenset({"Installed", "Uploaded"})
_FAILED = re.compile("fail|error|invalid|revoked|denied|notsupported|badmessage|canceled", re.IGNORECASE)
"""In the names of what ends in nothing (OCPP 1.6 §7.25 and §7.28, OCPP 2.0.1 FirmwareStatusEnumType and UploadLogStatusEnumType)."""


async def _progressed(batch: Batch, report: Report, progress: FirmwareReported) -> Outcome:
    """New firmware, or a log, is on its way, has arrived or never will: so far has the command come that asked for it."""
    action = CommandAction.UPDATE_FIRMWARE if progress.subject == "firmware" else CommandAction.OTHER
    here = {one.place.charger_id for one in batch.connectors.get(report.station_id, [])}
    command = next((one for one in batch.commands if one.action is action and one.charger_id in here), None)
    if command is None or progress.status == "Idle":
        return Outcome()
    if progress.status in _DONE:
        await awaited_commands.confirm(batch, command)
    else:
        await awaited_commands.progress(
            batch, command, progress.status, is_failed=bool(_FAILED.search(progress.status))
        )
    return Outcome()


async def _status(batch: Batch, report: Report, reported: StatusReported) -> Outcome:
    """The newest status counts; one that was replayed changes nothing that shows."""
    moment = moment_of(
        reported.charger_time, reported.received_at, report.hearing, is_marked_offline=reported.is_marked_offline
    )
    if reported.transaction_id is not None:
        _activity(batch, report, reported, moment)
        return Outcome()
    for connector in _concerned(batch, report, reported):
        live = connector.live
        if live.status_at is not None and moment.at < live.status_at:
            continue
        if reported.is_coarse and reported.status is ConnectorStatus.PREPARING:
            _occupied(batch, report, connector, moment)
        else:
            live.status_at = live.observed_at = moment.at
            live.received_at = live.status_received_at = reported.received_at
            live.error_code, live.vendor_error_code = _known(reported.error_code), reported.vendor_error_code
            if reported.evse != 0:
                _connector_status(batch, connector, reported.status, moment)
        batch.events += await _said_wrong(batch, connector, reported)
    return Outcome()


def _occupied(batch: Batch, report: Report, connector: Connector, moment: Moment) -> None:
    """A car is there. What it does, where that is known, stays; else it has just come."""
    live, received_at = connector.live, report.observation.received_at
    live.received_at = received_at
    if live.connector_status in _WITH_CAR:
        return
    was_seen_free = (
        live.connector_status in _FREE
        and live.status_received_at is not None
        and live.status_received_at >= report.hearing.connected_at
    )
    # Of a car that was there before we listened nobody knows whether it draws: that is no evidence of an open contactor.
    live.status_received_at = received_at if was_seen_free else None
    live.status_at = live.observed_at = moment.at
    _connector_status(batch, connector, ConnectorStatus.PREPARING, moment)


def _activity(batch: Batch, report: Report, reported: StatusReported, moment: Moment) -> None:
    """What an open transaction does shows, unless the connector is at fault; it also replaces a mere word that a car is there."""
    session = batch.by_key(report.station_id, "transaction_id", reported.transaction_id)
    connector = batch.connector_of(session) if session is not None and session.is_open else None
    if connector is None or connector.live.connector_status is ConnectorStatus.FAULTED:
        return
    live = connector.live
    is_old = live.status_at is not None and moment.at < live.status_at
    if is_old and live.connector_status is not ConnectorStatus.PREPARING:
        return
    live.status_at = moment.at
    live.received_at = live.status_received_at = reported.received_at
    live.observed_at = moment.at if live.observed_at is None else max(live.observed_at, moment.at)
    _connector_status(batch, connector, reported.status, moment)


async def _said_wrong(batch: Batch, connector: Connector, reported: StatusReported) -> list[Event]:
    if reported.is_coarse:
        return await faults.status_said(connector, reported.status, batch.alerts, now=batch.now)
    fault = faults.fault_of(reported.error_code, reported.vendor_error_code, reported.info, reported.status)
    return await faults.report(connector, fault, batch.alerts, now=batch.now)


async def _fault(batch: Batch, report: Report, reported: FaultReported) -> Outcome:
    """The alert is open or over; what concerns the station as a whole shows at its first charger."""
    connector = batch.connector(report.station_id, reported.evse)
    if connector is not None:
        change = faults.cleared if reported.is_cleared else faults.raised
        fault = faults.Fault(reported.kind, reported.vendor_code, reported.info)
        batch.events += await change(connector, fault, batch.alerts, now=batch.now)
    return Outcome()


def _concerned(batch: Batch, report: Report, reported: StatusReported) -> list[Connector]:
    """The connector; for the station as a whole its first charger, and only where something is wrong with it."""
    connectors = batch.connectors.get(report.station_id, [])
    if reported.evse != 0:
        return [one for one in connectors if one.place.evse == reported.evse]
    fault = faults.fault_of(reported.error_code, reported.vendor_error_code, reported.info, reported.status)
    return connectors[:1] if fault is not None else []


def _known(error_code: str | None) -> str | None:
    return None if error_code in (None, faults.NO_ERROR) else error_code


def _connector_status(batch: Batch, connector: Connector, status: ConnectorStatus, moment: Moment) -> None:
    live = connector.live
    live.connector_status = status
    if status is ConnectorStatus.AVAILABLE:
        await_ends_before(batch, connector, moment.at)
    if status in _WITHOUT_CURRENT and live.power_w is not None:
        live.power_w, live.currents = 0.0, None if live.currents is None else (0.0, 0.0, 0.0)
    connector.settle_mode()


async def settle(*, now: datetime) -> list[Event]:
    """Sessions whose awaited final record has not come within the hold have ended with the last that was heard of them."""
    due = await session_store.awaiting_end(due=now, connected_before=now - END_HOLD, limit=SETTLED_AT_ONCE)
    if not due:
        return []
    async with in_transaction():
        batch = await batch_reading.load_stations(sorted(set(due.values())), now=now)
        batch.commands = await awaited_commands.open_commands([one.place.charger_id for one in batch.all_connectors()])
        for session_id in due:
            session = batch.sessions.get(session_id)
            if session is not None and session.is_open and session.inferred_end_due_at is not None:
                session_ends.infer_end(batch, session)
                await session_ends.confirm_stops(batch, session)
        return await batch_writing.write(batch)
