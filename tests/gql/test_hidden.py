"""Hidden and absent look the same: one test a role, for a site and a charger, through every door of the API."""

from typing import Any
from uuid import UUID

import pytest

from domain.access import Access
from domain.ids import new_id
from domain.models import ChargerStatus
from domain.roles import Role, SessionState
from tests.factories import Town, a_grant, a_person, a_session, a_town, access
from tests.gql.asking import Api, charger_id, circuit_id, installation_id, permission_id, user_id
from tests.gql.matrix import EVERYONE, NOT_SIGNED_IN

pytestmark = pytest.mark.usefixtures("database")

OTHERS = tuple(person for person in EVERYONE if person != "ADMINISTRATOR")

DOORS = """
query ($site: ID!, $charger: ID!, $circuit: ID!, $person: ID!, $grant: ID!) {
  site: node(id: $site) { id }
  charger: node(id: $charger) { id }
  circuit: node(id: $circuit) { id }
  person: node(id: $person) { id }
  grant: node(id: $grant) { id }
  nodes(ids: [$site, $charger, $circuit, $person, $grant]) { id }
  sites: installations(first: 10, where: { id: { eq: $site } }) { totalCount nodes { id } }
  notSites: installations(first: 10, where: { NOT: { id: { eq: $site } } }) { totalCount nodes { id } }
  chargers(first: 10, where: { OR: [{ id: { eq: $charger } }, { installationId: { eq: $site } }, { circuitId: { eq: $circuit } }] }) {
    totalCount nodes { id }
  }
  viewer { permissions(first: 10) { totalCount } }
}
"""

_EVEN = {"l1": 1.0, "l2": 1.0, "l3": 1.0}

MUTATIONS: dict[str, Any] = {
    "updateInstallation": lambda ids: {"installationId": ids["site"], "name": "x"},
    "setAvailableCurrent": lambda ids: {"installationId": ids["site"], "availableCurrentA": _EVEN},
    "setCurrentSchedule": lambda ids: {"installationId": ids["site"], "entries": []},
    "clearAvailableCurrent": lambda ids: {"installationId": ids["site"]},
    "createCircuit": lambda ids: {"installationId": ids["site"], "name": "x", "breakerA": _EVEN},
    "updateCircuit": lambda ids: {"circuitId": ids["circuit"], "name": "x"},
    "reportMeter": lambda ids: {"circuitId": ids["circuit"], "currentA": _EVEN},
    "removeCircuit": lambda ids: {"id": ids["circuit"]},
    "addCharger": lambda ids: {"circuitId": ids["circuit"], "name": "x", "identity": "x"},
    "adoptCharger": lambda ids: {"circuitId": ids["circuit"], "name": "x", "identity": "x"},
    "updateCharger": lambda ids: {"chargerId": ids["charger"], "name": "x"},
    "rotateChargerPassword": lambda ids: {"chargerId": ids["charger"]},
    "confirmMeterKey": lambda ids: {"chargerId": ids["charger"], "publicKey": None},
    "moveCharger": lambda ids: {"chargerId": ids["charger"], "circuitId": ids["circuit"]},
    "removeCharger": lambda ids: {"id": ids["charger"]},
    "grantPermission": lambda ids: {"subject": {"email": "a@example.com"}, "objectId": ids["charger"], "role": "USER"},
    "revokePermission": lambda ids: {"permissionId": ids["grant"]},
}


def _ids(site: UUID, charger: UUID, circuit: UUID, person: UUID, grant: UUID) -> dict[str, str]:
    return {
        "site": installation_id(site),
        "charger": charger_id(charger),
        "circuit": circuit_id(circuit),
        "person": user_id(person),
        "grant": permission_id(grant),
    }


async def _answers(viewer: Access, ids: dict[str, str]) -> list[Any]:
    """All that the API says when it is asked about these ids, without the ids themselves."""
    api = Api()
    answers: list[Any] = [await api.data(viewer, DOORS, ids)]
    if viewer.actor is not None:
        answers += [await api.mutate(viewer, name, given(ids)) for name, given in MUTATIONS.items()]
    assert api.bus.published == []
    return answers


@pytest.mark.parametrize("person", OTHERS)
async def test_a_hidden_site_and_all_in_it_are_absent(person: str) -> None:
    """Every answer about them is that about ids that never were, and every mutation NOT_FOUND."""
    town = await a_town()
    neighbour = await a_person("Neighbour")
    grant = await a_grant(Role.OWNER, town.other_site, user_id=neighbour)
    await a_session(town.other_site, town.other_charger_id, user_id=neighbour, state=SessionState.ACTIVE)
    viewer = await town.access(person)
    hidden = _ids(town.other_site.id, town.other_charger_id, town.other_site.root_id, neighbour, grant)
    absent = _ids(new_id(), new_id(), new_id(), new_id(), new_id())
    found = await _answers(viewer, hidden)
    assert found == await _answers(viewer, absent)
    assert [answer["code"] for answer in found[1:]] == ["NOT_FOUND"] * (
        0 if person == NOT_SIGNED_IN else len(MUTATIONS)
    )


