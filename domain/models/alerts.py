"""What is wrong, for whom, since when."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.installations import Installation
from domain.roles import AlertKind, AlertState, Severity


class Alert(Model):
    """One open alert per (kind, object): `open_key` is that pair while it is not resolved, None afterwards.

    The object is the charger, else the circuit, else the installation. `folded_into_id`: the alert of the whole installation of which
    this one is a part. `reopenings`: how often it came back within minutes, `reopened_at` when it last did. `info`: what more is known.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="alerts", on_delete=fields.OnDelete.RESTRICT
    )
    installation_id: UUID
    charger_id = fields.UUIDField(null=True, db_index=True)
    circuit_id = fields.UUIDField(null=True)
    folded_into_id = fields.UUIDField(null=True)
    kind = fields.CharEnumField(AlertKind, max_length=32)
    severity = fields.CharEnumField(Severity, max_length=8)
    state = fields.CharEnumField(AlertState, max_length=12, default=AlertState.OPEN)
    open_key = fields.CharField(max_length=100, null=True, unique=True)
    message = fields.CharField(max_length=500)
    vendor_code = fields.CharField(max_length=50, null=True)
    opened_at = fields.DatetimeField()
    acknowledged_at = fields.DatetimeField(null=True)
    acknowledged_by_id = fields.UUIDField(null=True)
    note = fields.CharField(max_length=500, null=True)
    resolved_at = fields.DatetimeField(null=True)
    occurrences = fields.IntField(default=1)
    reopenings = fields.IntField(null=True)
    reopened_at = fields.DatetimeField(null=True)
    info = fields.CharField(max_length=300, null=True)

    class Meta:
        table = "alerts"
        indexes = (Index(fields=("installation_id", "opened_at", "id")),)
