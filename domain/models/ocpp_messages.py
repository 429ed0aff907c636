"""What chargers and the portal said to each other."""

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id


class OcppMessage(Model):
    """One message as people may read it, without card numbers and passwords. `installation_id` is where the station stood."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    station_id = fields.UUIDField()
    installation_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()
    is_from_charger = fields.BooleanField()
    action = fields.CharField(max_length=50)
    payload = fields.TextField()

    class Meta:
        table = "ocpp_messages"
        indexes = (Index(fields=("station_id", "at", "id")),)
