"""A person who is forgotten is found nowhere, and the energy is still all there."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.auth import SignedTokens
from domain import audit, letters, sql
from domain.access import Access, access_of
from domain.errors import ConflictError, ErrorCode, NotFoundError, ValidationError
from domain.events import SignInEnded
from domain.identification import local_lists
from domain.identification.card_enrollments import Shown, enroll, start_card_enrollment
from domain.identification.cards import register_charge_card, remove_charge_card, rename_charge_card
from domain.identity import own_data
from domain.identity.account_recovery import request_password_reset
from domain.identity.accounts import create_account
from domain.identity.erasure import Proof, erase_person
from domain.identity.sign_ins import Entrance, sign_in
from domain.ids import new_id
from domain.membership.access_times import next_change_of
from domain.models import (
    AlertNotice,
    AlertSubscription,
    AuditEntry,
    AuthorizationAttempt,
    ChargerStatus,
    ChargeSession,
    Command,
    ExternalUser,
    IdempotencyKey,
    LockedReport,
    MailedSecret,
    OutboxMessage,
    Permission,
    SessionEvent,
    SignedRecord,
    SignIn,
    User,
)
from domain.pages import PageRequest
from domain.reporting.reports import LockWish, lock_report
from domain.roles import (
    CommandAction,
    MailedSecretKind,
    RecordPlace,
    ReportBasis,
    Role,
    SessionEventKind,
    UsageDimension,
)
from domain.views.report_views import contents_by_report_ids, corrected_session_ids, locked_reports_page
from tests.factories import (
    NOW,
    Town,
    a_card,
    a_grant,
    a_group,
    a_person,
    a_program,
    a_question,
    a_session,
    a_town,
    access,
    an_alert,
    an_attempt,
)
from tests.fakes import HandClock, OpenSeals, PlainPasswords, RecordingBus, UnlimitedAttempts

pytestmark = pytest.mark.usefixtures("database")

NAME, EMAIL, CARD, KNOWN_AS = 'Xaviera "X%" Quist (2nd)', "xa_viera@quist.example", "0DEADBEEF01234", "guest-xq-4711"
SIMILAR = "xaaviera@quist.example"
"""Is as EMAIL to who takes the underscore for any sign."""
PASSWORD = "nine copper wires"


def _proof(password: str | None = None) -> Proof:
    return Proof(PlainPasswords(), UnlimitedAttempts(), "192.0.2.1", password)


def _entrance() -> Entrance:
    return Entrance(
        passwords=PlainPasswords(),
        tokens=SignedTokens("a secret for tests"),
        sealer=OpenSeals(),
        attempts=UnlimitedAttempts(),
        clock=HandClock(NOW),
        bus=RecordingBus(),
        address="192.0.2.1",
    )


async def _full_life(town: Town) -> UUID:
    """A person with traces everywhere."""
    site, charger = town.site, town.charger_id
    person = await create_account(NAME, EMAIL, PASSWORD, passwords=PlainPasswords(), now=NOW)
    await sign_in(EMAIL, PASSWORD, at=_entrance())
    await a_grant(Role.USER, site, user_id=person, charger_id=charger, external_id=KNOWN_AS)
    await a_group(site, person)
    await a_grant(Role.USER, site, email=EMAIL, charger_id=town.neighbour_id)
    viewer = await access(person)
    card = await register_charge_card(viewer, number=CARD, name="Xaviera's first", bus=RecordingBus())
    await rename_charge_card(viewer, card, name=f"Tag of {NAME}")
    gone = await register_charge_card(viewer, number="0DEADBEEF05678", name="Xaviera's second", bus=RecordingBus())
    await remove_charge_card(viewer, gone, bus=RecordingBus())
    await audit.record(
        viewer, "externalUser.change", "User", person, before={"name": "Xaviera Maiden"}, after={"name": NAME}
    )
    program = await a_program(site)
    await program.knows(person, KNOWN_AS)
    await ExternalUser.filter(user_id=person).update(email=EMAIL)
    session = await a_session(site, charger, user_id=person, user_name=NAME, card_id=card)
    await ChargeSession.filter(id=session).update(card_name=f"Tag of {NAME}", id_token=CARD, external_id=KNOWN_AS)
    await an_attempt(site, charger, user_id=person, session_id=session, card=CARD)
    await an_attempt(site, charger, card=CARD)
    await SessionEvent.create(
        installation_id=site.id,
        session_id=session,
        kind=SessionEventKind.ENDED,
        payload=json.dumps(
            {"data": {"session": {"externalUserId": KNOWN_AS, "externalId": KNOWN_AS, "state": "ENDED"}}}
        ),
        created_at=NOW,
        due_at=NOW,
    )
    await AlertSubscription.create(user_id=person, installation_id=site.id, created_at=NOW, verified_at=NOW)
    mailed = await AlertSubscription.create(
        user_id=town.people["SERVICE"], installation_id=site.id, email=EMAIL, created_at=NOW
    )
    await AlertNotice.create(
        subscription_id=mailed.id,
        alert_id=await an_alert(site.id, charger),
        occasion="OPENED",
        created_at=NOW,
        due_at=NOW,
    )
    await Command.create(
        installation_id=site.id,
        charger_id=charger,
        for_user_id=person,
        requested_by_id=person,
        action=CommandAction.AUTHORIZE,
        external_session_id=KNOWN_AS,
        requested_at=NOW,
        deadline=NOW,
    )
    await MailedSecret.create(
        kind=MailedSecretKind.RESET, user_id=person, email=EMAIL, digest="d", created_at=NOW, expires_at=NOW
    )
    await _traces_at_others(town, session)
    await ChargerStatus.all().update(is_online=True)
    await start_card_enrollment(viewer, charger, name=f"Second of {NAME}", bus=RecordingBus())
    return person


async def _traces_at_others(town: Town, session: UUID) -> None:
    """What is kept about them under other people's names, and in lists and logs."""
    site, charger, other = town.site, town.charger_id, town.people["stranger"]
    unknown = await a_session(site, charger, user_name="Not identified", started_at=NOW - timedelta(days=3))
    await ChargeSession.filter(id=unknown).update(id_token=CARD)
    for one in (session, unknown):
        await SignedRecord.create(
            session_id=one,
            installation_id=site.id,
            place=RecordPlace.END,
            at=NOW,
            received_at=NOW,
            format="OCMF",
            record=f'OCMF|{{"ID":"{CARD}"}}|{{"SD":"00"}}',
        )
    question = await a_question(site, charger, card=CARD)
    await _in_a_locked_report(town, session)
    await AuthorizationAttempt.filter(session_id=session).update(reason=f"{NAME} has not paid.", request_id=question)
    await MailedSecret.create(
        kind=MailedSecretKind.VERIFY, user_id=other, email=EMAIL, digest="e", created_at=NOW, expires_at=NOW
    )
    row = await sql.row("SELECT station_id FROM chargers WHERE id = $1", charger)
    assert row is not None
    await local_lists.confirmed(sql.uuid_of(row["station_id"]), 3, {CARD: None, "AAAA1111": None}, epoch=0, now=NOW)
    lines = [{"line": 2, "text": f"USER on the installation for {EMAIL.title()}, {KNOWN_AS}"}]
    await IdempotencyKey.create(
        user_id=other,
        mutation="importPermissions",
        request_key="k",
        input_hash="h",
        result_type="Import",
        result_json=json.dumps({"isApplied": True, "lines": lines}),
        created_at=NOW,
    )
    for address in (EMAIL, SIMILAR):
        await letters.post(address, "A letter", "Hello", about=new_id(), now=NOW)
    await request_password_reset(EMAIL, at=_entrance())
    await OutboxMessage.create(
        kind="invitation", payload="0", error=f"550 {EMAIL.title()} unknown", created_at=NOW, due_at=NOW
    )


