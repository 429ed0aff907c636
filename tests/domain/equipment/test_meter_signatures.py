"""Sessions whose meter signs: what is kept, by which key it is judged, and who sees what of it."""

import json
from collections.abc import Sequence

import pytest

from app.database import Database
from domain import sql
from domain.access import Access
from domain.equipment.meter_signatures import (
    MeterKeyRow,
    Signature,
    confirm_meter_key,
    meter_keys_by_charger_ids,
    signatures_by_session_ids,
)
from domain.errors import DomainError, ErrorCode, NotAllowedError, ValidationError
from domain.identity import own_data
from domain.models import AuditEntry, ChargeSession, SignedRecord
from domain.observations import Sample
from domain.roles import Role, SessionFlag, SignatureVerdict
from tests.domain.rig import CARD, Rig, a_rig, at
from tests.factories import a_grant, a_person, access
from tests.meters import Meter

VALID, INVALID, NO_KEY = SignatureVerdict


@pytest.fixture
async def rig(database: Database) -> Rig:
    return await a_rig()


def signed(record: str, context: str = "Transaction.End", *, minute: float = 30, key: Meter | None = None) -> Sample:
    """A reading with a signature, and the key beside it where there is one."""
    if key is not None:
        record = json.dumps({"signedMeterData": record, "encodingMethod": "OCMF", "publicKey": key.key.hex()})
    return Sample(at=at(minute), context=context, signed_payload=record)


async def charge(rig: Rig, *samples: Sample, start: float = 0, begun: Sequence[Sample] = ()) -> ChargeSession:
    """One session, with these signed readings in its final record."""
    outcome = await rig.start(at(start))
    if begun:
        await rig.meter(outcome.transaction_id, *begun)
    await rig.stop(outcome.transaction_id, at(start + 30), meter=6000, samples=samples)
    return (await rig.sessions())[-1]


async def seen(rig: Rig, session: ChargeSession) -> Signature | None:
    """As its driver sees it."""
    viewer = await access(rig.user_id)
    return (await signatures_by_session_ids(viewer, [session.id])).get(session.id)


async def installer(rig: Rig) -> Access:
    """Who installs chargers at the site."""
    person = await a_person("Installer")
    await a_grant(Role.SERVICE, rig.site, user_id=person)
    return await access(person)


async def test_a_session_of_a_known_meter_is_valid(rig: Rig) -> None:
    """The record is kept to the letter, and says what the meter counted."""
    meter = Meter()
    await confirm_meter_key(await installer(rig), rig.charger_id, meter.key.hex())
    record = meter.charge(("B", at(0), "1.0"), ("E", at(30), "6.0"))
    session = await charge(rig, signed(record))
    assert SessionFlag.SIGNED in session.flag_set
    assert await seen(rig, session) == Signature(VALID, "OCMF", record, 5000)


async def test_a_forged_record_is_invalid(rig: Rig) -> None:
    """One digit changed, signed by another, or no record at all."""
    meter = Meter()
    await confirm_meter_key(await installer(rig), rig.charger_id, meter.key.hex())
    record = meter.charge(("B", at(0), "1.0"), ("E", at(30), "6.0"))
    other = Meter().charge(("B", at(0), "1.0"), ("E", at(30), "6.0"))
    for number, forged in enumerate([record.replace("6.0", "9.0"), other, "OCMF|{}", f"OCMF|{record}"]):
        session = await charge(rig, signed(forged), start=number * 60)
        found = await seen(rig, session)
        assert found == Signature(INVALID, "OCMF", forged, None)


async def test_without_a_key_nothing_is_said(rig: Rig) -> None:
    """Neither about a record whose key nobody knows, nor about one of another format."""
    record = Meter().charge(("B", at(0), "1"), ("E", at(30), "6"))
    found = [
        await seen(rig, await charge(rig, signed(one), start=number * 60))
        for number, one in enumerate([record, "<EDL/>"])
    ]
    assert found == [Signature(NO_KEY, "OCMF", record, None), Signature(NO_KEY, "UNKNOWN", "<EDL/>", None)]


async def test_a_key_proves_nothing_about_what_it_came_with(rig: Rig) -> None:
    """The first key that a charger shows is remembered, and counts for what comes after it; another one later does not."""
    meter, stranger = Meter(), Meter()
    record = meter.charge(("B", at(0), "1"), ("E", at(30), "6"))
    first = await charge(rig, signed(record, key=meter))
    second = await charge(rig, signed(record, key=meter), start=60)
    forged = stranger.charge(("B", at(0), "1"), ("E", at(30), "6"))
    third = await charge(rig, signed(forged, key=stranger), start=120)
    fourth = await charge(rig, signed(record), start=180)
    verdicts = [found.verdict for one in (first, second, third, fourth) if (found := await seen(rig, one)) is not None]
    assert verdicts == [NO_KEY, VALID, INVALID, VALID]


async def test_who_installs_confirms_the_key(rig: Rig) -> None:
    """From then on it counts for what came before it was known, too, and the log says who said so."""
    meter = Meter()
    session = await charge(rig, signed(meter.charge(("B", at(0), "1"), ("E", at(30), "6")), key=meter))
    service = await installer(rig)
    shown = (await meter_keys_by_charger_ids(service, [rig.charger_id]))[rig.charger_id]
    assert shown == MeterKeyRow(meter.key.hex(), is_confirmed=False, known_since=at(30))
    await confirm_meter_key(service, rig.charger_id, meter.key.hex())
    shown = (await meter_keys_by_charger_ids(service, [rig.charger_id]))[rig.charger_id]
    assert shown == MeterKeyRow(meter.key.hex(), is_confirmed=True, known_since=at(30))
    found = await seen(rig, session)
    assert found is not None
    assert found.verdict is VALID
    entry = await AuditEntry.get(action="charger.confirm_meter_key")
    assert (entry.object_id, json.loads(entry.state_after or "")["isConfirmed"]) == (rig.charger_id, True)