@pytest.mark.parametrize("person", ["USER of charger", "OWNER of charger"])
async def test_the_neighbouring_charger_is_absent(person: str) -> None:
    """A grant on one charger shows the site's name and no other charger, through no list and no count."""
    town = await a_town()
    viewer = await town.access(person)
    nested = """
    query ($id: ID!, $where: ChargerWhere) {
      node(id: $id) { ... on Charger { installation {
        name circuits { id } permissions(first: 10) { nodes { role object { __typename ... on Charger { name } } } }
        chargers(first: 10, where: $where) { totalCount nodes { name installation { name } } }
      } } }
    }
    """
    given = {"id": charger_id(town.charger_id)}
    installation = (await Api().data(viewer, nested, given))["node"]["installation"]
    assert installation["circuits"] == []
    assert installation["chargers"] == {
        "totalCount": 1,
        "nodes": [{"name": "Space 1", "installation": {"name": "Fjordveien garage"}}],
    }
    assert {node["object"]["name"] for node in installation["permissions"]["nodes"]} == {"Space 1"}
    for neighbour in (town.neighbour_id, new_id()):
        where = {"id": {"eq": charger_id(neighbour)}}
        found = (await Api().data(viewer, nested, {**given, "where": where}))["node"]["installation"]["chargers"]
        assert found == {"totalCount": 0, "nodes": []}


async def test_a_charger_is_not_found_by_a_circuit_that_is_hidden() -> None:
    """An owner of one charger sees no circuits, so that the id of its circuit finds it no more than one that never was."""
    town = await a_town()
    document = "query ($w: ChargerWhere) { chargers(first: 10, where: $w) { totalCount nodes { circuit { id } } } }"
    where = {"circuitId": {"eq": circuit_id(town.site.root_id)}}
    found = (await Api().data(await town.access("OWNER of charger"), document, {"w": where}))["chargers"]
    assert found == {"totalCount": 0, "nodes": []}
    found = (await Api().data(await town.access("OWNER of installation"), document, {"w": where}))["chargers"]
    assert found["totalCount"] == 2


STATUS = """
query ($id: ID!) { node(id: $id) { ... on Charger {
  status { mode powerKw currentA { l1 } allocatedA allocatedPhases sessionEnergyKwh }
} } }
"""


@pytest.mark.parametrize(
    ("person", "sees_power", "sees_energy"),
    [
        ("USER of charger", False, False),
        ("USER of installation", False, False),
        ("OWNER of charger", True, True),
        ("OWNER of installation", True, True),
        ("SERVICE", True, False),
        ("ADMINISTRATOR", True, False),
        ("the driver", True, True),
    ],
)
async def test_another_persons_energy_is_hidden_in_the_live_status(
    person: str, sees_power: bool, sees_energy: bool
) -> None:
    """Power and currents are for owners, installers and the driver; energy for owners and the driver."""
    town = await a_town()
    driver = await a_person("the driver")
    await a_grant(Role.USER, town.site, user_id=driver, charger_id=town.charger_id)
    await _charging(town, driver)
    viewer = await (town.access(person) if person in town.people else access(driver))
    status = (await Api().data(viewer, STATUS, {"id": charger_id(town.charger_id)}))["node"]["status"]
    assert status == {
        "mode": "CHARGING",
        "powerKw": 7.2 if sees_power else None,
        "currentA": {"l1": 10.5} if sees_power else None,
        "allocatedA": 16.0 if sees_power else None,
        "allocatedPhases": ["L1", "L2", "L3"] if sees_power else [],
        "sessionEnergyKwh": "3.500" if sees_energy else None,
    }


async def _charging(town: Town, driver: UUID) -> None:
    session = await a_session(town.site, town.charger_id, user_id=driver, state=SessionState.ACTIVE)
    await ChargerStatus.filter(charger_id=town.charger_id).update(
        mode="CHARGING",
        session_id=session,
        session_user_id=driver,
        session_energy_wh=3_500,
        power_w=7_200.0,
        current_l1=10.5,
        current_l2=10.5,
        current_l3=10.5,
        allocated_a=16.0,
        allocated_phases="L1L2L3",
    )


@pytest.mark.parametrize("person", OTHERS)
async def test_a_hidden_person_cannot_be_named(person: str) -> None:
    """A grant to a person one cannot see is that to a person who never was."""
    town = await a_town()
    hidden = await a_person("Hidden")
    if person == NOT_SIGNED_IN:
        return
    viewer = await town.access(person)
    answers = [
        await Api().mutate(
            viewer,
            "grantPermission",
            {"subject": {"userId": user_id(identity)}, "objectId": charger_id(town.charger_id), "role": "USER"},
        )
        for identity in (hidden, new_id())
    ]
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "NOT_FOUND"
