"""The door: what a person holds at an instant, and the rows and statuses that follow from it."""

from datetime import timedelta

import pytest

from domain import sql
from domain.access import Access, StatusView, access_of
from domain.errors import NotAllowedError, NotFoundError, UnauthenticatedError
from domain.ids import new_id
from domain.models import Charger, Permission, SignIn, User
from domain.roles import Role
from tests.factories import LONG_AGO, NOW, PEOPLE, Town, a_grant, a_person, a_session, a_town, access

pytestmark = pytest.mark.usefixtures("database")

EVERYONE = (*PEOPLE, "not signed in")


async def _count(table: str, condition: str, arguments: list[object]) -> int:
    found = await sql.row(f"SELECT COUNT(*) AS number FROM {table} t WHERE {condition}", *arguments)  # noqa: S608
    return int(found["number"]) if found else 0


@pytest.mark.parametrize("person", EVERYONE)
async def test_conditions_and_questions_agree(person: str) -> None:
    """What a list reaches by its condition is what single rows answer by themselves."""
    town = await a_town()
    viewer = await town.access(person)
    places = (
        (town.charger_id, town.site.id),
        (town.neighbour_id, town.site.id),
        (town.other_charger_id, town.other_site.id),
    )
    for charger_id, site_id in places:
        arguments: list[object] = []
        condition = f"{viewer.chargers_condition('t', arguments)} AND t.id = ${len(arguments) + 1}"
        is_listed = await _count("chargers", condition, [*arguments, charger_id]) == 1
        assert is_listed == viewer.sees_charger(charger_id, site_id)
        arguments = []
        condition = f"{viewer.charger_details_condition('t', arguments)} AND t.id = ${len(arguments) + 1}"
        is_detailed = await _count("chargers", condition, [*arguments, charger_id]) == 1
        assert is_detailed == viewer.sees_charger_details(charger_id, site_id)
    for site in (town.site, town.other_site):
        arguments = []
        condition = f"{viewer.installations_condition('t', arguments)} AND t.id = ${len(arguments) + 1}"
        assert (await _count("installations", condition, [*arguments, site.id]) == 1) == viewer.sees_installation(
            site.id
        )
        arguments = []
        condition = f"{viewer.circuits_condition('t', arguments)} AND t.id = ${len(arguments) + 1}"
        assert (await _count("circuits", condition, [*arguments, site.root_id]) == 1) == viewer.sees_circuits(site.id)


SESSIONS = {
    "OWNER of installation": 4,
    "OWNER of charger": 2,
    "USER of charger": 1,
}


@pytest.mark.parametrize("person", EVERYONE)
async def test_whose_sessions_are_seen(person: str) -> None:
    """One's own everywhere, a charger's from the grant on, a site's for its owner; installers and administrators see none."""
    town = await a_town()
    mine = town.people["USER of charger"]
    stranger = town.people["stranger"]
    rows = (
        (town.site, town.charger_id, mine, NOW - timedelta(hours=5)),
        (town.site, town.charger_id, None, NOW - timedelta(hours=3)),
        (town.site, town.charger_id, None, LONG_AGO - timedelta(days=1)),
        (town.site, town.neighbour_id, None, NOW - timedelta(hours=3)),
        (town.other_site, town.other_charger_id, stranger, NOW - timedelta(hours=3)),
    )
    for site, charger_id, user_id, at in rows:
        await a_session(site, charger_id, user_id=user_id, started_at=at)
    viewer = await town.access(person)
    arguments: list[object] = []
    condition = viewer.sessions_condition("t", arguments)
    expected = {**SESSIONS, "stranger": 1}.get(person, 0)
    assert await _count("charge_sessions", condition, arguments) == expected
    seen = [
        viewer.sees_session(installation_id=site.id, charger_id=charger_id, user_id=user_id, started_at=at)
        for site, charger_id, user_id, at in rows
    ]
    assert sum(seen) == expected


@pytest.mark.parametrize(
    ("person", "of_another", "of_nobody"),
    [
        ("USER of charger", StatusView.LITTLE, StatusView.LITTLE),
        ("USER of installation", StatusView.LITTLE, StatusView.LITTLE),
        ("OWNER of charger", StatusView.FULL, StatusView.FULL),
        ("OWNER of installation", StatusView.FULL, StatusView.FULL),
        ("SERVICE", StatusView.ELECTRICAL, StatusView.ELECTRICAL),
        ("ADMINISTRATOR", StatusView.ELECTRICAL, StatusView.ELECTRICAL),
        ("stranger", StatusView.LITTLE, StatusView.LITTLE),
        ("not signed in", StatusView.LITTLE, StatusView.LITTLE),
    ],
)
async def test_how_much_of_a_live_status_is_seen(person: str, of_another: StatusView, of_nobody: StatusView) -> None:
    """Power and currents are another person's energy; one's own session is one's own."""
    town = await a_town()
    viewer = await town.access(person)
    assert viewer.status_view(town.charger_id, town.site.id, new_id()) is of_another
    assert viewer.status_view(town.charger_id, town.site.id, None) is of_nobody
    if viewer.user_id is not None:
        assert viewer.status_view(town.charger_id, town.site.id, viewer.user_id) is StatusView.FULL


