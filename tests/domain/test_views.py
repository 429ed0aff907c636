"""What each role sees of sites, circuits, chargers, grants and people: nothing hidden, through no list, filter or count."""

from datetime import timedelta

import pytest

from domain.access import Access
from domain.equipment.charger_statuses import statuses_by_charger_ids
from domain.filters import Comparison, Condition, Every, Not, Some, Term
from domain.identity.people import people_by_ids
from domain.ids import new_id
from domain.pages import PageRequest
from domain.roles import InstallationCategory, Role
from domain.views.charger_views import ChargerOrder, chargers_by_ids, chargers_page
from domain.views.circuit_views import circuit_loads, circuits_by_ids, circuits_of_installations
from domain.views.installation_views import installations_by_ids, installations_page
from domain.views.permission_views import permissions_page
from tests.factories import LONG_AGO, NOW, PEOPLE, Town, a_circuit, a_grant, a_person, a_session, a_site, a_town, access

pytestmark = pytest.mark.usefixtures("database")

ALL = PageRequest(first=100)
EVERYONE = (*PEOPLE, "not signed in")
AT_SITE = frozenset(PEOPLE) - {"stranger"}
WHOLE_SITE = frozenset({"USER of installation", "OWNER of installation", "SERVICE", "ADMINISTRATOR"})
CONTROL = frozenset({"OWNER of installation", "SERVICE", "ADMINISTRATOR"})


async def _of(town: Town, person: str) -> Access:
    return await town.access(person)


@pytest.mark.parametrize("person", EVERYONE)
async def test_an_installation_exists_for_those_who_hold_something_there(person: str) -> None:
    """A hidden site is as absent as one that never was: by id, in lists and in their counts."""
    town = await a_town()
    viewer = await _of(town, person)
    found = await installations_by_ids(viewer, [town.site.id, town.other_site.id, new_id()])
    page = await installations_page(viewer, ALL)
    expected = {town.site.id} if person in AT_SITE else set()
    if person == "ADMINISTRATOR":
        expected.add(town.other_site.id)
    assert set(found) == expected
    assert {row.id for row in page.rows} == expected
    assert page.count is not None
    assert await page.count() == len(expected)


@pytest.mark.parametrize("person", sorted(AT_SITE))
async def test_details_of_an_installation_are_for_roles_on_the_whole_of_it(person: str) -> None:
    """Who holds only a charger sees the site's name and zone."""
    town = await a_town()
    row = (await installations_by_ids(await _of(town, person), [town.site.id]))[town.site.id]
    assert (row.name, row.time_zone) == ("Fjordveien garage", "Europe/Oslo")
    assert row.main_breaker_a == (63.0 if person in WHOLE_SITE else None)
    assert (row.address is not None) == (person in WHOLE_SITE)
    assert (row.created_at is not None) == (person in WHOLE_SITE)


@pytest.mark.parametrize("person", EVERYONE)
async def test_a_charger_exists_for_those_who_hold_something_that_reaches_it(person: str) -> None:
    """Grants on the site reach down to its chargers; a grant on one charger reaches no other."""
    town = await a_town()
    viewer = await _of(town, person)
    ids = [town.charger_id, town.neighbour_id, town.other_charger_id]
    expected: set[object] = {town.charger_id} if person in AT_SITE else set()
    if person in WHOLE_SITE:
        expected.add(town.neighbour_id)
    if person == "ADMINISTRATOR":
        expected.add(town.other_charger_id)
    page = await chargers_page(viewer, ALL)
    assert set(await chargers_by_ids(viewer, [*ids, new_id()])) == expected
    assert {row.id for row in page.rows} == expected
    assert page.count is not None
    assert await page.count() == len(expected)
    assert set(await statuses_by_charger_ids(viewer, ids)) == expected


@pytest.mark.parametrize("person", sorted(AT_SITE))
async def test_details_of_a_charger_are_for_its_owners_and_installers(person: str) -> None:
    """Who may only charge does not learn the OCPP identity, nor when the charger was last seen; the owner of one charger no circuit."""
    town = await a_town()
    row = (await chargers_by_ids(await _of(town, person), [town.charger_id]))[town.charger_id]
    is_detailed = person in CONTROL or person == "OWNER of charger"
    assert row.name == "Space 1"
    assert (row.identity is not None, row.created_at is not None) == (is_detailed,) * 2
    assert (row.circuit_id is not None) == (person in CONTROL)


