"""The audit log: everything that people and programs change is in it, and nothing secret."""

import json
from typing import Any

import pytest

from domain import sql
from domain.models import AuditEntry, ChargeCard
from domain.roles import Role
from gql.schema.public import public_schema
from tests.factories import NOW, Town, a_grant, a_person, access
from tests.gql.asking import Api, installation_id, user_id
from tests.gql.matrix import MUTATIONS

pytestmark = pytest.mark.usefixtures("database")

LOG = """
query ($site: ID!, $where: AuditWhere) { node(id: $site) { ... on Installation {
  auditLog(first: 50, where: $where) { nodes { actor action objectId before after } }
} } }
"""
_SECRETS = ("password", "hash", "digest", "secret", "token", "plain:")
"""Words that no field of an entry is called by, and that no value holds."""
_HARMLESS = frozenset({"digest_hour"})
"""The hour of a digest of alerts."""
_DOERS = ("OWNER of installation", "SERVICE", "ADMINISTRATOR", "USER of charger")


def _document(name: str) -> str:
    kind = public_schema().core.mutation_type
    assert kind is not None
    argument = kind.fields[name].args["input"].type
    return f"mutation ($input: {argument}) {{ {name}(input: $input) {{ __typename }} }}"


async def _card_numbers() -> set[str]:
    return {row["number"] for row in await sql.rows("SELECT number FROM charge_cards")}


@pytest.mark.parametrize("name", [name for name, row in MUTATIONS.items() if row.is_audited and row.allowed])
async def test_what_is_written_says_who_did_what_and_nothing_secret(town: Town, name: str) -> None:
    """Whoever may do it leaves one entry with their name, the action and the object; no secret, no whole card number."""
    row = MUTATIONS[name]
    doer = next((one for one in _DOERS if one in row.allowed), None)
    if doer is None:
        return  # programs only, whose entries are made the same way
    given, before = await row.given(town), await AuditEntry.all().count()
    await Api().data(await town.access(doer), _document(name), {"input": given})
    entries = await AuditEntry.all().order_by("-at", "-id")
    assert len(entries) == before + 1
    written = next(entry for entry in entries if entry.actor == doer)
    assert written.at == NOW
    assert written.action
    numbers = await _card_numbers()
    states: list[str | None] = [written.state_before, written.state_after]
    for state in filter(None, states):
        content: dict[str, Any] = json.loads(state)
        keys = {key.lower() for key in content if not key.startswith("is")} - _HARMLESS
        assert not [word for word in _SECRETS for key in keys if word in key]
        assert not [number for number in numbers if number in state]
        assert "plain:" not in state
    assert written.object_id


async def test_owners_read_what_was_done_at_their_site(town: Town) -> None:
    """Newest first, with what was before and after; filtered by action and object."""
    api = Api()
    site = installation_id(town.site.id)
    service = await town.access("SERVICE")
    for breaker in (50.0, 40.0):
        done = await api.mutate(service, "updateInstallation", {"installationId": site, "mainBreakerA": breaker})
        assert done["__typename"] == "InstallationSuccess"
    owner = await town.access("OWNER of installation")
    found = (await api.data(owner, LOG, {"site": site}))["node"]["auditLog"]["nodes"]
    assert [entry["actor"] for entry in found] == ["SERVICE", "SERVICE"]
    assert found[0]["objectId"] == site
    assert json.loads(found[0]["before"]) == {"mainBreakerA": [50.0] * 3}
    assert json.loads(found[0]["after"]) == {"mainBreakerA": [40.0] * 3}
    other = {"where": {"action": {"startsWith": "chargeCard"}}}
    assert (await api.data(owner, LOG, {"site": site, **other}))["node"]["auditLog"]["nodes"] == []
    this = {"where": {"objectId": {"eq": site}}}
    assert len((await api.data(owner, LOG, {"site": site, **this}))["node"]["auditLog"]["nodes"]) == 2


@pytest.mark.parametrize("person", ["USER of installation", "OWNER of charger", "SERVICE"])
async def test_nobody_else_reads_it(town: Town, person: str) -> None:
    """Not even whoever did it."""
    api, site = Api(), installation_id(town.site.id)
    await api.mutate(await town.access("SERVICE"), "updateInstallation", {"installationId": site, "mainBreakerA": 50.0})
    found = (await api.data(await town.access(person), LOG, {"site": site}))["node"]
    assert found["auditLog"]["nodes"] == []


async def test_owners_read_of_cards_at_their_site(town: Town) -> None:
    """What they, the holder and administrators did; what another site's owner did is in the log there only."""
    api, site = Api(), installation_id(town.site.id)
    driver, other_owner = town.people["USER of charger"], await a_person("Other owner")
    await a_grant(Role.OWNER, town.other_site, user_id=other_owner)
    await a_grant(Role.USER, town.other_site, user_id=driver)
    for number, who in ((1, "USER of charger"), (2, "OWNER of installation"), (3, "ADMINISTRATOR")):
        person = {} if who == "USER of charger" else {"person": {"userId": user_id(driver)}}
        given = {"number": f"04AA0{number}", **person}
        await api.mutate(await town.access(who), "registerChargeCard", given)
    given = {"number": "04AA04", "person": {"userId": user_id(driver)}}
    await api.mutate(await access(other_owner), "registerChargeCard", given)
    assert await ChargeCard.all().count() == 4
    owner = await town.access("OWNER of installation")
    here = (await api.data(owner, LOG, {"site": site}))["node"]["auditLog"]["nodes"]
    assert {entry["actor"] for entry in here} == {"USER of charger", "OWNER of installation", "ADMINISTRATOR"}
    there = installation_id(town.other_site.id)
    seen = (await api.data(await access(other_owner), LOG, {"site": there}))["node"]["auditLog"]["nodes"]
    assert {entry["actor"] for entry in seen} == {"USER of charger", "Other owner", "ADMINISTRATOR"}
