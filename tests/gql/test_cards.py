"""Charge cards: registered, shown masked, and seen by whoever may know of them."""

from typing import Any
from uuid import UUID

import pytest

from domain.ids import new_id
from domain.models import AuditEntry, ChargeCard
from domain.roles import Role
from gql.ids import global_id
from tests.factories import Town, a_card, a_grant, a_person, a_session, a_town, access
from tests.gql.asking import Api, installation_id, user_id

pytestmark = pytest.mark.usefixtures("database")

NODE = (
    "query ($id: ID!) { node(id: $id) { ... on ChargeCard { name number isBlocked externalId user { name email } } } }"
)
CARD = "... on ChargeCardSuccess { chargeCard { name number isBlocked externalId user { id } } }"


def card_id(identity: UUID) -> str:
    return global_id("ChargeCard", identity)


async def _seen(town: Town, person: str, card: UUID) -> Any:
    return (await Api().data(await town.access(person), NODE, {"id": card_id(card)}))["node"]


async def test_a_registered_card_is_ones_own_and_masked() -> None:
    """Separators and case do not count; the whole number is in no answer and not in the audit log."""
    town = await a_town()
    api, me = Api(), await town.access("USER of charger")
    made = await api.mutate(me, "registerChargeCard", {"number": "04:a1-b2 c3", "name": " Blue tag "}, CARD)
    assert made["chargeCard"] == {
        "name": "Blue tag",
        "number": "04…C3",
        "isBlocked": False,
        "externalId": None,
        "user": {"id": user_id(town.people["USER of charger"])},
    }
    assert await api.data(me, "{ viewer { chargeCards { name number } } }") == {
        "viewer": {"chargeCards": [{"name": "Blue tag", "number": "04…C3"}]}
    }
    entry = await AuditEntry.get(action="chargeCard.register")
    assert "A1B2" not in (entry.state_after or "")


async def test_a_number_is_of_one_card() -> None:
    """Another card with the same number is refused, whoever comes with it, and nothing tells whose it is."""
    town = await a_town()
    await a_card(town.people["OWNER of charger"], number="04A1B2C3")
    again = await Api().mutate(await town.access("stranger"), "registerChargeCard", {"number": "04 a1 b2 c3"})
    assert (again["code"], again["path"]) == ("ALREADY_EXISTS", ["number"])


@pytest.mark.parametrize("number", ["", "123", "0" * 21, "not a number!", "ßßßßßß"])
async def test_a_number_that_no_reader_sends_is_refused(number: str) -> None:
    """Four to twenty letters and digits."""
    town = await a_town()
    refused = await Api().mutate(await town.access("stranger"), "registerChargeCard", {"number": number})
    assert (refused["code"], refused["path"]) == ("INVALID", ["number"])


async def test_a_long_name_is_refused() -> None:
    """A hundred characters are kept."""
    town = await a_town()
    given = {"number": "04A1B2C3", "name": "x" * 101}
    refused = await Api().mutate(await town.access("stranger"), "registerChargeCard", given)
    assert (refused["code"], refused["path"]) == ("INVALID", ["name"])


