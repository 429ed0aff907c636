from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0003_sessions_by_successor_and_token")]

    initial = False

    operations = [
        ops.AddField(
            model_name="AuthorizationRequest",
            name="called_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
    ]
