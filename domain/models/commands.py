"""What people asked chargers to do, and what came of it."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.chargers import Charger
from domain.roles import CommandAction, CommandState


class Command(Model):
    """A command with its deadline, by which it is final.

    Of a START or AUTHORIZE, `id_token` is what the session that follows is known by, and the target, departure and external id
    become the session's. `url` is where firmware is fetched from, or logs are sent to. `requested_by_id` is a person or a program.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation_id = fields.UUIDField(db_index=True)
    charger: fields.ForeignKeyRelation[Charger] = fields.ForeignKeyField(
        "domain.Charger", related_name="commands", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    charger_id: UUID
    session_id = fields.UUIDField(null=True)
    requested_by_id = fields.UUIDField(null=True, db_index=True)
    for_user_id = fields.UUIDField(null=True)
    action = fields.CharEnumField(CommandAction, max_length=16)
    state = fields.CharEnumField(CommandState, max_length=12, default=CommandState.QUEUED)
    id_token = fields.CharField(max_length=36, null=True)
    energy_target_wh = fields.BigIntField(null=True)
    departure_at = fields.DatetimeField(null=True)
    external_session_id = fields.CharField(max_length=200, null=True)
    url = fields.CharField(max_length=512, null=True)
    retrieve_at = fields.DatetimeField(null=True)
    requested_at = fields.DatetimeField()
    deadline = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)
    detail = fields.CharField(max_length=500, null=True)

    class Meta:
        table = "commands"
        indexes = (Index(fields=("state", "deadline")), Index(fields=("id_token",)))
