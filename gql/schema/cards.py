"""Charge cards of people, how they become theirs, and people as programs know them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.identification.card_enrollments import EnrollmentRow, enrollments_by_ids
from domain.identity.external_users import ExternalCard
from domain.identity.people import people_by_ids
from domain.roles import EnrollmentState
from domain.views.card_views import CardRow, cards_by_ids
from domain.views.charger_views import chargers_by_ids
from gql.context import Context
from gql.resolvers import cards as resolvers
from gql.schema.commands import PersonInput
from gql.schema.errors import (
    ChargerOfflineError,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    ValidationError,
)
from gql.schema.fields import related, resolved
from gql.schema.imports import IMPORTED, ImportInput, ImportResult
from gql.schema.mutations import DONE, REMOVED, Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.people import DoneResult, User
from gql.schema.removal import RemoveInput, RemoveResult

if TYPE_CHECKING:
    from gql.schema.chargers import Charger


@strawberry.type(
    description="A charge card (OCPP: idTag). Seen by its holder, by whoever sees a session that it began, by who keeps the cards of an "
    "installation (OWNER, MANAGE_CARDS) where its holder has a permission now, by the program that pushed it, and by ADMINISTRATOR."
)
class ChargeCard(Node):
    """Read from CardRow."""

    name: str
    number: str = strawberry.field(description="Shown with its middle masked.")
    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids, lambda row: row.user_id, description="The holder."
    )
    is_blocked: bool = strawberry.field(
        description="Everywhere, or at the installation through which it is read (by id: at one whose cards the viewer keeps)."
    )
    created_at: datetime
    external_id: str | None = strawberry.field(
        description="Null for all but the holder, who gave it, and ADMINISTRATOR."
    )


@strawberry.type(
    description="Waiting for a card to be shown at a charger. Seen by who asked, the person it is for, and who keeps the cards there."
)
class CardEnrollment(Node):
    """Read from EnrollmentRow."""

    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] | None = related(
        chargers_by_ids,
        lambda row: row.charger_id,
        description="Where the card is to be shown; null when it is hidden.",
    )
    state: EnrollmentState = strawberry.field(description="TAKEN: the card that was shown is registered already.")
    expires_at: datetime
    charge_card: ChargeCard | None = related(cards_by_ids, lambda row: row.card_id, description="Once ENROLLED.")


@strawberry.input(
    description="Null person = the viewer; another: who keeps the cards of an installation where they hold something, and "
    "ADMINISTRATOR. The number as a reader shows it, with or without separators."
)
class RegisterChargeCardInput:
    """A card for somebody."""

    number: str
    name: str | None = strawberry.UNSET
    person: PersonInput | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="externalId is the caller's own name for the card.")
class UpsertChargeCardInput:
    """A card as it is to be."""

    external_id: str
    number: str
    name: str | None = strawberry.UNSET
    person: PersonInput
    is_blocked: bool = False
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="Null person = the viewer, who may charge there; another: who keeps the cards there. windowSeconds: 10 to 300."
)
class StartCardEnrollmentInput:
    """Where a card will be shown, and whose it will be."""

    charger_id: strawberry.ID
    person: PersonInput | None = strawberry.UNSET
    name: str | None = strawberry.UNSET
    window_seconds: int = 60
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="For its holder, who pushed it, and ADMINISTRATOR.")
class RenameChargeCardInput:
    """A new name."""

    charge_card_id: strawberry.ID
    name: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="At one installation (who keeps its cards), or everywhere (its holder, who pushed it, and ADMINISTRATOR)."
)
class BlockChargeCardInput:
    """A card, and where."""

    charge_card_id: strawberry.ID
    installation_id: strawberry.ID | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="A card of a person who is pushed.")
class ExternalCardInput:
    """Becomes an ExternalCard."""

    number: str
    name: str | None = strawberry.UNSET
    is_blocked: bool = False

    def to_domain(self) -> ExternalCard:
        """The same as the domain knows it."""
        return ExternalCard(self.number, self.name or None, self.is_blocked)


@strawberry.input(
    description="externalId is the program's own name for the person. Null cards = they stay; else those that this program pushed are "
    "exactly these."
)
class UpsertExternalUserInput:
    """A person as they are to be."""

    external_id: str
    name: str
    email: str | None = strawberry.UNSET
    cards: list[ExternalCardInput] | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Who is not to be known any more.")
class RemoveExternalUserInput:
    """The program's own name for the person."""

    external_id: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The card as it is now.")
