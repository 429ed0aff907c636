"""Cards enrolled by being shown at a charger: the next unknown one within the time is that person's, and no other."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from domain.access import Access
from domain.errors import ChargerOfflineError, ConflictError, NotAllowedError, NotFoundError, ValidationError
from domain.events import CardEnrollmentChanged
from domain.identification.card_enrollments import enrollments_by_ids, start_card_enrollment
from domain.identity.people import PersonKey
from domain.models import AuditEntry, CardEnrollment, ChargeCard, Charger, ChargerStatus, Command
from domain.roles import AuthorizationDecision, CommandAction, EnrollmentState, Role
from tests.domain.rig import Rig, a_rig, at
from tests.factories import NOW, a_card, a_charger, a_grant, a_person, a_program, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

NEW = "04CAFE01"


async def _online_rig() -> Rig:
    rig = await a_rig()
    await ChargerStatus.filter(charger_id=rig.charger_id).update(is_online=True)
    return rig


async def _waiting(rig: Rig, held: Access, **given: object) -> UUID:
    return await start_card_enrollment(held, rig.charger_id, bus=RecordingBus(), **given)  # type: ignore[arg-type]


async def _states() -> Sequence[EnrollmentState]:
    return [one.state for one in await CardEnrollment.all().order_by("created_at", "id")]


async def test_the_next_unknown_card_is_theirs_and_charges_at_once() -> None:
    """The showing that enrols it is decided about as that person's; who waits is told; its number is nowhere whole in the log."""
    rig = await _online_rig()
    waiting = await _waiting(rig, await access(rig.user_id), name="Key ring")
    outcome = await rig.present("04:ca:fe:01", at(0.5))
    assert outcome.decision is AuthorizationDecision.ACCEPTED
    card = await ChargeCard.get(number=NEW)
    assert (card.user_id, card.name) == (rig.user_id, "Key ring")
    assert CardEnrollmentChanged(waiting) in rig.events
    row = (await enrollments_by_ids(await access(rig.user_id), [waiting]))[waiting]
    assert (row.state, row.card_id) == (EnrollmentState.ENROLLED, card.id)
    assert not [one for one in await AuditEntry.all() if "CAFE" in (one.state_after or "")]


async def test_one_card_only() -> None:
    """The second one is as unknown as before."""
    rig = await _online_rig()
    await _waiting(rig, await access(rig.user_id))
    await rig.present(NEW, at(0.2))
    assert (await rig.present("04CAFE02", at(0.3))).decision is AuthorizationDecision.INVALID
    assert not await ChargeCard.filter(number="04CAFE02").exists()


async def test_after_the_time_a_card_is_nobodys() -> None:
    """The window is over to the second, whether or not anybody wrote so."""
    rig = await _online_rig()
    waiting = await _waiting(rig, await access(rig.user_id), window_s=60)
    assert (await rig.present(NEW, at(1))).decision is AuthorizationDecision.INVALID
    assert not await ChargeCard.filter(number=NEW).exists()
    later = await access(rig.user_id, now=at(1))
    assert (await enrollments_by_ids(later, [waiting]))[waiting].state is EnrollmentState.EXPIRED


async def test_a_card_of_somebody_stays_theirs() -> None:
    """TAKEN says no more than that."""
    rig = await _online_rig()
    other = await a_person("Other")
    await a_card(other, number=NEW)
    waiting = await _waiting(rig, await access(rig.user_id))
    await rig.present(NEW, at(0.2))
    assert (await ChargeCard.get(number=NEW)).user_id == other
    row = (await enrollments_by_ids(await access(rig.user_id), [waiting]))[waiting]
    assert (row.state, row.card_id) == (EnrollmentState.TAKEN, None)


async def test_a_card_at_another_charger_is_not_waited_for() -> None:
    """Only the one that was named."""
    rig = await _online_rig()
    neighbour = await a_charger(rig.site, "Space 2")
    await ChargerStatus.filter(charger_id=neighbour).update(is_online=True)
    await start_card_enrollment(await access(rig.user_id), neighbour, bus=RecordingBus())
    await rig.present(NEW, at(0.2))
    assert await _states() == [EnrollmentState.WAITING]