async def _in_a_locked_report(town: Town, session: UUID) -> None:
    owner = await town.access("OWNER of installation", now=datetime(2027, 1, 1, tzinfo=UTC))
    for basis, dimension in (
        (ReportBasis.ENDED, UsageDimension.USER),
        (ReportBasis.REGISTERED, UsageDimension.CHARGE_CARD),
    ):
        wish = LockWish(date(2026, 1, 1), date(2027, 1, 1), basis=basis, group_by=(dimension,))
        await lock_report(owner, town.site.id, wish)


async def _everything() -> str:
    """Every value in the database."""
    if sql.is_sqlite():
        tables = [row["name"] for row in await sql.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    else:
        tables = [
            row["tablename"] for row in await sql.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
    found = [await sql.rows(f'SELECT * FROM "{table}"') for table in tables]  # noqa: S608  names from the database
    return "\n".join(map(repr, found))


async def _energy() -> list[Any]:
    return await sql.rows(
        "SELECT charger_id, user_id, SUM(energy_wh) AS wh, COUNT(*) AS number FROM charge_sessions"
        " GROUP BY charger_id, user_id ORDER BY charger_id, user_id"
    )


async def _assert_locked_stays(town: Town) -> None:
    """Digests and figures are those of before, a pseudonym is where the name was, and nothing is to be corrected."""
    owner = await town.access("OWNER of installation", now=datetime(2027, 1, 1, tzinfo=UTC))
    page = await locked_reports_page(owner, town.site.id, PageRequest(first=10))
    contents = await contents_by_report_ids(owner, [row.id for row in page.rows])
    for row in page.rows:
        report = await LockedReport.get(id=row.id)
        assert hashlib.sha256(report.document.encode()).hexdigest() == row.sha256
        labels = [one.labels[0] for one in contents[row.id].summary.rows]
        assert [one.startswith("Erased person ") for one in labels].count(True) == 1
        assert await corrected_session_ids(row) == []


@pytest.mark.parametrize("is_own_wish", [True, False])
async def test_nothing_of_the_person_is_left(is_own_wish: bool) -> None:
    """No table holds their name, address, card or outside name; energy by charger and by person is what it was."""
    town, bus = await a_town(), RecordingBus()
    person = await _full_life(town)
    everything, energy = await _everything(), await _energy()
    for word in (NAME, EMAIL, CARD, KNOWN_AS):
        assert word in everything
    if is_own_wish:
        await erase_person(await access(person), None, proof=_proof(PASSWORD), bus=bus)
    else:
        await erase_person(await town.access("ADMINISTRATOR"), person, proof=_proof(), bus=bus)
    everything = await _everything()
    for word in (NAME, EMAIL, CARD, KNOWN_AS, "quist (", "xaviera", "maiden"):
        assert word.lower() not in everything.lower(), [
            one for one in everything.split("}") if word.lower() in one.lower()
        ]
    assert await _energy() == energy
    await _assert_locked_stays(town)
    assert [type(event) for event in bus.published].count(SignInEnded) == 1
    assert (await access(person)).actor is None
    session = await ChargeSession.get(user_id=person)
    assert session.user_name == (await User.get(id=person)).name
    assert [json.loads(row.payload)["to"] for row in await OutboxMessage.filter(kind="mail")] == [SIMILAR]
    assert json.loads((await IdempotencyKey.get()).result_json or "")["lines"][0]["line"] == 2
    (row,) = await sql.rows("SELECT version, entries FROM local_lists")
    assert (row["version"], json.loads(row["entries"])) == (0, {})


async def test_an_id_that_is_a_common_word_spoils_nothing_else() -> None:
    """The log of others keeps what only looks like a forgotten person's outside id."""
    town = await a_town()
    person = await a_person("Nora")
    await (await a_program(town.site)).knows(person, "7")
    owner = await town.access("OWNER of installation")
    await audit.record(owner, "charger.rename", "Charger", town.charger_id, after={"name": "Space 7", "row": 7})
    await audit.record(owner, "externalUser.add", "User", person, after={"name": "Nora", "externalId": "7"})
    administrator = await town.access("ADMINISTRATOR")
    await erase_person(administrator, person, proof=_proof(), bus=RecordingBus())
    kept = await AuditEntry.get(action="charger.rename")
    assert json.loads(kept.state_after or "") == {"name": "Space 7", "row": 7}
    assert "7" not in set(json.loads((await AuditEntry.get(action="externalUser.add")).state_after or "").values())


async def test_the_log_about_somebody_of_the_same_name_stays_as_it_is() -> None:
    """Two people are called Nora; that one of them is forgotten changes no sign of what is kept about the other."""
    town = await a_town()
    owner, person, other = await town.access("OWNER of installation"), await a_person("Nora"), await a_person("Nora")
    for one in (person, other):
        await a_card(one, number=f"04{one.hex[-12:]}".upper())
        await audit.record(owner, "externalUser.change", "User", one, before={"name": "N."}, after={"name": "Nora"})
        shown = {"userId": one, "name": "Nora's tag", "number": "04…99"}
        await audit.record(owner, "chargeCard.register", "ChargeCard", new_id(), after=shown)
    await audit.record(owner, "charger.rename", "Charger", town.charger_id, after={"name": "Nora's space"})
    before = {row.id: (row.actor, row.state_before, row.state_after) for row in await AuditEntry.all()}
    administrator = await town.access("ADMINISTRATOR")
    await erase_person(administrator, person, proof=_proof(), bus=RecordingBus())
    after = {row.id: (row.actor, row.state_before, row.state_after) for row in await AuditEntry.all()}
    assert sum(after[one] != state for one, state in before.items()) == 2
    assert sum("Nora" in str(state) for state in after.values()) == 3


async def test_the_last_owner_without_an_end_stays() -> None:
    """One who owns until June is not enough."""
    town = await a_town()
    owner = town.people["OWNER of installation"]
    await User.filter(id=owner).update(password_hash=f"plain:{PASSWORD}")
    await a_grant(Role.OWNER, town.site, user_id=await a_person("June"), valid_to=NOW + timedelta(days=30))
    with pytest.raises(ConflictError) as caught:
        await erase_person(await access(owner), None, proof=_proof(PASSWORD), bus=RecordingBus())
    assert caught.value.code is ErrorCode.LAST_OWNER
    await a_grant(Role.OWNER, town.site, user_id=await a_person("Always"))
    await erase_person(await access(owner), None, proof=_proof(PASSWORD), bus=RecordingBus())
    assert await Permission.filter(user_id=owner, revoked_at=None).count() == 0


async def test_what_is_forgotten_is_forgotten_once() -> None:
    """A second time there is nobody."""
    town = await a_town()
    person = await a_person("Nora")
    await erase_person(await town.access("ADMINISTRATOR"), person, proof=_proof(), bus=RecordingBus())
    with pytest.raises(NotFoundError):
        await erase_person(await town.access("ADMINISTRATOR"), person, proof=_proof(), bus=RecordingBus())


async def test_the_last_owner_stays_until_there_is_another() -> None:
    """Nothing is changed; an administrator may all the same."""
    town = await a_town()
    owner = town.people["OWNER of installation"]
    await User.filter(id=owner).update(password_hash=f"plain:{PASSWORD}")
    before = await _everything()
    with pytest.raises(ConflictError) as caught:
        await erase_person(await access(owner), None, proof=_proof(PASSWORD), bus=RecordingBus())
    assert caught.value.code is ErrorCode.LAST_OWNER
    assert await _everything() == before
    await erase_person(await town.access("ADMINISTRATOR"), owner, proof=_proof(), bus=RecordingBus())
    assert await Permission.filter(user_id=owner, revoked_at=None).count() == 0


async def test_a_stolen_session_forgets_nobody() -> None:
    """The password is asked for."""
    person = await a_person("Nora", password=PASSWORD)
    with pytest.raises(ValidationError) as caught:
        await erase_person(await access(person), None, proof=_proof("wrong"), bus=RecordingBus())
    assert caught.value.code is ErrorCode.WRONG_CREDENTIALS
    assert (await User.get(id=person)).erased_at is None


@pytest.mark.parametrize(
    ("age", "is_enough"), [(timedelta(minutes=10), True), (timedelta(minutes=10, seconds=1), False)]
)
async def test_who_has_no_password_proves_themselves_by_a_fresh_sign_in(age: timedelta, is_enough: bool) -> None:
    """An account that only an outside provider signs in can be forgotten, right after it did so."""
    person = await a_person("Nora")
    entered = await SignIn.create(
        user_id=person, refresh_hash="h", created_at=NOW - age, refreshed_at=NOW, expires_at=NOW + timedelta(days=1)
    )
    viewer = await access_of(person, now=NOW, sign_in_id=entered.id)
    if is_enough:
        await erase_person(viewer, None, proof=_proof(), bus=RecordingBus())
    else:
        with pytest.raises(ValidationError) as caught:
            await erase_person(viewer, None, proof=_proof(), bus=RecordingBus())
        assert caught.value.code is ErrorCode.WRONG_CREDENTIALS
    assert ((await User.get(id=person)).erased_at is not None) is is_enough


async def test_a_person_is_given_all_that_is_kept_about_them() -> None:
    """With the whole number of their card, and nothing of anybody else."""
    town = await a_town()
    person = await _full_life(town)
    await a_session(town.site, town.charger_id, user_id=town.people["stranger"], user_name="Somebody else")
    found = json.loads(await own_data.export_my_data(await access(person)))
    assert found["account"]["name"] == NAME
    assert [card["number"] for card in found["chargeCards"]] == [CARD]
    assert [session["energy_wh"] for session in found["sessions"]] == [7_200]
    assert {one["external_id"] for one in found["knownAs"]} == {KNOWN_AS}
    assert len(found["attemptsToCharge"]) == 1
    assert [(one["installation"], one["delivery"]) for one in found["alertSubscriptions"]] == [
        ("Fjordveien garage", "IMMEDIATE")
    ]
    assert "password" not in json.dumps(found)
    assert "Somebody else" not in json.dumps(found)


async def test_a_card_that_was_waited_for_is_not_a_forgotten_persons() -> None:
    """The waiting goes with the person."""
    town = await a_town()
    person = await _full_life(town)
    await erase_person(await town.access("ADMINISTRATOR"), person, proof=_proof(), bus=RecordingBus())
    row = await sql.row("SELECT station_id FROM chargers WHERE id = $1", town.charger_id)
    assert row is not None
    assert await enroll([Shown(sql.uuid_of(row["station_id"]), "AAAA1111")], now=NOW + timedelta(seconds=1)) == []
    nobody = Access.nobody(NOW)
    assert await next_change_of(nobody, now=NOW) is None
    assert await AuthorizationAttempt.filter(token=CARD).count() == 0
