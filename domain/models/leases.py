"""Who is the only one to do something right now."""

from tortoise import fields
from tortoise.models import Model


class Lease(Model):
    """A named right with an end, `fence` rises with every new holder."""

    name = fields.CharField(max_length=100, primary_key=True)
    holder = fields.CharField(max_length=64)
    fence = fields.BigIntField()
    until = fields.DatetimeField()

    class Meta:
        table = "leases"
