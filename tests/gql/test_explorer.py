"""GraphiQL at the GraphQL address: what it loads, what may run in it, and the operations that it has ready."""

import re
from hashlib import sha256
from typing import Any

import httpx
import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, parse, validate

from gql.edge import PATH
from gql.explorer import ReadyOperation, assets, ready_operations
from gql.schema.public import public_schema
from tests.factories import Town
from tests.gql.world import PUBLIC_URL, World, charger, installation

PAGE = {"Accept": "text/html,*/*;q=0.8"}
VARIABLES = {"from": "2026-03-01", "to": "2026-04-01", "since": "2026-03-01T00:00:00Z", "email": "a@b.example"}


def name_of(operation: ReadyOperation) -> str:
    (node,) = parse(operation.query).definitions
    assert isinstance(node, OperationDefinitionNode)
    assert node.name is not None
    return node.name.value


async def get(world: World, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url=PUBLIC_URL) as client:
        return await client.get(path, headers=headers)


async def test_the_page_runs_its_own_files_and_nothing_else(world: World) -> None:
    """Every script and style sheet bears the nonce of this one response; there is no address of anybody else."""
    first, second = await world.http("GET", headers=PAGE), await world.http("GET", headers=PAGE)
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["cache-control"] == "no-store"
    assert "://" not in first.text
    nonce = re.search(r"script-src 'nonce-([\w-]{20,})'", first.headers["content-security-policy"])
    assert nonce is not None
    assert first.headers["content-security-policy"] == (
        f"default-src 'none'; script-src 'nonce-{nonce[1]}'; style-src 'nonce-{nonce[1]}'; connect-src 'self';"
        " font-src data:; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert nonce[1] not in second.text
    loaded = re.findall(r'<(?:script src|link rel="stylesheet" href)="([^"]+)" nonce="([^"]+)"', first.text)
    assert {given for _, given in loaded} == {nonce[1]}
    assert sorted(re.sub(r".*/|\?.*", "", address) for address, _ in loaded) == sorted(assets())
    assert first.text.count("<script") == first.text.count(f'nonce="{nonce[1]}"></script>') + 1  # The ready operations.


@pytest.mark.parametrize("name", sorted(assets()))
async def test_a_file_is_kept_for_ever_under_the_address_that_the_page_gives(world: World, name: str) -> None:
    """Its address has its content's digest; under its bare name it is asked for anew each time, at the cost of a 304."""
    page = (await world.http("GET", headers=PAGE)).text
    address = re.search(rf'"(graphql/assets/{re.escape(name)}\?v=[0-9a-f]+)"', page)
    assert address is not None
    kept = await get(world, f"/{address[1]}")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    assert (kept.headers["content-type"], kept.headers["x-content-type-options"]) == (
        f"{kind}; charset=utf-8",
        "nosniff",
    )
    assert kept.headers["etag"] == f'"{sha256(kept.content).hexdigest()[:16]}"'
    bare = await get(world, f"{PATH}/assets/{name}", **{"If-None-Match": kept.headers["etag"]})
    assert (bare.status_code, bare.content, bare.headers["cache-control"]) == (304, b"", "no-cache")


@pytest.mark.parametrize(
    "name", ["README.md", "explorer.html", "explorer.py", "%2e%2e%2fcontext.py", "..%2Fexplorer.js", ""]
)
async def test_no_other_file_is_served(world: World, name: str) -> None:
    """A name is looked up among the files of the page, never on the disk."""
    assert (await get(world, f"{PATH}/assets/{name}")).status_code == 404


def test_what_is_not_ours_is_small_and_asks_for_no_source_map() -> None:
    """A garage's link is slow, and a browser's console stays empty."""
    assert sum(len(one.content) for one in assets().values()) < 3_000_000
    assert [name for name, one in assets().items() if b"sourceMappingURL" in one.content] == []


def test_the_ready_operations_are_these() -> None:
    """One for each thing that people come for, in this order."""
    assert [name_of(one) for one in ready_operations()] == [
        "WhoAmI",
        "SignIn",
        "MyInstallations",
        "SessionsOfThisMonth",
        "UsageByCharger",
        "UsageByPerson",
        "StartCharging",
        "StopCharging",
        "LiveStatus",
        "Decisions",
    ]


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return public_schema().core


@pytest.mark.parametrize("operation", ready_operations(), ids=name_of)
def test_a_ready_operation_is_valid_and_its_variables_are_ones_that_the_page_knows(
    schema: GraphQLSchema, operation: ReadyOperation
) -> None:
    """A change of the schema cannot leave the page behind."""
    assert validate(schema, parse(operation.query)) == []
    assert set(operation.variables) <= {*VARIABLES, "password", "installation", "charger"}


@pytest.mark.parametrize(
    "operation", [one for one in ready_operations() if "subscription" not in one.query], ids=name_of
)
async def test_a_ready_operation_runs_within_the_limits(world: World, town: Town, operation: ReadyOperation) -> None:
    """For an owner, with the variables that the page fills in, it is answered without top-level errors."""
    known: dict[str, Any] = {
        **VARIABLES,
        "password": "a wrong one",
        "installation": installation(town.site.id),
        "charger": charger(town.charger_id),
    }
    token = await world.token(town.people["OWNER of installation"])
    answer = await world.run(operation.query, token, **{name: known[name] for name in operation.variables})
    assert list(answer) == ["data"]
    assert None not in answer["data"].values()


async def test_the_ready_subscription_runs(world: World, town: Town) -> None:
    """It begins with the present state."""
    (operation,) = (one for one in ready_operations() if "subscription" in one.query)
    async with world.signed_in(await world.token(town.people["OWNER of installation"])) as client:
        client.subscribe(operation.query, installation=installation(town.site.id))
        heard = await client.hear()
        assert heard["payload"]["data"]["chargerStatus"]["kind"] == "SNAPSHOT"
