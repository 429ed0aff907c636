"""The installation tree through the API: made, read whole, changed, by those who may."""

from typing import Any

import pytest

from domain.events import InstallationChanged
from domain.models import Charger, Station
from domain.roles import Role
from gql.ids import parsed
from tests.factories import NOW, a_grant, a_person, a_town, access
from tests.gql.asking import Api, charger_id, circuit_id, installation_id, user_id

pytestmark = pytest.mark.usefixtures("database")

EVEN = {"l1": 32.0, "l2": 32.0, "l3": 32.0}

WHOLE = """
query ($id: ID!) {
  node(id: $id) {
    ... on Installation {
      name timeZone isActive createdAt currency category networkType mainBreakerA viewerRoles
      address { street postalCode city countryCode }
      availableCurrentA { l1 l2 l3 } availableCurrentMode availableCurrentExpiresAt fallbackCurrentA { l1 }
      threeToOnePhaseSwitchCurrentA
      circuits {
        name parent { name } breakerA { l1 l2 l3 } safeCurrentA { l1 } assumedOtherLoadA { l1 }
        measuredA { l1 } otherLoadA { l1 } allocatedA { l1 } installation { name }
        chargers(first: 10) { totalCount nodes { name } }
      }
      chargers(first: 10, orderBy: [{ field: NAME, direction: DESC }]) {
        totalCount
        pageInfo { hasNextPage hasPreviousPage }
        edges { cursor node { name identity evse phaseRotation minCurrentA maxCurrentA circuit { name } viewerRoles
          status { mode isOnline version powerKw warnings { kind } } } }
      }
    }
  }
}
"""


async def test_a_site_is_made_and_read_whole() -> None:
    """From nothing to a charger with its password, as the installer of a site sees it."""
    api = Api()
    admin = await access(await a_person("Ada", is_administrator=True))
    made = await api.mutate(
        admin,
        "createInstallation",
        {
            "name": "Garage",
            "address": {"street": "Fjordveien 1", "city": "Oslo", "countryCode": "NO"},
            "timeZone": "Europe/Oslo",
            "currency": "NOK",
            "category": "COMMUNITY",
            "networkType": "TN_3_PHASE",
            "mainBreakerA": 63,
        },
        "... on InstallationSuccess { installation { id circuits { id } } }",
    )
    site = made["installation"]["id"]
    branch = await api.mutate(
        admin,
        "createCircuit",
        {"installationId": site, "name": "Row A", "breakerA": EVEN},
        "... on CircuitSuccess { circuit { id parent { id } } }",
    )
    assert branch["circuit"]["parent"] == made["installation"]["circuits"][0]
    added = await api.mutate(
        admin,
        "addCharger",
        {"circuitId": branch["circuit"]["id"], "name": "Space 1", "identity": "ACME-1"},
        "... on ChargerSuccess { password charger { id } }",
    )
    assert len(added["password"]) == 32
    whole = (await api.data(admin, WHOLE, {"id": site}))["node"]
    assert whole["circuits"] == [
        {
            "name": "Main breaker",
            "parent": None,
            "breakerA": {"l1": 63.0, "l2": 63.0, "l3": 63.0},
            "safeCurrentA": {"l1": 0.0},
            "assumedOtherLoadA": {"l1": 0.0},
            "measuredA": None,
            "otherLoadA": None,
            "allocatedA": {"l1": 0.0},
            "installation": {"name": "Garage"},
            "chargers": {"totalCount": 0, "nodes": []},
        },
        {
            "name": "Row A",
            "parent": {"name": "Main breaker"},
            "breakerA": EVEN,
            "safeCurrentA": {"l1": 0.0},
            "assumedOtherLoadA": {"l1": 0.0},
            "measuredA": None,
            "otherLoadA": None,
            "allocatedA": {"l1": 0.0},
            "installation": {"name": "Garage"},
            "chargers": {"totalCount": 1, "nodes": [{"name": "Space 1"}]},
        },
    ]
    charger = whole["chargers"]["edges"][0]["node"]
    assert charger == {
        "name": "Space 1",
        "identity": "ACME-1",
        "evse": 1,
        "phaseRotation": "RST",
        "minCurrentA": 6.0,
        "maxCurrentA": 32.0,
        "circuit": {"name": "Row A"},
        "viewerRoles": ["ADMINISTRATOR"],
        "status": {"mode": "UNKNOWN", "isOnline": False, "version": 1, "powerKw": None, "warnings": []},
    }
    assert whole["address"] == {"street": "Fjordveien 1", "postalCode": None, "city": "Oslo", "countryCode": "NO"}
    assert whole["availableCurrentA"] == {"l1": 63.0, "l2": 63.0, "l3": 63.0}
    assert whole["createdAt"] == NOW.isoformat().replace("+00:00", "Z")