async def test_two_who_wait_at_one_charger_do_not_take_each_others_card() -> None:
    """The second is refused while the first waits; one's own second one replaces the first; afterwards it is free."""
    rig = await _online_rig()
    other = await a_person()
    await a_grant(Role.USER, rig.site, user_id=other)
    await _waiting(rig, await access(rig.user_id))
    with pytest.raises(ConflictError):
        await _waiting(rig, await access(other))
    await _waiting(rig, await access(rig.user_id, now=at(0.1)))
    assert await _states() == [EnrollmentState.EXPIRED, EnrollmentState.WAITING]
    await _waiting(rig, await access(other, now=at(2)))
    await rig.present(NEW, at(2.1))
    assert (await ChargeCard.get(number=NEW)).user_id == other


async def test_who_may_enrol_where() -> None:
    """Oneself where one may charge; others only who keeps the cards there, and only people who hold something there."""
    town = await a_town()
    await ChargerStatus.filter(charger_id=town.charger_id).update(is_online=True)
    driver = PersonKey(user_id=town.people["USER of installation"])

    async def begin(who: str, person: PersonKey | None = None) -> None:
        await CardEnrollment.all().delete()
        await start_card_enrollment(await town.access(who), town.charger_id, person=person, bus=RecordingBus())

    for who in ("USER of charger", "USER of installation", "OWNER of charger", "OWNER of installation"):
        await begin(who)
    await begin("OWNER of installation", driver)
    with pytest.raises(NotAllowedError):
        await begin("SERVICE")
    with pytest.raises(NotAllowedError):
        await begin("USER of charger", driver)
    with pytest.raises(NotAllowedError):
        await begin("OWNER of charger", PersonKey(user_id=town.people["USER of charger"]))
    with pytest.raises(NotFoundError):
        await begin("OWNER of charger", driver)
    with pytest.raises(NotFoundError):
        await begin("stranger")
    with pytest.raises(NotFoundError):
        await begin("OWNER of installation", PersonKey(user_id=town.people["stranger"]))


async def test_a_program_enrols_for_people_it_keeps() -> None:
    """With MANAGE_CARDS at the site."""
    rig = await _online_rig()
    program = await a_program(rig.site)
    await program.knows(rig.user_id, "guest-1")
    await _waiting(rig, await program.access(), person=PersonKey(external_id="guest-1"))
    await rig.present(NEW, at(0.2))
    assert (await ChargeCard.get(number=NEW)).user_id == rig.user_id


async def test_what_cannot_be_begun() -> None:
    """At a charger that is not connected, a removed one, for too short or too long a time."""
    rig = await _online_rig()
    held = await access(rig.user_id)
    for window_s in (9, 301):
        with pytest.raises(ValidationError):
            await _waiting(rig, held, window_s=window_s)
    await ChargerStatus.filter(charger_id=rig.charger_id).update(is_online=False)
    with pytest.raises(ChargerOfflineError):
        await _waiting(rig, held)
    await Charger.filter(id=rig.charger_id).update(removed_at=NOW - timedelta(days=1))
    with pytest.raises(NotFoundError):
        await _waiting(rig, held)
    assert await CardEnrollment.all().count() == 0


async def test_the_name_of_a_start_from_an_app_is_no_card() -> None:
    """A charger asks about it as if it had been shown: who waits for their card there does not get it."""
    rig = await _online_rig()
    made_up = "STARTSTARTSTARTSTART"
    await Command.create(
        installation_id=rig.site.id,
        charger_id=rig.charger_id,
        for_user_id=await a_person(),
        action=CommandAction.START,
        id_token=made_up,
        requested_at=NOW,
        deadline=at(5),
    )
    await _waiting(rig, await access(rig.user_id))
    await rig.present(made_up, at(0.2))
    assert await _states() == [EnrollmentState.WAITING]
    assert not await ChargeCard.filter(number=made_up).exists()
    await rig.present(NEW, at(0.3))
    assert (await ChargeCard.get(number=NEW)).user_id == rig.user_id


@pytest.mark.parametrize("shown", ["ab", "04CAFE01/7", "Ж04CAFE01", "04CAFE010000000000000"])
async def test_what_cannot_be_registered_is_not_enrolled(shown: str) -> None:
    """The waiting goes on, and the charger is answered."""
    rig = await _online_rig()
    await _waiting(rig, await access(rig.user_id))
    assert (await rig.present(shown, at(0.2))).decision is AuthorizationDecision.INVALID
    assert await _states() == [EnrollmentState.WAITING]
