"""What charging costs: tariffs, for whom and when they hold, and prices that change by the hour."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.groups import UserGroup
from domain.models.installations import Installation


class Tariff(Model):
    """What charging costs at an installation. `parts` is JSON (domain.pricing.parts), VAT is in millionths of a percent."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="tariffs", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    installation_id: UUID
    name = fields.CharField(max_length=200)
    vat_micro = fields.BigIntField()
    parts = fields.TextField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "tariffs"


class TariffAssignment(Model):
    """For whom a tariff holds on the local dates [valid_from, valid_to): a person, a group, or with neither all of the installation."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    tariff: fields.ForeignKeyRelation[Tariff] = fields.ForeignKeyField(
        "domain.Tariff", related_name="assignments", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    tariff_id: UUID
    installation_id = fields.UUIDField(db_index=True)
    group: fields.ForeignKeyNullableRelation[UserGroup] = fields.ForeignKeyField(
        "domain.UserGroup", related_name="tariffs", null=True, on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    group_id: UUID | None
    user_id = fields.UUIDField(null=True, db_index=True)
    valid_from = fields.DateField()
    valid_to = fields.DateField(null=True)

    class Meta:
        table = "tariff_assignments"


class TariffPrice(Model):
    """The price of a kWh from `start_at` until `end_at`, in millionths of the currency, without VAT."""

    id = fields.BigIntField(primary_key=True)
    tariff: fields.ForeignKeyRelation[Tariff] = fields.ForeignKeyField(
        "domain.Tariff", related_name="prices", on_delete=fields.OnDelete.CASCADE
    )
    tariff_id: UUID
    start_at = fields.DatetimeField()
    end_at = fields.DatetimeField()
    price_micro = fields.BigIntField()

    class Meta:
        table = "tariff_prices"
        unique_together = (("tariff_id", "start_at"),)


class PastGroupMember(Model):
    """A person was in a group: what their charging cost then does not change when they leave it."""

    id = fields.BigIntField(primary_key=True)
    group_id = fields.UUIDField()
    user_id = fields.UUIDField()
    added_at = fields.DatetimeField()
    removed_at = fields.DatetimeField()

    class Meta:
        table = "past_group_members"
        indexes = (Index(fields=("group_id", "user_id")),)