async def test_who_only_charges_sees_the_name_and_nothing_more() -> None:
    """Null and empty where others see breakers, circuits and identities; no error."""
    town = await a_town()
    whole = (await Api().data(await town.access("USER of charger"), WHOLE, {"id": installation_id(town.site.id)}))[
        "node"
    ]
    assert {name: value for name, value in whole.items() if value not in (None, [])} == {
        "name": "Fjordveien garage",
        "timeZone": "Europe/Oslo",
        "chargers": {
            "totalCount": 1,
            "pageInfo": {"hasNextPage": False, "hasPreviousPage": False},
            "edges": whole["chargers"]["edges"],
        },
    }
    assert whole["chargers"]["edges"][0]["node"] == {
        "name": "Space 1",
        "identity": None,
        "evse": None,
        "phaseRotation": None,
        "minCurrentA": 6.0,
        "maxCurrentA": 32.0,
        "circuit": None,
        "viewerRoles": ["USER"],
        "status": {"mode": "UNKNOWN", "isOnline": False, "version": 1, "powerKw": None, "warnings": []},
    }


async def test_a_repeated_request_with_its_key_is_done_once() -> None:
    """The same charger, without its password; another input under the key is a conflict."""
    town = await a_town()
    api, viewer = Api(), await town.access("SERVICE")
    given: dict[str, Any] = {
        "circuitId": circuit_id(town.site.root_id),
        "name": "Space 3",
        "identity": "ACME-3",
        "idempotencyKey": "once",
    }
    selection = "... on ChargerSuccess { password charger { id } }"
    first = await api.mutate(viewer, "addCharger", given, selection)
    again = await api.mutate(viewer, "addCharger", given, selection)
    assert (first["password"] is None, again["password"] is None) == (False, True)
    assert first["charger"] == again["charger"]
    other = await api.mutate(viewer, "addCharger", {**given, "identity": "ACME-4"}, selection)
    assert (other["__typename"], other["code"]) == ("ConflictError", "KEY_REUSED")
    assert await Charger.all().count() == 4


async def test_an_update_tells_absent_from_null() -> None:
    """Absent stays, null clears what may be empty, else it is INVALID."""
    town = await a_town()
    api, viewer = Api(), await town.access("SERVICE")
    charger = charger_id(town.charger_id)
    selection = "... on ChargerSuccess { charger { name offlineCurrentA maxCurrentA } }"
    set_both = await api.mutate(
        viewer, "updateCharger", {"chargerId": charger, "offlineCurrentA": 8, "maxCurrentA": 16}, selection
    )
    assert set_both["charger"] == {"name": "Space 1", "offlineCurrentA": 8.0, "maxCurrentA": 16.0}
    cleared = await api.mutate(viewer, "updateCharger", {"chargerId": charger, "offlineCurrentA": None}, selection)
    assert cleared["charger"] == {"name": "Space 1", "offlineCurrentA": None, "maxCurrentA": 16.0}
    refused = await api.mutate(viewer, "updateCharger", {"chargerId": charger, "name": None}, selection)
    assert (refused["__typename"], refused["code"], refused["path"]) == ("ValidationError", "INVALID", ["name"])


