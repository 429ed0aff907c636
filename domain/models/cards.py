"""Charge cards: the OCPP idTags of people, where they are blocked, and scans that are waited for."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.chargers import Charger
from domain.models.installations import Installation
from domain.models.people import User
from domain.roles import EnrollmentState


class ChargeCard(Model):
    """A card. `number` is normalised (upper case, no separators) and unique in the portal.

    `is_blocked` is everywhere. `external_id` is the name that the service account `external_account_id` has for it.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="cards", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    user_id: UUID
    number = fields.CharField(max_length=36, unique=True)
    name = fields.CharField(max_length=100)
    is_blocked = fields.BooleanField(default=False)
    created_at = fields.DatetimeField()
    external_account_id = fields.UUIDField(null=True)
    external_id = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "charge_cards"
        unique_together = (("external_account_id", "external_id"),)


class CardBlock(Model):
    """A card is not taken at one installation."""

    id = fields.BigIntField(primary_key=True)
    card: fields.ForeignKeyRelation[ChargeCard] = fields.ForeignKeyField(
        "domain.ChargeCard", related_name="blocks", on_delete=fields.OnDelete.CASCADE
    )
    card_id: UUID
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="card_blocks", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    installation_id: UUID
    blocked_by_id = fields.UUIDField(null=True)
    blocked_at = fields.DatetimeField()

    class Meta:
        table = "card_blocks"
        unique_together = (("card_id", "installation_id"),)


class CardEnrollment(Model):
    """The next unknown card that is shown at a charger until `expires_at` becomes that person's."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation_id = fields.UUIDField(db_index=True)
    charger: fields.ForeignKeyRelation[Charger] = fields.ForeignKeyField(
        "domain.Charger", related_name="enrollments", on_delete=fields.OnDelete.CASCADE
    )
    charger_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="enrollments", on_delete=fields.OnDelete.CASCADE
    )
    user_id: UUID
    name = fields.CharField(max_length=100)
    requested_by_id = fields.UUIDField()
    state = fields.CharEnumField(EnrollmentState, max_length=10, default=EnrollmentState.WAITING)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    card_id = fields.UUIDField(null=True)

    class Meta:
        table = "card_enrollments"
        indexes = (Index(fields=("charger_id", "state")),)