async def test_rights_add_up() -> None:
    """USER on the site and OWNER of a charger is both at that charger."""
    town = await a_town()
    person = town.people["USER of installation"]
    await a_grant(Role.OWNER, town.site, user_id=person, charger_id=town.charger_id)
    viewer = await access(person)
    assert viewer.roles_at_charger(town.charger_id, town.site.id) == {Role.USER, Role.OWNER}
    assert viewer.roles_at_charger(town.neighbour_id, town.site.id) == {Role.USER}
    assert viewer.roles_at(town.site.id) == {Role.USER}


async def test_the_earliest_of_several_grants_on_a_charger_counts() -> None:
    """Two OWNER grants: sessions from the earlier one on."""
    town = await a_town()
    person = town.people["OWNER of charger"]
    earlier = LONG_AGO - timedelta(days=100)
    await a_grant(Role.OWNER, town.site, user_id=person, charger_id=town.charger_id, valid_from=earlier)
    assert (await access(person)).chargers[town.charger_id].owner_from == earlier


async def test_a_grant_does_not_move_with_its_charger() -> None:
    """Neither charger nor site are seen any more; the sessions of one's time still are."""
    town = await a_town()
    await Charger.filter(id=town.charger_id).update(
        installation_id=town.other_site.id, circuit_id=town.other_site.root_id
    )
    viewer = await town.access("OWNER of charger")
    assert not viewer.sees_charger(town.charger_id, town.other_site.id)
    assert not viewer.sees_installation(town.site.id)
    assert not viewer.sees_installation(town.other_site.id)
    assert viewer.sees_session(installation_id=town.site.id, charger_id=town.charger_id, user_id=None, started_at=NOW)
    arguments: list[object] = []
    assert await _count("chargers", viewer.chargers_condition("t", arguments), arguments) == 0
    arguments = []
    assert await _count("chargers", viewer.charger_details_condition("t", arguments), arguments) == 0
    arguments = []
    assert await _count("permissions", viewer.granting_condition("t", arguments), arguments) == 0


@pytest.mark.parametrize("ended", ["revoked", "over", "to come", "account ended", "sign-in ended", "no account"])
async def test_what_has_ended_gives_nothing(ended: str) -> None:
    """A grant outside its time, an ended account and an ended sign-in."""
    town = await a_town()
    person = town.people["OWNER of installation"]
    sign_in = await SignIn.create(
        id=new_id(),
        user_id=person,
        refresh_hash="x",
        created_at=NOW,
        refreshed_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    grant, account, sign_ins = Permission.filter(user_id=person), User.filter(id=person), SignIn.filter(id=sign_in.id)
    match ended:
        case "revoked":
            await grant.update(revoked_at=NOW)
        case "over":
            await grant.update(valid_to=NOW)
        case "to come":
            await grant.update(valid_from=NOW + timedelta(seconds=1))
        case "account ended":
            await account.update(is_active=False)
        case "sign-in ended":
            await sign_ins.update(ended_at=NOW)
    asked = new_id() if ended == "no account" else person
    viewer = await access_of(asked, now=NOW, sign_in_id=sign_in.id)
    assert viewer.installations == {}
    assert (viewer.actor is None) == (ended in ("account ended", "sign-in ended", "no account"))


async def test_managing_tells_hidden_from_not_allowed() -> None:
    """NotFoundError for what does not exist for one, NotAllowedError for what one sees but may not change."""
    town = await a_town()
    needed = frozenset({Role.SERVICE})
    await _managed(town, "SERVICE", needed)
    with pytest.raises(NotAllowedError, match="SERVICE"):
        await _managed(town, "USER of charger", needed)
    with pytest.raises(NotFoundError) as caught:
        await _managed(town, "stranger", needed)
    assert caught.value.path == ("chargerId",)


async def _managed(town: Town, person: str, needed: frozenset[Role]) -> None:
    viewer = await town.access(person)
    viewer.manage_charger(town.charger_id, town.site.id, needed, path=("chargerId",))
    viewer.manage_installation(town.site.id, needed, path=("installationId",))


def test_nobody_holds_nothing() -> None:
    """Not signed in: no condition holds, no row is seen, no use case begins."""
    nobody = Access.nobody(NOW)
    for condition in (
        nobody.installations_condition,
        nobody.circuits_condition,
        nobody.permissions_condition,
        nobody.user_contacts_condition,
        nobody.sessions_condition,
    ):
        arguments: list[object] = []
        assert condition("t", arguments).strip("()") == "1 = 0"
        assert arguments == []
    with pytest.raises(UnauthenticatedError):
        nobody.signed_in()


async def test_a_person_is_seen_by_those_who_see_their_grants() -> None:
    """Also after the grant was revoked: the log of grants keeps its names."""
    town = await a_town()
    former = await a_person("Former")
    grant = await a_grant(Role.USER, town.site, user_id=former)
    await Permission.filter(id=grant).update(revoked_at=NOW)
    viewer = await town.access("OWNER of installation")
    arguments: list[object] = []
    condition = f"{viewer.users_condition('t', arguments)} AND t.id = ${len(arguments) + 1}"
    assert await _count("users", condition, [*arguments, former]) == 1