async def test_every_wrong_field_is_named() -> None:
    """The first one above, all of them in `fields`, each with its path into the input."""
    admin = await access(await a_person(is_administrator=True))
    refused = await Api().mutate(
        admin,
        "createInstallation",
        {
            "name": " ",
            "address": {"countryCode": "ZZ"},
            "timeZone": "Mars/Olympus",
            "currency": "XXX",
            "category": "PRIVATE",
            "networkType": "TN_1_PHASE",
            "mainBreakerA": -1,
        },
        "... on ValidationError { fields { path code } }",
    )
    assert [".".join(field["path"]) for field in refused["fields"]] == [
        "address.countryCode",
        "name",
        "timeZone",
        "currency",
        "mainBreakerA",
    ]
    assert refused["path"] == ["address", "countryCode"]


async def test_a_limit_is_set_and_cleared() -> None:
    """The balancer is told each time."""
    town = await a_town()
    api, viewer = Api(), await town.access("OWNER of installation")
    site = installation_id(town.site.id)
    selection = "... on InstallationSuccess { installation { availableCurrentA { l2 } availableCurrentExpiresAt } }"
    given = {"installationId": site, "availableCurrentA": {"l1": 20, "l2": 21, "l3": 22}, "validForSeconds": 60}
    limited = await api.mutate(viewer, "setAvailableCurrent", given, selection)
    assert limited["installation"]["availableCurrentA"] == {"l2": 21.0}
    assert limited["installation"]["availableCurrentExpiresAt"] == "2026-03-01T12:01:00Z"
    cleared = await api.mutate(viewer, "clearAvailableCurrent", {"installationId": site}, selection)
    assert cleared["installation"] == {"availableCurrentA": {"l2": 63.0}, "availableCurrentExpiresAt": None}
    assert api.bus.published == [InstallationChanged(installation_id=town.site.id, chargers_stay=True)] * 2


async def test_a_schedule_is_set_and_read() -> None:
    """As it was given, in the site's time; what overlaps is named by its place in the input."""
    town = await a_town()
    api, viewer = Api(), await town.access("OWNER of installation")
    selection = """... on InstallationSuccess { installation { availableCurrentMode currentSchedule {
      weekdays from to availableCurrentA { l1 } } } } ... on ValidationError { fields { path } }"""
    entry = {"weekdays": ["MONDAY"], "from": "22:00", "to": "00:00", "availableCurrentA": EVEN}
    given = {"installationId": installation_id(town.site.id), "entries": [entry]}
    made = await api.mutate(viewer, "setCurrentSchedule", given, selection)
    shown = {**entry, "availableCurrentA": {"l1": EVEN["l1"]}}
    assert made["installation"] == {"availableCurrentMode": "SCHEDULE", "currentSchedule": [shown]}
    twice = await api.mutate(viewer, "setCurrentSchedule", {**given, "entries": [entry, entry]}, selection)
    assert twice["fields"] == [{"path": ["entries", "1", "from"]}]
    none = await api.mutate(viewer, "setCurrentSchedule", {**given, "entries": []}, selection)
    assert none["installation"] == {"availableCurrentMode": "MANUAL", "currentSchedule": []}