class ChargeCardSuccess:
    """Read anew."""

    charge_card: ChargeCard


@strawberry.type(description="Follow it with cardEnrollmentChanged.")
class CardEnrollmentSuccess:
    """Read anew."""

    enrollment: CardEnrollment


async def _pushed(root: Any, info: Info[Context, Any]) -> Sequence[CardRow]:
    return await resolvers.cards_of_external_user(info.context, root.user.id)


@strawberry.type(description="The person as the program knows them.")
class ExternalUserSuccess:
    """Read anew."""

    user: User
    charge_cards = resolved(_pushed, list[ChargeCard], description="Those that this program pushed.")


ChargeCardResult = Annotated[
    ChargeCardSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ChargeCardResult"),
]
CardEnrollmentResult = Annotated[
    CardEnrollmentSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError | ChargerOfflineError,
    strawberry.union("CardEnrollmentResult"),
]
ExternalUserResult = Annotated[
    ExternalUserSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ExternalUserResult"),
]
_CARD = Thing(ChargeCardSuccess, "charge_card", "ChargeCard")


@strawberry.type
class CardMutations:
    """Cards of people."""

    register_charge_card = mutation(
        resolvers.register_charge_card,
        RegisterChargeCardInput,
        ChargeCardResult,
        _CARD,
        description="Registers a card: a person has at most 100, and a number is that of one card in the whole portal.",
    )
    upsert_charge_card = mutation(
        resolvers.upsert_charge_card,
        UpsertChargeCardInput,
        ChargeCardResult,
        _CARD,
        description="Registers or changes the card with this externalId. For who keeps the cards of an installation where the person "
        "holds something, a program that knows them, and ADMINISTRATOR.",
    )
    start_card_enrollment = mutation(
        resolvers.start_card_enrollment,
        StartCardEnrollmentInput,
        CardEnrollmentResult,
        Thing(CardEnrollmentSuccess, "enrollment", "CardEnrollment"),
        description="The next unknown card that is shown at the charger becomes the person's, if it comes within the time.",
    )
    rename_charge_card = mutation(
        resolvers.rename_charge_card, RenameChargeCardInput, ChargeCardResult, _CARD, description="Gives a card a name."
    )
    block_charge_card = mutation(
        resolvers.block_charge_card,
        BlockChargeCardInput,
        ChargeCardResult,
        _CARD,
        description="The card begins no charge any more, at once; one that goes on is not stopped.",
    )
    unblock_charge_card = mutation(
        resolvers.unblock_charge_card, BlockChargeCardInput, ChargeCardResult, _CARD, description="Takes a block away."
    )
    remove_charge_card = mutation(
        resolvers.remove_charge_card,
        RemoveInput,
        RemoveResult,
        REMOVED,
        description="The card is forgotten and its number free; sessions keep its name. For its holder, who pushed it, and ADMINISTRATOR.",
    )
    import_charge_cards = mutation(
        resolvers.import_charge_cards,
        ImportInput,
        ImportResult,
        IMPORTED,
        description="Cards from a table with the columns email or externalUserId, number, name, blocked, remove. For who keeps the cards "
        "of the installation.",
    )
    upsert_external_user = mutation(
        resolvers.upsert_external_user,
        UpsertExternalUserInput,
        ExternalUserResult,
        Thing(ExternalUserSuccess, "user", "User"),
        description="Keeps a person in step by the program's own id. For service accounts with MANAGE_PERMISSIONS or MANAGE_CARDS; cards "
        "need MANAGE_CARDS.",
    )
    remove_external_user = mutation(
        resolvers.remove_external_user,
        RemoveExternalUserInput,
        DoneResult,
        DONE,
        description="The program knows the person no more: the cards that it pushed are gone, the permissions that it gave are over.",
    )


NODES = (
    NodeKind(ChargeCard, CardRow, cards_by_ids),
    NodeKind(CardEnrollment, EnrollmentRow, enrollments_by_ids),
)