@pytest.mark.parametrize("person", ["USER of charger", "USER of installation"])
async def test_a_filter_finds_no_more_than_the_eye(person: str) -> None:
    """A filter on a hidden value matches nothing, its opposite all, whatever the value is, and an order by it is no order."""
    town = await a_town()
    viewer = await _of(town, person)
    right, wrong = (Term("serialNumber", Comparison.STARTS_WITH, text) for text in ("SN", "other"))
    for where in (right, wrong, Term("circuitId", Comparison.EQUALS, town.site.root_id)):
        assert list((await chargers_page(viewer, ALL, where=where)).rows) == []
    opposites = [(await chargers_page(viewer, ALL, where=Not(where))).rows for where in (right, wrong)]
    assert list(opposites[0]) == list(opposites[1]) == list((await chargers_page(viewer, ALL)).rows)
    ordered = await chargers_page(viewer, ALL, order=(ChargerOrder("CREATED_AT", is_descending=True),))
    assert [row.id for row in ordered.rows] == sorted(row.id for row in ordered.rows)


async def test_the_category_of_a_site_cannot_be_guessed_by_filtering() -> None:
    """Who holds only a charger finds the site by its name, never by what they may not see of it."""
    town = await a_town()
    viewer = await town.access("USER of charger")
    by_category = Term("category", Comparison.ONE_OF, tuple(InstallationCategory))
    assert list((await installations_page(viewer, ALL, where=by_category)).rows) == []
    assert [row.id for row in (await installations_page(viewer, ALL, where=_named("FJORD"))).rows] == [town.site.id]


def _named(text: str) -> Condition:
    return Term("name", Comparison.CONTAINS, text)


async def test_filters_compose() -> None:
    """AND, OR and NOT mean what they say; text compares without case and signs of LIKE are ordinary."""
    town = await a_town()
    viewer = await town.access("OWNER of installation")

    async def names(where: Condition) -> list[str]:
        return [row.name for row in (await chargers_page(viewer, ALL, where=where)).rows]

    first = Term("name", Comparison.EQUALS, "SPACE 1")
    assert await names(first) == ["Space 1"]
    assert await names(Not(first)) == ["Space 2"]
    assert await names(Every((first, Not(first)))) == []
    assert await names(Some((first, _named("e 2")))) == ["Space 1", "Space 2"]
    assert await names(_named("%")) == []
    assert await names(Term("viewerMayCharge", Comparison.EQUALS, True)) == ["Space 1", "Space 2"]
    assert await names(Term("isOnline", Comparison.EQUALS, True)) == []


async def test_letters_of_every_language_compare_without_case() -> None:
    """Åse's garage is found by åse, whatever the locale of the database."""
    viewer = await access(await a_person(is_administrator=True))
    for name in ("Øvre", "ÅSE", "øst", "Ås"):
        await a_site(name)

    async def names(where: Condition) -> list[str]:
        return [row.name for row in (await installations_page(viewer, ALL, where=where)).rows]

    assert sorted(await names(Term("name", Comparison.CONTAINS, "åS"))) == ["ÅSE", "Ås"]
    assert sorted(await names(Term("name", Comparison.STARTS_WITH, "Ø"))) == ["Øvre", "øst"]
    assert await names(Term("name", Comparison.EQUALS, "ås")) == ["Ås"]
    assert await names(Term("name", Comparison.ONE_OF, ("åse", "ØST"))) == ["ÅSE", "øst"]


@pytest.mark.parametrize(("person", "count"), [("SERVICE", 0), ("USER of charger", 1), ("ADMINISTRATOR", 0)])
async def test_installers_may_not_charge(person: str, count: int) -> None:
    """viewerMayCharge is true where the viewer is USER or OWNER."""
    town = await a_town()
    where = Term("viewerMayCharge", Comparison.EQUALS, True)
    assert len((await chargers_page(await _of(town, person), ALL, where=where)).rows) == count


@pytest.mark.parametrize(
    ("role", "people"),
    [
        (Role.USER, {"USER of charger", "USER of installation"}),
        (Role.OWNER, {"OWNER of charger", "OWNER of installation"}),
    ],
)
async def test_sites_are_found_by_the_role_held_there(role: Role, people: set[str]) -> None:
    """A role held at a charger there counts."""
    town = await a_town()
    for person in PEOPLE:
        page = await installations_page(
            await _of(town, person), ALL, where=Term("viewerRole", Comparison.ONE_OF, (role,))
        )
        assert [row.id for row in page.rows] == ([town.site.id] if person in people else [])


async def test_pages_of_chargers_follow_each_other() -> None:
    """By name, forward and backward, no row twice and none left out."""
    town = await a_town()
    viewer = await town.access("ADMINISTRATOR")
    first = await chargers_page(viewer, PageRequest(first=2))
    rest = await chargers_page(viewer, PageRequest(first=2, after=first.cursors[-1]))
    assert [row.name for row in first.rows] + [row.name for row in rest.rows] == ["Hidden", "Space 1", "Space 2"]
    assert (first.has_next, rest.has_next, rest.has_previous) == (True, False, True)
    last = await chargers_page(viewer, PageRequest(first=None, last=2, before=rest.cursors[0]))
    assert [row.name for row in last.rows] == ["Hidden", "Space 1"]


