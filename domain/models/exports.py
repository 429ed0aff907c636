"""Files that people asked for."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id
from domain.models.people import User
from domain.roles import ExportFormat, ExportState, ReportKind


class Export(Model):
    """A file to be made: `parameters` is the JSON of what was asked, with the rights checked when asked and when made.

    `delivery_id`: it is for a scheduled report, and in nobody's list. `stumbles`: how often making it went wrong unforeseen.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="exports", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    kind = fields.CharEnumField(ReportKind, max_length=16)
    format = fields.CharEnumField(ExportFormat, max_length=8)
    parameters = fields.TextField()
    state = fields.CharEnumField(ExportState, max_length=12, default=ExportState.QUEUED)
    progress = fields.FloatField(default=0.0)
    row_count = fields.IntField(null=True)
    file_name = fields.CharField(max_length=200, null=True)
    size_bytes = fields.BigIntField(null=True)
    created_at = fields.DatetimeField()
    claimed_until = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)
    expires_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=500, null=True)
    delivery_id = fields.UUIDField(null=True)
    stumbles = fields.IntField(null=True)

    class Meta:
        table = "exports"
