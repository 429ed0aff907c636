"""Every root field and mutation for every role: the error, the absent data, the absent effect."""

from typing import Any

import pytest

from domain.models import AuditEntry
from gql.schema.public import public_schema
from tests.factories import a_town
from tests.gql.asking import Api, charger_id, installation_id
from tests.gql.matrix import EVERYONE, MUTATIONS, NOT_SIGNED_IN, QUERIES, MutationRow

pytestmark = pytest.mark.usefixtures("database")


def test_every_mutation_and_root_field_has_a_row() -> None:
    """Who may use it is written down before anyone can."""
    core = public_schema().core
    assert core.mutation_type is not None
    assert core.query_type is not None
    assert set(core.mutation_type.fields) == set(MUTATIONS)
    assert set(core.query_type.fields) == set(QUERIES)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_who_may_do_what(name: str) -> None:
    """Not signed in: UNAUTHENTICATED. Hidden: NOT_FOUND. Seen, but not theirs: NOT_ALLOWED. Refused: nothing has changed."""
    for person in EVERYONE:
        await _try(name, MUTATIONS[name], person)


async def _try(name: str, row: MutationRow, person: str) -> None:
    town, api = await a_town(), Api()
    given, before = await row.given(town), await AuditEntry.all().count()
    answer = await api.ask(await town.access(person), _document(name), {"input": given})
    if person == NOT_SIGNED_IN and row.needs_sign_in:
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"], person
    else:
        assert "errors" not in answer, (person, answer["errors"])
        assert _verdict(answer["data"][name]) == _expected(row, person), person
    is_done = person in row.allowed and row.is_audited
    assert await AuditEntry.all().count() - before == int(is_done), person
    if person not in row.allowed:
        assert api.bus.published == [], person


def _document(name: str) -> str:
    kind = public_schema().core.mutation_type
    assert kind is not None
    argument = kind.fields[name].args["input"].type
    return f"mutation ($input: {argument}) {{ {name}(input: $input) {{ __typename ... on UserError {{ code }} }} }}"


def _verdict(result: dict[str, Any]) -> str:
    return str(result.get("code", "done"))


def _expected(row: MutationRow, person: str) -> str:
    if row.refused_code is not None:
        return row.refused_code
    if person in row.allowed:
        return "done"
    return "NOT_ALLOWED" if person in row.seen else "NOT_FOUND"


@pytest.mark.parametrize("name", QUERIES)
async def test_who_sees_what(name: str) -> None:
    """What a viewer may not see is absent: null, an empty list, a count without it; NOT_FOUND where they asked for it by id."""
    row, town = QUERIES[name], await a_town()
    variables = {
        "id": charger_id(town.charger_id),
        "hidden": charger_id(town.other_charger_id),
        "site": installation_id(town.site.id),
    }
    given = {variable: value for variable, value in variables.items() if f"${variable}" in row.selection}
    declared = f"({', '.join(f'${variable}: ID!' for variable in given)})" if given else ""
    for person in EVERYONE:
        answer = await Api().ask(await town.access(person), f"query {declared} {{ {row.selection} }}", given)
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        assert codes == (["NOT_FOUND"] if person in row.refused else []), person
        assert answer["data"][name] == row.expected(town, person), person