@pytest.mark.parametrize("person", EVERYONE)
async def test_circuits_exist_for_owners_and_installers(person: str) -> None:
    """The tree, parents first; nobody else learns that it has branches."""
    town = await a_town()
    branch = await a_circuit(town.site.id, parent_id=town.site.root_id)
    viewer = await _of(town, person)
    expected = [town.site.root_id, branch] if person in CONTROL else []
    trees = await circuits_of_installations(viewer, [town.site.id])
    assert [row.id for row in trees.get(town.site.id, ())] == expected
    assert list(await circuits_by_ids(viewer, [branch])) == expected[1:]
    assert list(await circuit_loads(viewer, [branch])) == expected[1:]


@pytest.mark.parametrize("person", EVERYONE)
async def test_grants_exist_for_their_holder_and_for_those_who_decide(person: str) -> None:
    """One's own, those on objects that one owns, all for an administrator."""
    town = await a_town()
    expected = {
        "OWNER of installation": 5,
        "ADMINISTRATOR": 5,
        "OWNER of charger": 2,
        "stranger": 0,
        "not signed in": 0,
    }.get(person, 1)
    page = await permissions_page(await _of(town, person), ALL)
    assert len(page.rows) == expected
    assert page.count is not None
    assert await page.count() == expected


async def test_who_granted_is_told_to_those_who_could_have() -> None:
    """The holder of a grant does not learn who gave it."""
    town = await a_town()
    giver, taker = town.people["OWNER of installation"], town.people["USER of charger"]
    await a_grant(Role.USER, town.site, user_id=taker, granted_by_id=giver, external_id="flat 4")
    of_taker = Term("userId", Comparison.EQUALS, taker)
    seen_by_giver = (await permissions_page(await town.access("OWNER of installation"), ALL, where=of_taker)).rows
    seen_by_taker = (await permissions_page(await town.access("USER of charger"), ALL, where=of_taker)).rows
    assert {row.granted_by for row in seen_by_giver} == {None, "OWNER of installation"}
    assert {row.external_id for row in seen_by_giver} == {None, "flat 4"}
    assert {(row.granted_by, row.external_id) for row in seen_by_taker} == {(None, None)}


@pytest.mark.parametrize("person", EVERYONE)
async def test_people_exist_for_those_who_see_their_grants_or_sessions(person: str) -> None:
    """Nobody else learns that there is such a person."""
    town = await a_town()
    viewer = await _of(town, person)
    found = await people_by_ids(viewer, [*town.people.values(), new_id()])
    expected = {
        "ADMINISTRATOR": set(PEOPLE),
        "OWNER of installation": set(PEOPLE) - {"stranger", "ADMINISTRATOR"},
        "OWNER of charger": {"OWNER of charger", "USER of charger"},
        "not signed in": set[str](),
    }.get(person, {person})
    assert {row.name for row in found.values()} == expected


async def test_a_guest_is_known_to_the_owner_by_their_session_without_an_address() -> None:
    """Who charged there has a name for the owner; an e-mail address only with a grant."""
    town = await a_town()
    guest = await a_person("Guest")
    await a_session(town.site, town.charger_id, user_id=guest)
    of_site = await people_by_ids(await town.access("OWNER of installation"), [guest])
    of_charger = await people_by_ids(await town.access("OWNER of charger"), [guest])
    assert [(row.name, row.email) for row in of_site.values()] == [("Guest", None)]
    assert [(row.name, row.email) for row in of_charger.values()] == [("Guest", None)]
    assert await people_by_ids(await town.access("SERVICE"), [guest]) == {}


async def test_a_charger_owner_does_not_know_who_charged_before_their_time() -> None:
    """Sessions of a charger belong to its owner from the beginning of the grant."""
    town = await a_town()
    guest = await a_person("Former tenant")
    await a_session(
        town.site, town.charger_id, user_id=guest, started_at=LONG_AGO - timedelta(days=9), ended_at=LONG_AGO
    )
    assert await people_by_ids(await town.access("OWNER of charger"), [guest]) == {}
    assert set(await people_by_ids(await town.access("OWNER of installation"), [guest])) == {guest}


async def test_a_grant_counts_in_its_time_only() -> None:
    """Before its beginning, from its end on, and once it is revoked it gives nothing."""
    site = await a_site()
    person = await a_person()
    await a_grant(Role.USER, site, user_id=person, valid_from=NOW, valid_to=NOW + timedelta(hours=1))
    for minutes, expected in ((-1, 0), (0, 1), (59, 1), (60, 0)):
        held = await access(person, now=NOW + timedelta(minutes=minutes))
        assert len(await installations_by_ids(held, [site.id])) == expected
