"""Signatures of meters for people: whether a session's records are what its meter signed, and by which key that is known.

A key that comes in the same message as what it signs proves nothing about that message. It is remembered, and counts for what comes
later; one that a person compared with the meter counts for all records of its time and before.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import INSTALLERS, Access
from domain.equipment import ocmf
from domain.equipment.chargers import managed_charger
from domain.errors import invalid
from domain.models import MeterKey
from domain.roles import RecordPlace, SignatureVerdict

HIDDEN = "…"


@dataclass(frozen=True, slots=True)
class MeterKeyRow:
    """The key that a charger's meter signs with. `is_confirmed`: a person compared it with the meter."""

    public_key: str
    is_confirmed: bool
    known_since: datetime
    replaced_at: datetime | None = None

    def is_over_at(self, received_at: datetime) -> bool:
        """Whether another meter, or none that is known, was there by then."""
        return self.replaced_at is not None and received_at >= self.replaced_at

    def was_known_at(self, received_at: datetime) -> bool:
        """Whether it was known before what came then."""
        return self.known_since < received_at


@dataclass(frozen=True, slots=True)
class Signature:
    """What the meter signed of a session, one record a line. `energy_wh`: by those records; None unless VALID and both ends are told."""

    verdict: SignatureVerdict
    format: str
    payload: str
    energy_wh: int | None


@dataclass(frozen=True, slots=True)
class _Kept:
    place: RecordPlace
    format: str
    record: str
    received_at: datetime


_SELECT = """
SELECT r.session_id, r.place, r.format, r.record, r.received_at, s.charger_id, s.user_id FROM signed_records r
JOIN charge_sessions s ON s.id = r.session_id WHERE
"""


async def signatures_by_session_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, Signature]:
    """What was signed of each of these sessions that this person may see. To others than its driver a record does not name the card."""
    arguments: list[object] = []
    condition = f"{sql.any_of('r.session_id', list(ids), arguments)} AND {access.sessions_condition('s', arguments)}"
    found = await sql.rows(f"{_SELECT}{condition} ORDER BY r.session_id, r.id", *arguments)
    records: dict[UUID, list[_Kept]] = {}
    chargers: dict[UUID, UUID] = {}
    theirs: set[UUID] = set()
    for row in found:
        session_id = sql.uuid_of(row["session_id"])
        kept = _Kept(RecordPlace(row["place"]), row["format"], row["record"], sql.instant_of(row["received_at"]))
        records.setdefault(session_id, []).append(kept)
        chargers[session_id] = sql.uuid_of(row["charger_id"])
        if row["user_id"] is not None and sql.uuid_of(row["user_id"]) == access.user_id:
            theirs.add(session_id)
    keys = await _keys(sorted(set(chargers.values())))
    asked = [(one, records[one], keys.get(chargers[one], ()), one in theirs) for one in records]
    # To check one takes a few tenths of a millisecond, and a page has a hundred.
    return await asyncio.to_thread(_judged, asked)


def _judged(asked: Sequence[tuple[UUID, list[_Kept], Sequence[MeterKeyRow], bool]]) -> dict[UUID, Signature]:
    return {session_id: _signature(kept, keys, is_whole=is_whole) for session_id, kept, keys, is_whole in asked}


def _signature(kept: list[_Kept], keys: Sequence[MeterKeyRow], *, is_whole: bool) -> Signature:
    shown = _shown(kept)
    verdict = verdict_of([_verdict(one, keys) for one in shown])
    parts = (part for one in shown if (part := ocmf.read(one.record)) is not None)
    return Signature(
        verdict=verdict,
        format=shown[-1].format,
        payload="\n".join(one.record if is_whole else ocmf.without_identity(one.record, HIDDEN) for one in shown),
        energy_wh=ocmf.energy_wh(parts) if verdict is SignatureVerdict.VALID else None,
    )


_ORDER = (RecordPlace.BEGIN, RecordPlace.LATEST, RecordPlace.END)


def _shown(kept: list[_Kept]) -> list[_Kept]:
    """In the order of the charge; what was read on the way counts only while there is no end."""
    has_end = any(one.place is RecordPlace.END for one in kept)
    wanted = [one for one in kept if not (has_end and one.place is RecordPlace.LATEST)]
    return sorted(wanted, key=lambda one: _ORDER.index(one.place))


