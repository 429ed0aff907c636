"""People as callers may see and name them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.checks import normal_email
from domain.errors import NotFoundError, Path


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person by one of their names; `external_id` is that by which the program that asks knows them."""

    user_id: UUID | None = None
    email: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as a caller may see them: `email` is None for those who know them from a session only.

    A program reads the address that it told us itself, if it did, whether or not another account has it. `external_id` is the id by
    which the program that asks knows them, None for people.
    """

    id: UUID
    name: str
    email: str | None
    external_id: str | None = None


async def found_person(
    access: Access, key: PersonKey, *, path: Path = ("person",), with_inactive: bool = False
) -> UUID:
    """The person of that name, when their address is for this caller to know: themselves, and those whom they decide about.

    NotFoundError, the same for people who are there and people who are not, so that nobody finds out who has an account.
    """
    arguments: list[object] = []
    visible = access.user_contacts_condition("u", arguments)
    named = _named(access, key, arguments)
    active = "" if with_inactive else " AND u.is_active"
    order = _order(key, arguments)
    statement = f"SELECT u.id FROM users u WHERE {named} AND u.erased_at IS NULL{active} AND {visible} ORDER BY {order}"  # noqa: S608
    row = await sql.row(statement, *arguments)
    if row is None:
        raise NotFoundError(path=path)
    return sql.uuid_of(row["id"])


def _named(access: Access, key: PersonKey, arguments: list[object]) -> str:
    """A condition on `users u`; appends to `arguments`."""
    if key.user_id is not None:
        arguments.append(key.user_id)
        return f"u.id = ${len(arguments)}"
    if key.email is not None:
        arguments.append(normal_email(key.email))
        address = f"${len(arguments)}"
        if access.service_account_id is None:
            return f"u.email = {address}"
        arguments.append(access.service_account_id)
        told = f"SELECT x.user_id FROM external_users x WHERE x.account_id = ${len(arguments)} AND x.email = {address}"  # noqa: S608
        return f"(u.email = {address} OR u.id IN ({told}))"
    if key.external_id is None or access.service_account_id is None:
        return "1 = 0"
    arguments.extend((access.service_account_id, key.external_id))
    last = len(arguments)
    known = f"SELECT x.user_id FROM external_users x WHERE x.account_id = ${last - 1} AND x.external_id = ${last}"  # noqa: S608
    return f"u.id IN ({known})"


def _order(key: PersonKey, arguments: list[object]) -> str:
    """Whose own address it is comes before whom a program told it of."""
    if key.email is None:
        return "u.id"
    arguments.append(normal_email(key.email))
    return f"CASE WHEN u.email = ${len(arguments)} THEN 0 ELSE 1 END, u.id"


async def people_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, PersonRow]:
    """The people among `ids` who exist for this person, by id."""
    arguments: list[object] = []
    wanted = sql.any_of("u.id", list(ids), arguments)
    visible = access.users_condition("u", arguments)
    known = access.user_contacts_condition("u", arguments)
    email, external_id = _told(access, "email", arguments), _told(access, "external_id", arguments)
    statement = (
        f"SELECT u.id, u.name, CASE WHEN {known} THEN COALESCE({email}, u.email) END AS email, {external_id} AS external_id"  # noqa: S608
        f" FROM users u WHERE {wanted} AND {visible}"
    )
    found = [
        PersonRow(sql.uuid_of(row["id"]), row["name"], row["email"], row["external_id"])
        for row in await sql.rows(statement, *arguments)
    ]
    return {person.id: person for person in found}


def _told(access: Access, column: str, arguments: list[object]) -> str:
    """What the program that asks told of `users u`: the first, where it knows one person by several ids."""
    if access.service_account_id is None:
        return "NULL"
    arguments.append(access.service_account_id)
    known = f"SELECT x.{column} FROM external_users x WHERE x.user_id = u.id AND x.account_id = ${len(arguments)}"  # noqa: S608
    return f"({known} ORDER BY x.id LIMIT 1)"
