from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0015_unknown_chargers")]

    initial = False

    operations = [
        ops.AddField(
            model_name="ChargerStatus",
            name="idle_since",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(model_name="Station", name="restarts", field=fields.IntField(null=True)),
        ops.AddField(
            model_name="Station",
            name="restarts_since",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
    ]