def _verdict(kept: _Kept, keys: Sequence[MeterKeyRow]) -> SignatureVerdict:
    record = ocmf.read(kept.record)
    if record is None:
        # What is called a record and is none was not signed by anybody; of other formats nothing can be said.
        return SignatureVerdict.INVALID if kept.format == ocmf.OCMF else SignatureVerdict.NO_KEY
    at = kept.received_at
    counting = [one for one in keys if not one.is_over_at(at) and (one.is_confirmed or one.was_known_at(at))]
    found = [ocmf.is_signed_by(record, one.public_key) for one in counting]
    if True in found:
        return SignatureVerdict.VALID
    # Before a key was known another meter may have been there.
    is_doubted = any(one.was_known_at(at) for one in counting) and None not in found
    return SignatureVerdict.INVALID if is_doubted else SignatureVerdict.NO_KEY


def verdict_of(verdicts: Sequence[SignatureVerdict]) -> SignatureVerdict:
    """That of the whole: VALID only where every record is, INVALID where one is."""
    for one in (SignatureVerdict.INVALID, SignatureVerdict.NO_KEY):
        if one in verdicts:
            return one
    return SignatureVerdict.VALID


async def _keys(charger_ids: Sequence[UUID]) -> dict[UUID, list[MeterKeyRow]]:
    arguments: list[object] = []
    wanted = sql.any_of("charger_id", charger_ids, arguments)
    statement = f"SELECT charger_id, public_key, is_confirmed, known_since, replaced_at FROM meter_keys WHERE {wanted}"  # noqa: S608
    found: dict[UUID, list[MeterKeyRow]] = {}
    for row in await sql.rows(f"{statement} ORDER BY known_since, id", *arguments):
        found.setdefault(sql.uuid_of(row["charger_id"]), []).append(_key_of(row))
    return found


def _key_of(row: sql.Row) -> MeterKeyRow:
    return MeterKeyRow(
        row["public_key"],
        bool(row["is_confirmed"]),
        sql.instant_of(row["known_since"]),
        sql.optional_instant_of(row["replaced_at"]),
    )


async def meter_keys_by_charger_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, MeterKeyRow]:
    """The key that is in force at each of these chargers, for who sees the charger's details."""
    arguments: list[object] = []
    wanted = sql.any_of("c.id", list(ids), arguments)
    visible = f"{access.chargers_condition('c', arguments)} AND {access.charger_details_condition('c', arguments)}"
    rows = await sql.rows(
        "SELECT k.charger_id, k.public_key, k.is_confirmed, k.known_since, k.replaced_at FROM meter_keys k"  # noqa: S608
        f" JOIN chargers c ON c.id = k.charger_id WHERE {wanted} AND {visible} AND k.replaced_at IS NULL",
        *arguments,
    )
    return {sql.uuid_of(row["charger_id"]): _key_of(row) for row in rows}


async def confirm_meter_key(access: Access, charger_id: UUID, public_key: str | None) -> UUID:
    """The meter of that charger signs with that key, as whoever installs chargers there has read it from the meter.

    The same key as is known is confirmed by it, another replaces it for records that come from now on. None: what is known counts no
    more for what comes, and the next key that the charger shows is remembered. ValidationError for what is no key of an elliptic curve.
    """
    key = None if public_key is None else ocmf.stored_key(public_key)
    if public_key is not None and key is None:
        raise invalid("publicKey", "This is no public key of an elliptic curve, in hexadecimal or base64.")
    async with in_transaction():
        row = await managed_charger(access, charger_id, INSTALLERS)
        # Whoever stores what this charger says holds this row, too.
        await sql.rows(f"SELECT charger_id FROM charger_statuses WHERE charger_id = $1{sql.for_update()}", charger_id)  # noqa: S608
        known = await MeterKey.get_or_none(charger_id=charger_id, replaced_at=None)
        before = None if known is None else _state(known)
        if known is not None and known.public_key == key:
            known.is_confirmed = True
            await known.save(update_fields=["is_confirmed"])
        else:
            await _replace(charger_id, known, key, access.now)
        after = None if key is None else {"publicKey": key, "isConfirmed": True}
        await audit.record(
            access,
            "charger.confirm_meter_key",
            "Charger",
            charger_id,
            installation_id=row.installation_id,
            before=before,
            after=after,
        )
    return charger_id


async def _replace(charger_id: UUID, known: MeterKey | None, key: str | None, now: datetime) -> None:
    if known is not None:
        known.replaced_at = now
        await known.save(update_fields=["replaced_at"])
    if key is not None:
        await MeterKey.create(charger_id=charger_id, public_key=key, is_confirmed=True, known_since=now)


def _state(known: MeterKey) -> audit.State:
    return {"publicKey": known.public_key, "isConfirmed": known.is_confirmed}
