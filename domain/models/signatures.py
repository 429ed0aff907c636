"""What meters signed, and whose signatures are believed."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.chargers import Charger
from domain.roles import RecordPlace


class SignedRecord(Model):
    """A record of a session as the meter signed it, at most one for each place in it."""

    id = fields.BigIntField(primary_key=True)
    session_id = fields.UUIDField()
    installation_id = fields.UUIDField()
    place = fields.CharEnumField(RecordPlace, max_length=8)
    at = fields.DatetimeField()
    received_at = fields.DatetimeField()
    format = fields.CharField(max_length=20)
    record = fields.TextField()

    class Meta:
        table = "signed_records"
        unique_together = (("session_id", "place"),)


class MeterKey(Model):
    """A public key that a charger's meter signs with, from `known_since` until `replaced_at` (None: now).

    `is_confirmed`: a person compared it with the meter, so that it counts for older records too.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    charger: fields.ForeignKeyRelation[Charger] = fields.ForeignKeyField(
        "domain.Charger", related_name="meter_keys", on_delete=fields.OnDelete.RESTRICT
    )
    charger_id: UUID
    public_key = fields.CharField(max_length=512)
    is_confirmed = fields.BooleanField(default=False)
    known_since = fields.DatetimeField()
    replaced_at = fields.DatetimeField(null=True)

    class Meta:
        table = "meter_keys"
        indexes = (Index(fields=("charger_id", "known_since")),)
