"""A batch is written: everything that its handlers changed, in the order in which rows depend on each other."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain import session_events, sql
from domain.alerting import late_news
from domain.authorization import attempts
from domain.charging import corrections, live, session_store
from domain.charging.batch import Batch
from domain.charging.energy_intervals import Part, intervals
from domain.charging.session_rules import (
    Reading,
    charging_time,
    most_possible_wh,
    session_energy,
)
from domain.charging.session_store import SessionRecord
from domain.equipment import signed_records
from domain.events import Event, SessionChanged
from domain.ids import new_id
from domain.roles import (
    AuthorizationDecision,
    SessionEventKind,
    SessionFlag,
)


async def write(batch: Batch) -> list[Event]:
    """Everything is stored; what is to be published after the commit."""
    changes = batch.changes
    await session_store.insert_samples(batch.samples)
    await signed_records.keep(batch.signed)
    await _adopt(batch)
    parts = _finalised(batch, await session_store.readings([*changes.finals]))
    replaced = await _replace_announced(batch, parts)
    # First those that are known: one may have given up its transaction id to a new one.
    await session_store.update(batch.sessions[one] for one in sorted(changes.dirty - changes.new))
    read_on_only = changes.read_on - changes.dirty - changes.new
    await session_store.update_progress(batch.sessions[one] for one in sorted(read_on_only))
    await corrections.make_void(replaced)
    await session_store.insert(batch.sessions[one] for one in sorted(changes.new))
    await write_attempts(batch)
    await corrections.hand_over(replaced)
    await session_store.replace_intervals(parts)
    await _write_alerts(batch)
    await session_events.record(batch.events, now=batch.now)
    await _write_stations(batch)
    return [*batch.events, *await live.write(batch.all_connectors())]


async def _replace_announced(batch: Batch, parts: dict[UUID, tuple[UUID, Sequence[Part]]]) -> dict[UUID, UUID]:
    """Old → new of the sessions that were announced and are otherwise now: the new ones are to be stored in their place."""
    changes = batch.changes
    written = {one: changes.ended_as[one] for one in changes.dirty | changes.read_on if changes.ended_as.get(one)}
    changed = {one for one, before in written.items() if corrections.content_of(batch.sessions[one]) != before}
    same = {one: found for one, (_, found) in parts.items() if one in written and one not in changed}
    changed |= await corrections.with_other_parts(same)
    replaced: dict[UUID, UUID] = {}
    for old_id in sorted(await corrections.announced(sorted(changed))):
        new = msgspec.structs.replace(batch.sessions[old_id], id=new_id(), registered_at=batch.now)
        replaced[old_id] = new.id
        changes.dirty.discard(old_id)
        changes.read_on.discard(old_id)
        batch.sessions[new.id] = new
        changes.new.add(new.id)
        if old_id in parts:
            parts[new.id] = parts.pop(old_id)
        batch.events = [
            one for one in batch.events if not (isinstance(one, SessionChanged) and one.session_id == old_id)
        ]
        batch.tell(new, SessionEventKind.REPLACED, replaces_id=old_id)
    return replaced


async def _adopt(batch: Batch) -> None:
    changes = batch.changes
    for session in sorted((batch.sessions[one] for one in changes.adopting), key=lambda one: one.started_at):
        starts = [one.started_at for one in batch.sessions_at(session.charger_id)]
        until = min((one for one in starts if one > session.started_at), default=None)
        await session_store.adopt_samples(session, until=until)


async def write_attempts(batch: Batch) -> None:
    """Attempts to charge and questions about them are stored."""
    changes = batch.changes
    await attempts.insert(changes.attempts.values(), batch.requests)
    await attempts.link(changes.linked.values())


async def _write_alerts(batch: Batch) -> None:
    """Of cards that nobody knows, and of charges that arrive late: most batches have neither."""
    changes = batch.changes
    for attempt in changes.attempts.values():
        connector = batch.connector_at(attempt.charger_id)
        is_unknown = attempt.decision is AuthorizationDecision.INVALID and attempt.user_id is None
        if connector is not None and is_unknown and attempt.token:
            batch.events += await late_news.unknown_card(connector, attempt.token, now=batch.now)
    for session in (batch.sessions[one] for one in sorted(changes.finals)):
        is_news = session.registered_at is not None and session.registered_at >= batch.now
        connector = batch.connector_of(session)
        if connector is not None and is_news and SessionFlag.OFFLINE in session.flags:
            batch.events += await late_news.offline_charge(connector, now=batch.now)


async def _write_stations(batch: Batch) -> None:
    await sql.execute_many(
        "UPDATE stations SET last_transaction_id = $2 WHERE id = $1",
        [(one.id, one.last_transaction_id) for one in batch.stations.values() if one.given_ids],
    )
    await sql.execute_many(
        "UPDATE stations SET vendor = $2, model = $3, serial_number = $4, firmware_version = $5, booted_at = $6,"
        " restarts = $7, restarts_since = $8 WHERE id = $1",
        [
            (
                one.id,
                one.booted.vendor,
                one.booted.model,
                one.booted.serial_number,
                one.booted.firmware_version,
                one.booted.received_at,
                one.restarts,
                one.restarts_since,
            )
            for one in batch.stations.values()
            if one.booted is not None
        ],
    )


def _finalised(batch: Batch, readings: dict[UUID, list[Reading]]) -> dict[UUID, tuple[UUID, Sequence[Part]]]:
    changes = batch.changes
    parts: dict[UUID, tuple[UUID, Sequence[Part]]] = {}
    for session_id in sorted(changes.finals):
        session = batch.sessions[session_id]
        connector = batch.connector_of(session)
        rating_w = connector.place.rating_w if connector else None
        parts[session_id] = (session.installation_id, _final_energy(session, readings.get(session_id, []), rating_w))
    return parts


def _final_energy(session: SessionRecord, samples: Sequence[Reading], rating_w: float | None) -> list[Part]:
    """The ended session has its energy, charging time and flag; its energy by interval."""
    started_at, ended_at = session.started_at, session.ended_at or session.started_at
    inside = [one for one in samples if started_at <= one.at <= ended_at]
    is_trusted = rating_w is not None and SessionFlag.CLOCK_UNRELIABLE not in session.flags
    stop_wh = session.meter_last_wh if session.meter_stop_wh is None and session.is_inferred else session.meter_stop_wh
    energy = session_energy(
        meter_start_wh=session.meter_start_wh,
        meter_stop_wh=stop_wh,
        registers=[one.register_wh for one in samples if one.register_wh is not None],
        limit_wh=most_possible_wh(rating_w, ended_at - started_at) if is_trusted and rating_w is not None else None,
    )
    session.energy_wh = energy.wh
    session.flags &= ~SessionFlag.ENERGY_ESTIMATED
    if energy.is_estimated:
        session.flags |= SessionFlag.ENERGY_ESTIMATED
    edges = [Reading(started_at, session.meter_start_wh), *inside, Reading(ended_at, stop_wh)]
    session.charging_s = round(charging_time(edges).total_seconds())
    session.connected_s = round((ended_at - started_at).total_seconds())
    if energy.wh is None:
        return []
    has_samples = any(one.register_wh is not None for one in inside)
    return intervals(started_at, ended_at, energy.wh, edges, is_estimated=not has_samples or energy.is_estimated)