async def test_a_new_meter_has_a_new_key(rig: Rig) -> None:
    """What the old one signed stays valid, and it signs nothing any more; before any key was known nothing is called wrong."""
    old, new, unknown = Meter(), Meter(), Meter()
    early = await charge(rig, signed(unknown.charge(("B", at(0), "1"))), start=-120)
    service = await access((await installer(rig)).person(), now=at(-60))
    await confirm_meter_key(service, rig.charger_id, old.key.hex())
    first = await charge(rig, signed(old.charge(("B", at(0), "1"))))
    later = await access(service.person(), now=at(60))
    await confirm_meter_key(later, rig.charger_id, new.point.hex())
    second = await charge(rig, signed(new.charge(("B", at(0), "1"))), start=61)
    third = await charge(rig, signed(old.charge(("B", at(0), "1"))), start=121)
    verdicts = [found.verdict for one in (early, first, second, third) if (found := await seen(rig, one)) is not None]
    assert verdicts == [NO_KEY, VALID, VALID, INVALID]


async def test_a_key_that_is_forgotten_makes_room_for_the_next(rig: Rig) -> None:
    """The next one that the charger shows is remembered, and counts for what comes after it."""
    wrong, meter = Meter(), Meter()
    service = await installer(rig)
    await confirm_meter_key(await access(service.person(), now=at(-60)), rig.charger_id, wrong.key.hex())
    await confirm_meter_key(await access(service.person(), now=at(-50)), rig.charger_id, None)
    record = meter.charge(("B", at(0), "1"))
    first = await charge(rig, signed(record, key=meter))
    second = await charge(rig, signed(record), start=60)
    verdicts = [found.verdict for one in (first, second) if (found := await seen(rig, one)) is not None]
    assert verdicts == [NO_KEY, VALID]


async def test_start_and_end_are_kept_and_of_the_rest_the_newest(rig: Rig) -> None:
    """However many a charger sends: three records at most, and two are shown once the end is there."""
    meter = Meter()
    await confirm_meter_key(await access((await installer(rig)).person(), now=at(-60)), rig.charger_id, meter.key.hex())
    begun, on_the_way = meter.charge(("B", at(0), "1")), [meter.charge(("C", at(minute), "2")) for minute in (5, 9, 7)]
    samples = [
        signed(begun, "Transaction.Begin", minute=0),
        signed(meter.charge(("B", at(0), "3")), "Transaction.Begin", minute=0.5),
        *(signed(one, "Sample.Clock", minute=minute) for one, minute in zip(on_the_way, (5, 9, 7), strict=True)),
    ]
    outcome = await rig.start(at(0))
    await rig.meter(outcome.transaction_id, *samples[:3])
    await rig.meter(outcome.transaction_id, *samples[3:])
    going_on = await seen(rig, await rig.session())
    assert going_on == Signature(VALID, "OCMF", f"{begun}\n{on_the_way[1]}", None)
    ended = meter.charge(("E", at(30), "6"))
    await rig.stop(outcome.transaction_id, at(30), meter=6000, samples=(signed(ended),))
    assert await seen(rig, await rig.session()) == Signature(VALID, "OCMF", f"{begun}\n{ended}", 5000)
    assert await SignedRecord.all().count() == 3


async def test_others_see_the_verdict_and_not_the_card(rig: Rig) -> None:
    """The owner's record has no card in it; who may not see the session sees nothing."""
    meter = Meter()
    service = await installer(rig)
    await confirm_meter_key(await access(service.person(), now=at(-60)), rig.charger_id, meter.key.hex())
    session = await charge(rig, signed(meter.charge(("B", at(0), "1"), ("E", at(30), "6"), card=CARD)))
    owner = await a_person("Owner")
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    theirs = (await signatures_by_session_ids(await access(owner), [session.id]))[session.id]
    assert (theirs.verdict, theirs.energy_wh, CARD in theirs.payload) == (VALID, 5000, False)
    assert theirs.payload.startswith('OCMF|{"FV": "1.0"')
    assert await signatures_by_session_ids(service, [session.id]) == {}


async def test_only_who_installs_says_which_key_a_meter_has(rig: Rig) -> None:
    """And nothing that is no key."""
    owner = await a_person("Owner")
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    with pytest.raises(NotAllowedError):
        await confirm_meter_key(await access(owner), rig.charger_id, Meter().key.hex())
    with pytest.raises(DomainError) as hidden:
        await confirm_meter_key(await access(await a_person("Stranger")), rig.charger_id, Meter().key.hex())
    assert hidden.value.code is ErrorCode.NOT_FOUND
    with pytest.raises(ValidationError):
        await confirm_meter_key(await installer(rig), rig.charger_id, "no key")
    assert await sql.rows("SELECT 1 FROM meter_keys") == []


async def test_what_a_person_s_meter_signed_is_among_what_is_kept_of_them(rig: Rig) -> None:
    """With their card in it, as it is theirs."""
    record = Meter().charge(("B", at(0), "1"), card=CARD)
    await charge(rig, signed(record))
    kept = json.loads(await own_data.export_my_data(await access(rig.user_id)))
    assert [one["record"] for one in kept["signedRecords"]] == [record]
