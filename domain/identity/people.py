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
    found = await found_people(access, [key], with_inactive=with_inactive)
    if key not in found:
        raise NotFoundError(path=path)
    return found[key]


async def found_people(
    access: Access, keys: Sequence[PersonKey], *, with_inactive: bool = False
) -> dict[PersonKey, UUID]:
    """As `found_person`, for many at once; who is hidden or absent is left out."""
    words: dict[str, dict[object, list[PersonKey]]] = {}
    for key in keys:
        for way, word in _ways(access, key):
            words.setdefault(way, {}).setdefault(word, []).append(key)
    found: dict[PersonKey, UUID] = {}
    for way in _WAYS:
        named = words.get(way, {})
        for some in sql.in_chunks(list(named)):
            for row in await _by(access, way, some, with_inactive=with_inactive):
                word = sql.uuid_of(row["word"]) if way == _ID else row["word"]
                for key in named[word]:
                    found.setdefault(key, sql.uuid_of(row["id"]))
    return found


_ID, _ADDRESS, _TOLD, _EXTERNAL = "u.id", "u.email", "x.email", "x.external_id"
_WAYS = (_ID, _ADDRESS, _TOLD, _EXTERNAL)
"""How people are called. Whose own address it is comes before whom a program told it of."""


def _ways(access: Access, key: PersonKey) -> list[tuple[str, object]]:
    """By which of their names to look for the person, and that name."""
    is_program = access.service_account_id is not None
    if key.user_id is not None:
        return [(_ID, key.user_id)]
    if key.email is not None:
        address = normal_email(key.email)
        return [(_ADDRESS, address), (_TOLD, address)] if is_program else [(_ADDRESS, address)]
    return [(_EXTERNAL, key.external_id)] if key.external_id is not None and is_program else []


async def _by(access: Access, way: str, words: Sequence[object], *, with_inactive: bool) -> list[sql.Row]:
    arguments: list[object] = []
    wanted = sql.any_of(way, words, arguments)
    visible = access.user_contacts_condition("u", arguments)
    active = "" if with_inactive else " AND u.is_active"
    known = ""
    if way in (_TOLD, _EXTERNAL):
        arguments.append(access.service_account_id)
        known = f" JOIN external_users x ON x.user_id = u.id AND x.account_id = ${len(arguments)}"
    return await sql.rows(
        f"SELECT u.id, {way} AS word FROM users u{known}"  # noqa: S608  one of our own names
        f" WHERE {wanted} AND u.erased_at IS NULL{active} AND {visible} ORDER BY u.id",
        *arguments,
    )


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
