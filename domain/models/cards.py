"""Charge cards: the OCPP idTags of people."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id
from domain.models.people import User


class ChargeCard(Model):
    """A card. `number` is normalised (upper case, no separators) and unique in the portal."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="cards", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    user_id: UUID
    number = fields.CharField(max_length=36, unique=True)
    name = fields.CharField(max_length=100)
    is_blocked = fields.BooleanField(default=False)
    created_at = fields.DatetimeField()
    external_id = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "charge_cards"