async def test_a_person_has_a_hundred_cards() -> None:
    """The list of them is shown whole, so it has an end."""
    town = await a_town()
    for number in range(100):
        await a_card(town.people["stranger"], number=f"CARD{number}")
    refused = await Api().mutate(await town.access("stranger"), "registerChargeCard", {"number": "ONEMORE"})
    assert refused["code"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("key", ["userId", "email"])
async def test_only_administrators_register_for_others(key: str) -> None:
    """For everybody else a person that exists and one that does not look the same."""
    town = await a_town()
    other = await a_person("Other", email="other@example.com")
    real = {"userId": user_id(other), "email": "Other@Example.com"}[key]
    absent = {"userId": user_id(new_id()), "email": "absent@example.com"}[key]
    for person in ("OWNER of installation", "stranger"):
        answers = [
            await Api().mutate(
                await town.access(person), "registerChargeCard", {"number": "04A1B2C3", "person": {key: one}}
            )
            for one in (real, absent)
        ]
        assert answers[0] == answers[1]
        assert answers[0]["code"] == "NOT_FOUND"
    administrator = await town.access("ADMINISTRATOR")
    made = await Api().mutate(administrator, "registerChargeCard", {"number": "04A1B2C3", "person": {key: real}}, CARD)
    assert made["chargeCard"]["user"] == {"id": user_id(other)}


async def test_who_sees_a_card() -> None:
    """Its holder, owners where the holder holds something, administrators; and whoever sees a session of it."""
    town = await a_town()
    driver = await a_person("Driver", email="driver@example.com")
    await a_grant(Role.USER, town.site, user_id=driver, charger_id=town.charger_id)
    card = await a_card(driver)
    await ChargeCard.filter(id=card).update(external_id="partner-7")
    theirs = {"name": "Blue tag", "number": "04…C3", "isBlocked": False}
    seen = {person: await _seen(town, person, card) for person in town.people}
    for_owner = {**theirs, "externalId": None, "user": {"name": "Driver", "email": "driver@example.com"}}
    assert seen == {
        "USER of charger": None,
        "USER of installation": None,
        "OWNER of charger": None,
        "OWNER of installation": for_owner,
        "SERVICE": None,
        "ADMINISTRATOR": {**for_owner, "externalId": "partner-7"},
        "stranger": None,
    }
    await a_session(town.site, town.charger_id, user_id=driver, card_id=card)
    assert await _seen(town, "OWNER of charger", card) == for_owner
    assert await _seen(town, "USER of charger", card) is None
    assert await _seen(town, "SERVICE", card) is None
    own = (await Api().data(await access(driver), NODE, {"id": card_id(card)}))["node"]
    assert own == {**for_owner, "externalId": "partner-7"}


async def test_a_guests_card_is_seen_by_its_sessions_only() -> None:
    """Once the guest's permission has ended, a card that never charged here is no longer the owner's to see."""
    town = await a_town()
    guest = await a_person("Guest")
    used, unused = await a_card(guest, number="USED1"), await a_card(guest, number="UNUSED1")
    await a_session(town.site, town.charger_id, user_id=guest, card_id=used)
    await a_session(town.other_site, town.other_charger_id, user_id=guest, card_id=unused)
    assert (await _seen(town, "OWNER of installation", used))["user"] == {"name": "Guest", "email": None}
    assert await _seen(town, "OWNER of installation", unused) is None


async def test_a_session_and_a_summary_lead_to_the_card() -> None:
    """The link is there for whoever sees the session; filters by card find its sessions, and a hidden card is NOT_FOUND."""
    town = await a_town()
    driver, elsewhere = await a_person("Driver"), await a_person("Elsewhere")
    card, hidden = await a_card(driver), await a_card(elsewhere, number="HIDDEN1")
    await a_session(town.site, town.charger_id, user_id=driver, card_id=card)
    await a_session(town.other_site, town.other_charger_id, user_id=elsewhere, card_id=hidden)
    owner = await town.access("OWNER of installation")
    listed = """query ($card: ID!) { sessions(first: 10, where: { chargeCardId: { eq: $card } }) {
        totalCount nodes { chargeCard { number } } } }"""
    for one, cards in ((card, [{"chargeCard": {"number": "04…C3"}}]), (hidden, []), (new_id(), [])):
        found = (await Api().data(owner, listed, {"card": card_id(one)}))["sessions"]
        assert found == {"totalCount": len(cards), "nodes": cards}
    summed = """query ($site: ID!, $card: ID!) { usageSummary(input: { installationIds: [$site], groupBy: [CHARGE_CARD],
        where: { chargeCardIds: [$card] }, period: { from: "2026-03-01", to: "2026-04-01" } }) {
        rows(first: 10) { nodes { chargeCard { number } usage { sessionCount } } } } }"""
    variables = {"site": installation_id(town.site.id), "card": card_id(card)}
    rows = (await Api().data(owner, summed, variables))["usageSummary"]["rows"]["nodes"]
    assert rows == [{"chargeCard": {"number": "04…C3"}, "usage": {"sessionCount": 1}}]
    answers = [await Api().ask(owner, summed, {**variables, "card": card_id(one)}) for one in (hidden, new_id())]
    assert answers[0] == answers[1]
    assert answers[0]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
