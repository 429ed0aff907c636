"""Wishes for mails about alerts: made, changed and ended by whoever they are for."""

from typing import Any
from uuid import UUID

import pytest

from domain.models import AlertSubscription, AuditEntry, OutboxMessage, User
from domain.roles import Role
from gql.ids import global_id
from tests.factories import NOW, Town, a_grant, a_person, a_subscription, a_town, access
from tests.gql.asking import Api, charger_id, installation_id

pytestmark = pytest.mark.usefixtures("database")

FIELDS = (
    "installation { name } chargers { name } kinds minimumSeverity delivery digestHour quietFrom quietTo sendsResolved email isVerified"
    " language"
)
MADE = f"... on AlertSubscriptionSuccess {{ alertSubscription {{ id {FIELDS} }} }}"


def _here(town: Town, **more: Any) -> dict[str, Any]:
    return {"installationId": installation_id(town.site.id), **more}


async def _subscribed(town: Town, person: str, **more: Any) -> dict[str, Any]:
    return await Api().mutate(await town.access(person), "subscribeToAlerts", _here(town, **more), MADE)


async def test_a_wish_is_made_shown_changed_and_ended() -> None:
    """What is left out is as the schema says; an absent field of a change stays, null clears; the log has each without the address."""
    town, api = await a_town(), Api()
    made = (await _subscribed(town, "OWNER of charger", chargerIds=[charger_id(town.charger_id)]))["alertSubscription"]
    identity = made.pop("id")
    assert made == {
        "installation": {"name": "Fjordveien garage"},
        "chargers": [{"name": "Space 1"}],
        "kinds": [],
        "minimumSeverity": "WARNING",
        "delivery": "IMMEDIATE",
        "digestHour": 7,
        "quietFrom": None,
        "quietTo": None,
        "sendsResolved": True,
        "email": (await User.get(id=town.people["OWNER of charger"])).email,
        "isVerified": True,
        "language": "EN",
    }
    me = await town.access("OWNER of charger")
    change = {
        "alertSubscriptionId": identity,
        "chargerIds": None,
        "kinds": ["CABLE_FAULT", "VOLTAGE", "CABLE_FAULT"],
        "quietFrom": "22:00",
        "quietTo": "06:30",
        "delivery": "DAILY_DIGEST",
        "language": "NB",
    }
    changed = (await api.mutate(me, "updateAlertSubscription", change, MADE))["alertSubscription"]
    expected = {
        **made,
        "id": identity,
        "chargers": [],
        "kinds": ["CABLE_FAULT", "VOLTAGE"],
        "quietFrom": "22:00",
        "quietTo": "06:30",
        "delivery": "DAILY_DIGEST",
        "language": "NB",
    }
    assert changed == expected
    listed = await api.data(me, f"{{ viewer {{ alertSubscriptions {{ id {FIELDS} }} }} }}")
    assert listed["viewer"]["alertSubscriptions"] == [expected]
    await api.mutate(me, "unsubscribeFromAlerts", {"id": identity})
    assert (await api.data(me, "{ viewer { alertSubscriptions { id } } }"))["viewer"]["alertSubscriptions"] == []
    entries = await AuditEntry.filter(object_type="AlertSubscription").order_by("at", "id")
    assert [one.action for one in entries] == [
        "alertSubscription.create",
        "alertSubscription.update",
        "alertSubscription.remove",
    ]
    assert not any("@" in f"{one.state_before}{one.state_after}" for one in entries)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"digestHour": 24}, "digestHour"),
        ({"digestHour": -1}, "digestHour"),
        ({"quietFrom": "22:00"}, "quietTo"),
        ({"quietTo": "22:00"}, "quietFrom"),
        ({"quietFrom": "22:00", "quietTo": "22:00"}, "quietTo"),
        ({"email": "a@example.org\r\nBcc: b@example.org"}, "email"),
        ({"email": "nobody"}, "email"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(given: dict[str, Any], path: str) -> None:
    """Nothing is kept of it."""
    town = await a_town()
    refused = await _subscribed(town, "SERVICE", **given)
    assert (refused["code"], refused["path"]) == ("INVALID", [path])
    assert await AlertSubscription.all().count() == 0


async def test_one_charger_that_is_hidden_refuses_the_whole() -> None:
    """One at another place is hidden, too; one that is seen and not owned is not theirs to be told of."""
    town = await a_town()
    for hidden in (town.other_charger_id, town.neighbour_id):
        both = [charger_id(town.charger_id), charger_id(hidden)]
        assert (await _subscribed(town, "OWNER of charger", chargerIds=both))["code"] == "NOT_FOUND"
    assert (await _subscribed(town, "OWNER of installation", chargerIds=[charger_id(town.other_charger_id)]))[
        "code"
    ] == "NOT_FOUND"


async def test_ones_own_address_need_not_be_asked_and_anothers_is() -> None:
    """Written in whatever case; the confirmation waits in the outbox."""
    town = await a_town()
    own = (await User.get(id=town.people["SERVICE"])).email
    assert own is not None
    same = (await _subscribed(town, "SERVICE", email=f" {own.upper()} "))["alertSubscription"]
    assert (same["email"], same["isVerified"]) == (own, True)
    other = (await _subscribed(town, "SERVICE", email="janitor@example.com"))["alertSubscription"]
    assert (other["email"], other["isVerified"]) == ("janitor@example.com", False)
    assert await OutboxMessage.filter(kind="alert-confirmation").count() == 1


async def test_nobody_makes_the_portal_write_to_many() -> None:
    """Five addresses a day that have not answered are enough, also where the wish is given up, and twenty subscriptions at a place."""
    town = await a_town()
    for number in range(5):
        await _subscribed(town, "SERVICE", email=f"x{number}@example.com")
    refused = await _subscribed(town, "SERVICE", email="x5@example.com")
    assert (refused["code"], refused["path"]) == ("LIMIT_EXCEEDED", ["email"])
    await AlertSubscription.all().update(ended_at=NOW)
    assert (await _subscribed(town, "SERVICE", email="x6@example.com"))["code"] == "LIMIT_EXCEEDED"
    for _ in range(20):
        await _subscribed(town, "SERVICE")
    assert (await _subscribed(town, "SERVICE"))["code"] == "LIMIT_EXCEEDED"


async def test_whoever_has_no_address_names_one() -> None:
    """People of an external system may have none."""
    town = await a_town()
    person: UUID = await a_person("Without")
    await User.filter(id=person).update(email=None)
    await a_grant(Role.OWNER, town.site, user_id=person)
    refused = await Api().mutate(await access(person), "subscribeToAlerts", _here(town))
    assert (refused["code"], refused["path"]) == ("INVALID", ["email"])


async def test_a_wish_is_for_its_person_only() -> None:
    """An administrator sees nobody's, and neither does the other owner."""
    town, api = await a_town(), Api()
    theirs = await a_subscription(town.site.id, town.people["OWNER of installation"])
    document = "query ($id: ID!) { node(id: $id) { id } }"
    given = {"id": global_id("AlertSubscription", theirs)}
    assert (await api.data(await town.access("ADMINISTRATOR"), document, given))["node"] is None
    assert (await api.data(await town.access("OWNER of installation"), document, given))["node"] is not None
