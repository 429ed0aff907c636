from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0009_session_events_in_their_time")]

    initial = False

    operations = [
        ops.AddField(model_name="Command", name="url", field=fields.CharField(null=True, max_length=512)),
        ops.AddField(
            model_name="Command",
            name="retrieve_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
    ]
