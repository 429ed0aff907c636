"""Tables at the edge: a repeated import has the answer of the first, and a whole table fits into a request."""

from typing import Any

from domain.csv_imports import MOST_BYTES
from domain.models import IdempotencyKey, Permission
from tests.factories import Town
from tests.gql.asking import Api, charger_id, installation_id
from tests.gql.world import World

LINES = "... on ImportSuccess { isApplied lines { line action text } }"


async def test_a_repeated_import_is_answered_with_the_same_lines(town: Town) -> None:
    """Not with what it would do now; another table under the same key is refused."""
    api, owner = Api(), await town.access("OWNER of installation")
    table = f"email,charger,role\na@example.com,{charger_id(town.charger_id)},USER\n"
    given = {"installationId": installation_id(town.site.id), "csv": table, "dryRun": False, "idempotencyKey": "k"}
    first = await api.mutate(owner, "importPermissions", given, LINES)
    assert first["isApplied"] is True
    assert [(line["line"], line["action"]) for line in first["lines"]] == [(2, "ADD")]
    assert "USER on charger Space 1 for a@example.com" in first["lines"][0]["text"]
    assert await api.mutate(owner, "importPermissions", given, LINES) == first
    assert await Permission.filter(email="a@example.com").count() == 1
    other = await api.mutate(owner, "importPermissions", {**given, "csv": table + "b@example.com,,USER"}, LINES)
    assert other["code"] == "KEY_REUSED"
    again = await api.mutate(owner, "importPermissions", {**given, "idempotencyKey": "l"}, LINES)
    assert [line["action"] for line in again["lines"]] == ["KEEP"]


async def test_a_dry_run_is_what_one_gets_without_asking(town: Town) -> None:
    """Under a key it is remembered as such."""
    api, owner = Api(), await town.access("OWNER of installation")
    given = {
        "installationId": installation_id(town.site.id),
        "csv": "email,role\na@example.com,USER",
        "idempotencyKey": "k",
    }
    for _ in range(2):
        tried = await api.mutate(owner, "importPermissions", given, LINES)
        assert (tried["isApplied"], [line["action"] for line in tried["lines"]]) == (False, ["ADD"])
    assert await Permission.filter(email="a@example.com").count() == 0
    assert (await IdempotencyKey.get(request_key="k")).result_json is not None


async def test_a_table_of_a_mebibyte_fits_into_a_request(world: World, town: Town) -> None:
    """With every cell in quotes and Windows' ends of lines; one byte more is refused as a table, not as a request."""
    token = await world.token(town.people["OWNER of installation"])
    line = '"person{:04}@example.com","Space 1","USER","' + "n" * 165 + '"\r\n'
    table = "".join(['"email","charger","role","externalId"\r\n', *(line.format(one) for one in range(4_800))])
    table += " " * (MOST_BYTES - len(table))

    async def ask(csv: str) -> dict[str, Any]:
        query = (
            "mutation ($input: ImportInput!) { importPermissions(input: $input) {"
            " ... on ImportSuccess { isApplied lines { action } } ... on UserError { code path } } }"
        )
        given = {"installationId": installation_id(town.site.id), "csv": csv}
        body = await world.run(query, token, input=given)
        answer: dict[str, Any] = body["data"]["importPermissions"]
        return answer

    answer = await ask(table)
    assert len(answer["lines"]) == 4_800
    assert await ask(table + " ") == {"code": "TOO_LARGE", "path": ["csv"]}