async def test_the_tree_is_changed_and_taken_down() -> None:
    """Hung elsewhere, moved, re-keyed, removed."""
    town = await a_town()
    api, viewer = Api(), await town.access("SERVICE")
    site, root, charger = installation_id(town.site.id), circuit_id(town.site.root_id), charger_id(town.charger_id)
    made = await api.mutate(
        viewer,
        "createCircuit",
        {"installationId": site, "parentId": root, "name": "Row A", "breakerA": EVEN, "safeCurrentA": EVEN},
        "... on CircuitSuccess { circuit { id } }",
    )
    row_a = made["circuit"]["id"]
    moved = await api.mutate(
        viewer,
        "moveCharger",
        {"chargerId": charger, "circuitId": row_a},
        "... on ChargerSuccess { charger { circuit { name } } }",
    )
    assert moved["charger"] == {"circuit": {"name": "Row A"}}
    in_use = await api.mutate(viewer, "removeCircuit", {"id": row_a})
    assert (in_use["__typename"], in_use["code"]) == ("ConflictError", "IN_USE")
    rotated = await api.mutate(
        viewer, "rotateChargerPassword", {"chargerId": charger}, "... on ChargerSuccess { password }"
    )
    assert len(rotated["password"]) == 32
    assert await Station.filter(next_password_hash__isnull=False).count() == 1
    removed = await api.mutate(viewer, "removeCharger", {"id": charger}, "... on RemoveSuccess { removedId }")
    assert removed["removedId"] == charger
    renamed = await api.mutate(
        viewer,
        "updateCircuit",
        {"circuitId": row_a, "name": "Row B", "safeCurrentA": None},
        "... on CircuitSuccess { circuit { name safeCurrentA { l1 } } }",
    )
    assert renamed["circuit"] == {"name": "Row B", "safeCurrentA": {"l1": 0.0}}
    gone = await api.mutate(viewer, "removeCircuit", {"id": row_a}, "... on RemoveSuccess { removedId }")
    assert gone["removedId"] == row_a
    assert (await api.data(viewer, "query ($id: ID!) { node(id: $id) { id } }", {"id": row_a}))["node"] is None


FILTERED = """
query ($where: ChargerWhere, $sites: InstallationWhere) {
  chargers(first: 10, where: $where) { totalCount nodes { name } }
  installations(first: 10, where: $sites) { totalCount nodes { name } }
}
"""


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"name": {"startsWith": "SPACE"}}, ["Space 1", "Space 2"]),
        ({"name": {"contains": "e"}, "NOT": {"name": {"eq": "space 1"}}}, ["Space 2"]),
        ({"OR": [{"name": {"eq": "Space 1"}}, {"name": {"oneOf": ["Space 2"]}}]}, ["Space 1", "Space 2"]),
        ({"AND": [{"name": {"eq": "Space 1"}}, {"isOnline": True}]}, []),
        ({"mode": ["UNKNOWN"], "viewerMayCharge": True}, ["Space 1", "Space 2"]),
        ({"id": {"oneOf": ["no id"]}}, []),
        ({"mode": []}, []),
    ],
)
async def test_filters_of_chargers(where: dict[str, Any], names: list[str]) -> None:
    """Several fields are AND, a list is any of, text compares without case; the count counts what is found."""
    town = await a_town()
    data = await Api().data(await town.access("OWNER of installation"), FILTERED, {"where": where})
    assert data["chargers"] == {"totalCount": len(names), "nodes": [{"name": name} for name in names]}


async def test_filters_by_id_role_and_category() -> None:
    """An id of the wrong type or of nothing finds nothing."""
    town = await a_town()
    viewer = await town.access("SERVICE")
    cases: list[tuple[dict[str, Any], int]] = [
        ({"id": {"eq": installation_id(town.site.id)}}, 1),
        ({"id": {"eq": charger_id(town.site.id)}}, 0),
        ({"viewerRole": ["SERVICE", "OWNER"]}, 1),
        ({"viewerRole": ["OWNER"]}, 0),
        ({"category": ["COMMUNITY"], "name": {"contains": "garage"}}, 1),
        ({"category": ["PRIVATE"]}, 0),
    ]
    for sites, count in cases:
        data = await Api().data(viewer, FILTERED, {"sites": sites})
        assert data["installations"]["totalCount"] == count, sites


def _nested(levels: int) -> dict[str, Any]:
    return {"NOT": _nested(levels - 1)} if levels > 1 else {"name": {"eq": "x"}}


async def test_a_filter_is_bounded() -> None:
    """Four levels and fifty terms; more is BAD_USER_INPUT."""
    town = await a_town()
    viewer = await town.access("SERVICE")
    many = {"name": {"oneOf": [str(number) for number in range(51)]}}
    for where, is_right in ((_nested(4), True), (_nested(5), False), (many, False)):
        answer = await Api().ask(viewer, FILTERED, {"where": where})
        assert ("errors" not in answer) == is_right
        if not is_right:
            assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


