"""Programs at the edge: a secret is shown once, good until it is revoked, and then its sockets close."""

from typing import Any

import pytest

from domain.roles import Scope
from gql.ids import global_id
from gql.protocol import CloseCode
from tests.factories import Town, a_program
from tests.gql.asking import Api, charger_id, installation_id, user_id
from tests.gql.world import World

pytestmark = pytest.mark.usefixtures("database")


async def _a_token(api: Api, town: Town, **given: Any) -> dict[str, Any]:
    owner = await town.access("OWNER of installation")
    account = {"name": "Parking", "installationIds": [installation_id(town.site.id)], "scopes": ["READ_STATUS"]}
    selection = "... on ServiceAccountSuccess { serviceAccount { id } }"
    made = await api.mutate(owner, "createServiceAccount", account, selection)
    token = {"serviceAccountId": made["serviceAccount"]["id"], "name": "Production", **given}
    selection = "... on ApiTokenSuccess { secret apiToken { id name prefix scopes lastUsedAt revokedAt } }"
    return await api.mutate(owner, "createApiToken", token, selection)


async def test_a_secret_is_shown_once(town: Town) -> None:
    """The repeated call finds the same token, without it."""
    api = Api()
    owner = await town.access("OWNER of installation")
    program = await a_program(town.site)
    given = {"serviceAccountId": global_id("ServiceAccount", program.id), "name": "P", "idempotencyKey": "k"}
    selection = "... on ApiTokenSuccess { secret apiToken { id } }"
    first = await api.mutate(owner, "createApiToken", given, selection)
    again = await api.mutate(owner, "createApiToken", given, selection)
    assert first["secret"].startswith("lade_")
    assert (again["secret"], again["apiToken"]) == (None, first["apiToken"])


async def test_a_program_asks_by_its_token(world: World, town: Town) -> None:
    """It is the viewer, sees what its scopes show, and its token says when it was used."""
    made = await _a_token(Api(), town)
    answer = await world.run(
        "{ viewer { user { name } serviceAccount { name scopes installations { name } apiTokens { name lastUsedAt } }"
        " permissions(first: 5) { totalCount } chargeCards { id } } chargers(first: 5) { nodes { name } } }",
        made["secret"],
    )
    assert "errors" not in answer, answer
    viewer = answer["data"]["viewer"]
    assert viewer["user"] is None
    used = viewer["serviceAccount"].pop("apiTokens")
    assert [(one["name"], one["lastUsedAt"] is not None) for one in used] == [("Production", True)]
    assert viewer["serviceAccount"] == {
        "name": "Parking",
        "scopes": ["READ_STATUS"],
        "installations": [{"name": "Fjordveien garage"}],
    }
    assert (viewer["permissions"], viewer["chargeCards"]) == ({"totalCount": 0}, [])
    assert [row["name"] for row in answer["data"]["chargers"]["nodes"]] == ["Space 1", "Space 2"]


async def test_a_revoked_token_closes_its_sockets_and_no_others(world: World, town: Town) -> None:
    """4403 at once; requests with it are answered with 401."""
    made = await _a_token(Api(), town)
    other = await a_program(town.site, scopes=[Scope.READ_STATUS])
    query = "subscription ($charger: ID!) { chargerStatus(target: {chargerId: $charger}) { kind } }"
    async with world.signed_in(made["secret"]) as client, world.signed_in(other.secret) as stays:
        for one in (client, stays):
            one.subscribe(query, charger=charger_id(town.charger_id))
            assert (await one.hear())["payload"]["data"]["chargerStatus"]["kind"] == "SNAPSHOT"
            assert (await one.hear())["payload"]["data"]["chargerStatus"]["kind"] == "READY"
        owner = await world.token(town.people["OWNER of installation"])
        body = await world.run(
            "mutation ($id: ID!) { revokeApiToken(input: {apiTokenId: $id}) {"
            " ... on ApiTokenSuccess { secret apiToken { revokedAt } } } }",
            owner,
            id=made["apiToken"]["id"],
        )
        assert body["data"]["revokeApiToken"]["apiToken"]["revokedAt"] is not None
        assert body["data"]["revokeApiToken"]["secret"] is None
        assert await client.close_code() == CloseCode.FORBIDDEN
        assert stays.waiting == 0
        assert stays.closed is None
    response = await world.http(token=made["secret"], json={"query": "{ viewer { __typename } }"})
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("person", ["OWNER of installation", "SERVICE", "USER of installation", "stranger"])
async def test_programs_are_listed_for_who_rules_the_site(town: Town, person: str) -> None:
    """For everyone else the list is empty and the account absent."""
    program = await a_program(town.site, town.other_site)
    data = await Api().data(
        await town.access(person),
        "query ($site: ID!, $account: ID!, $token: ID!) {"
        " site: node(id: $site) { ... on Installation { serviceAccounts { name installations { name } } } }"
        " account: node(id: $account) { ... on ServiceAccount { name } } token: node(id: $token) { ... on ApiToken { prefix } } }",
        {
            "site": installation_id(town.site.id),
            "account": global_id("ServiceAccount", program.id),
            "token": global_id("ApiToken", program.token_id),
        },
    )
    if person == "OWNER of installation":
        listed = [{"name": "Access system", "installations": [{"name": "Fjordveien garage"}]}]
        assert data["site"] == {"serviceAccounts": listed}
        assert data["account"] == {"name": "Access system"}
        assert data["token"]["prefix"] in program.secret
        return
    assert data["site"] == (None if person == "stranger" else {"serviceAccounts": []})
    assert (data["account"], data["token"]) == (None, None)


async def test_a_person_is_shown_by_the_id_of_the_program_that_asks(town: Town) -> None:
    """For people it is null."""
    driver = town.people["USER of charger"]
    program = await a_program(town.site, scopes=[Scope.MANAGE_PERMISSIONS])
    await program.knows(driver, "tenant 7")
    query, given = (
        "query ($id: ID!) { node(id: $id) { ... on User { name externalId } } }",
        {"id": user_id(driver)},
    )
    seen = await Api().data(await program.access(), query, given)
    assert seen["node"] == {"name": "USER of charger", "externalId": "tenant 7"}
    seen = await Api().data(await town.access("OWNER of installation"), query, given)
    assert seen["node"] == {"name": "USER of charger", "externalId": None}
