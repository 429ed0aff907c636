from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0023_signed_records")]

    initial = False

    operations = [
        ops.AddField(model_name="Alert", name="circuit_id", field=fields.UUIDField(null=True)),
        ops.AddField(model_name="Alert", name="folded_into_id", field=fields.UUIDField(null=True)),
        ops.AddField(model_name="Alert", name="reopenings", field=fields.IntField(null=True)),
        ops.AddField(
            model_name="Alert",
            name="reopened_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(model_name="Alert", name="info", field=fields.CharField(null=True, max_length=300)),
    ]