GRANTS = """
query ($id: ID!, $where: PermissionWhere) {
  viewer { user { name email } permissions(first: 10) { totalCount nodes { role object { __typename } } } }
  node(id: $id) { ... on Installation { permissions(first: 50, where: $where) { totalCount nodes {
    id role validFrom validTo revokedAt grantedBy revokedBy externalId
    subject { __typename ... on User { name } ... on Invitation { email } }
    object { __typename ... on Installation { name } ... on Charger { name } }
  } } } }
}
"""


async def test_grants_are_given_listed_and_taken() -> None:
    """With their subject and object; the list says who gave and who took."""
    town = await a_town()
    api, viewer = Api(), await town.access("OWNER of installation")
    selection = (
        "... on PermissionSuccess { permission { id role externalId subject { __typename } object { __typename } } }"
    )
    site = installation_id(town.site.id)
    given = await api.mutate(
        viewer,
        "grantPermission",
        {
            "subject": {"email": "new@example.com"},
            "objectId": charger_id(town.charger_id),
            "role": "USER",
            "externalId": "4",
        },
        selection,
    )
    permission = given["permission"]
    assert (permission["subject"], permission["object"]) == ({"__typename": "Invitation"}, {"__typename": "Charger"})
    again = await api.mutate(
        viewer,
        "grantPermission",
        {"subject": {"userId": user_id(town.people["USER of charger"])}, "objectId": site, "role": "USER"},
        selection,
    )
    assert again["permission"]["object"] == {"__typename": "Installation"}
    listed = await api.data(viewer, GRANTS, {"id": site, "where": {"role": ["USER"], "externalId": {"eq": "4"}}})
    assert listed["node"]["permissions"]["nodes"] == [
        {
            "id": permission["id"],
            "role": "USER",
            "validFrom": "2026-03-01T12:00:00Z",
            "validTo": None,
            "revokedAt": None,
            "grantedBy": "OWNER of installation",
            "revokedBy": None,
            "externalId": "4",
            "subject": {"__typename": "Invitation", "email": "new@example.com"},
            "object": {"__typename": "Charger", "name": "Space 1"},
        }
    ]
    assert listed["viewer"]["permissions"] == {
        "totalCount": 1,
        "nodes": [{"role": "OWNER", "object": {"__typename": "Installation"}}],
    }
    revoked = await api.mutate(viewer, "revokePermission", {"externalId": "4"}, selection)
    assert revoked["permission"]["id"] == permission["id"]
    valid = await api.data(viewer, GRANTS, {"id": site, "where": {"isValid": True}})
    assert permission["id"] not in [node["id"] for node in valid["node"]["permissions"]["nodes"]]


async def test_a_list_of_grants_survives_what_is_gone() -> None:
    """A grant on a charger that was removed, or on a site that one lost, is absent; the others are there."""
    town = await a_town()
    person = town.people["USER of charger"]
    await a_grant(Role.USER, town.other_site, user_id=person, valid_to=NOW)
    await a_grant(Role.USER, town.site, user_id=person, charger_id=town.neighbour_id)
    await Charger.filter(id=town.neighbour_id).update(removed_at=NOW)
    data = await Api().data(await town.access("USER of charger"), GRANTS, {"id": installation_id(town.site.id)})
    assert data["viewer"]["permissions"]["totalCount"] == 1


async def test_who_takes_their_own_last_right_no_longer_sees_it() -> None:
    """It is done, and the answer is that of something hidden."""
    town = await a_town()
    await a_grant(Role.OWNER, town.site, user_id=await a_person("Next"))
    viewer = await town.access("OWNER of installation")
    mine = (await Api().data(viewer, "{ viewer { permissions(first: 1) { nodes { id } } } }"))["viewer"]
    named = mine["permissions"]["nodes"][0]["id"]
    assert parsed(named) is not None
    result = await Api().mutate(viewer, "revokePermission", {"permissionId": named})
    assert result["__typename"] == "NotFoundError"
    assert (await town.access("OWNER of installation")).installations == {}
