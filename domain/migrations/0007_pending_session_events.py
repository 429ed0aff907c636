from tortoise import fields, migrations
from tortoise.migrations import operations as ops

_PENDING = "delivered_at IS NULL AND failed_at IS NULL"


class Migration(migrations.Migration):
    dependencies = [("domain", "0006_local_lists_without_limits")]

    initial = False

    operations = [
        ops.AddField(
            model_name="SessionEvent",
            name="first_tried_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="ExternalAuthentication",
            name="gone_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        # What waits is little beside what has gone out in a month.
        ops.RunSQL(
            f"CREATE INDEX session_events_due ON session_events (installation_id, due_at, id) WHERE {_PENDING}",
            "DROP INDEX session_events_due",
        ),
        ops.RunSQL(
            f"CREATE INDEX session_events_waiting ON session_events (session_id, id) WHERE {_PENDING}",
            "DROP INDEX session_events_waiting",
        ),
    ]
