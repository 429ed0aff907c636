"""People as programs of other companies know them: kept in step by ids of those companies' own."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError
from domain.events import PermissionChanged
from domain.identification import cards
from domain.identification.cards import EXTERNAL_ID_LENGTH, NAME_LENGTH, UNNAMED, NewCard
from domain.ids import new_id
from domain.membership.permission_book import is_last_gone, owners_of
from domain.models import ChargeCard, ExternalUser, Permission, User
from domain.ports import EventBus
from domain.roles import Scope

_KEEPERS = frozenset({Scope.MANAGE_PERMISSIONS, Scope.MANAGE_CARDS})
_CARD_KEEPERS = frozenset({Scope.MANAGE_CARDS})


@dataclass(frozen=True, slots=True)
class ExternalCard:
    """A card of a pushed person, as it is to be."""

    number: str
    name: str | None = None
    is_blocked: bool = False


async def upsert_external_user(
    access: Access,
    *,
    external_id: str,
    name: str,
    email: str | None = None,
    cards_wanted: Sequence[ExternalCard] | None = None,
    bus: EventBus,
) -> UUID:
    """The person that the program knows by this id is there, with this name; with `cards_wanted` their cards that this program pushed are
    exactly these. ConflictError (ALREADY_EXISTS) for a card that somebody else registered; then nothing is changed.

    The same whether or not an account has the address: a new person has it if nobody else does, and the program reads what it told us.
    A name is written over only while the person has no password of their own and no other program knows them.
    """
    account_id = _program(access)
    if cards_wanted is not None and not access.installations_with(_CARD_KEEPERS):
        raise NotAllowedError("Cards need the scope MANAGE_CARDS.", path=("cards",))
    problems = Problems()
    known_as = problems.text("externalId", external_id, most=EXTERNAL_ID_LENGTH)
    shown = problems.text("name", name)
    address = None if email is None else problems.email("email", email)
    wanted = _checked_cards(problems, cards_wanted)
    problems.raise_any()

    async def push() -> UUID:
        # A write to the account's row first: the same id pushed twice at once makes one person.
        await sql.execute("UPDATE service_accounts SET name = name WHERE id = $1", account_id)
        user_id = await _stored(access, account_id, known_as, shown, address)
        if wanted is not None:
            await _keep_exactly(access, account_id, user_id, wanted)
        return user_id

    # Once more when somebody else got the address at this moment: then the person is made without it.
    user_id = await sql.settled(push)
    await cards.tell(await cards.places_of([user_id], now=access.now), bus)
    return user_id


async def remove_external_user(access: Access, *, external_id: str, bus: EventBus) -> None:
    """The program knows nobody by this id any more: the cards that it pushed for them are gone, and what it granted them is over.

    The person stays for the history; who has neither password nor anybody else who knows them can no longer charge. ConflictError
    (LAST_OWNER) when an installation would have no owner any more.
    """
    account_id = _program(access)
    link = await ExternalUser.get_or_none(account_id=account_id, external_id=external_id)
    if link is None:
        raise NotFoundError(path=("externalId",))
    places = await cards.places_of([link.user_id], now=access.now)
    async with in_transaction():
        owners = {}
        for place in sorted(places):
            await sql.rows(f"SELECT id FROM installations WHERE id = $1{sql.for_change()}", place)  # noqa: S608
            owners[place] = await owners_of(place, access.now)
        for card in await ChargeCard.filter(user_id=link.user_id, external_account_id=account_id):
            await cards.remove(access, card)
        ended = await Permission.filter(user_id=link.user_id, granted_by_id=account_id, revoked_at=None)
        for row in ended:
            row.revoked_at, row.revoked_by_id = access.now, account_id
            await row.save(update_fields=["revoked_at", "revoked_by_id"])
            await audit.record(
                access,
                "permission.revoke",
                "Permission",
                row.id,
                installation_id=row.installation_id,
                before={"revokedAt": None},
                after={"revokedAt": access.now},
            )
        await link.delete()
        if not await _is_known_otherwise(link.user_id):
            await User.filter(id=link.user_id).update(is_active=False)
        for place, before in owners.items():
            if is_last_gone(before, await owners_of(place, access.now)):
                message = "This person is an installation's last owner: another person must be OWNER there first."
                raise ConflictError(message, code=ErrorCode.LAST_OWNER, path=("externalId",))
        await audit.record(access, "externalUser.remove", "User", link.user_id, before={"externalId": external_id})
    told = {row.installation_id for row in ended}
    await bus.publish(*(PermissionChanged(user_id=link.user_id, installation_id=one) for one in sorted(told)))
    await cards.tell(places, bus)


def _program(access: Access) -> UUID:
    """The service account that asks, with a right to keep people. NotAllowedError for all others."""
    access.signed_in()
    if access.service_account_id is None:
        raise NotAllowedError("External ids are those of service accounts: come with an API token.")
    if not access.installations_with(_KEEPERS):
        raise NotAllowedError("This needs the scope MANAGE_PERMISSIONS or MANAGE_CARDS.")
    return access.service_account_id


def _checked_cards(problems: Problems, given: Sequence[ExternalCard] | None) -> list[ExternalCard] | None:
    if given is None:
        return None
    checked: dict[str, ExternalCard] = {}
    if len(given) > cards.MOST_CARDS:
        problems.add("cards", f"A person has at most {cards.MOST_CARDS} cards.")
    for index, one in enumerate(given[: cards.MOST_CARDS]):
        path = ("cards", str(index))
        number = cards.checked_number(problems, (*path, "number"), one.number)
        name = problems.optional_text((*path, "name"), one.name, most=NAME_LENGTH)
        if number in checked:
            problems.add((*path, "number"), "This card is there twice.")
        checked[number] = ExternalCard(number, name, one.is_blocked)
    return list(checked.values())


async def _stored(access: Access, account_id: UUID, external_id: str, name: str, email: str | None) -> UUID:
    link = await ExternalUser.get_or_none(account_id=account_id, external_id=external_id)
    if link is None:
        return await _made(access, account_id, external_id, name, email)
    person = await User.get(id=link.user_id)
    before = {"name": person.name, "email": link.email}
    if email is not None and email != link.email:
        link.email = email
        await link.save(update_fields=["email"])
    if person.name != name and person.password_hash is None and not await _is_known_otherwise(person.id, account_id):
        person.name = name
        await person.save(update_fields=["name"])
    after = {"name": person.name, "email": link.email}
    if after != before:
        await audit.record(access, "externalUser.change", "User", person.id, before=before, after=after)
    return person.id


async def _made(access: Access, account_id: UUID, external_id: str, name: str, email: str | None) -> UUID:
    is_free = email is not None and not await User.exists(email=email)
    person = User(id=new_id(), name=name, email=email if is_free else None, created_at=access.now)
    await person.save(force_create=True)
    await ExternalUser.create(
        account_id=account_id, external_id=external_id, user_id=person.id, email=email, created_at=access.now
    )
    await audit.record(access, "externalUser.add", "User", person.id, after={"name": name, "externalId": external_id})
    return person.id


async def _is_known_otherwise(user_id: UUID, account_id: UUID | None = None) -> bool:
    """Whether the person has a password of their own, or another program knows them."""
    if await User.exists(id=user_id, password_hash__isnull=False):
        return True
    links = ExternalUser.filter(user_id=user_id)
    return await (links if account_id is None else links.exclude(account_id=account_id)).exists()


async def _keep_exactly(access: Access, account_id: UUID, user_id: UUID, wanted: Sequence[ExternalCard]) -> None:
    """The person's cards that this program pushed are these; those of others stay as they are."""
    pushed = {card.number: card for card in await ChargeCard.filter(user_id=user_id, external_account_id=account_id)}
    numbers = {one.number for one in wanted}
    for number, card in pushed.items():
        if number not in numbers:
            await cards.remove(access, card)
    # In the order of numbers: of two who push the same cards, one waits for the other, and none both ways.
    for index, one in sorted(enumerate(wanted), key=lambda place: place[1].number):
        known = pushed.get(one.number)
        if known is not None:
            await cards.change(access, known, name=one.name or known.name, is_blocked=one.is_blocked)
            continue
        new = NewCard(
            user_id=user_id,
            number=one.number,
            name=one.name or UNNAMED,
            is_blocked=one.is_blocked,
            is_pushed=True,
        )
        try:
            await cards.add(access, new)
        except IntegrityError as error:
            raise cards.taken(("cards", str(index), "number")) from error
