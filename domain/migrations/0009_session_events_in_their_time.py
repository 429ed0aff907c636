from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0008_ocpp_messages")]

    initial = False

    operations = [
        ops.RenameField(model_name="SessionEvent", old_name="first_tried_at", new_name="replayed_at"),
        ops.RunSQL(
            "UPDATE session_events SET replayed_at = NULL WHERE delivered_at IS NULL AND failed_at IS NULL", "SELECT 1"
        ),
        ops.AddField(
            model_name="ExternalAuthentication",
            name="paused_until",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.RemoveIndex(model_name="SessionEvent", fields=["delivered_at", "failed_at", "due_at"]),
        ops.AddIndex(model_name="SessionEvent", index=Index(fields=["created_at"])),
        ops.RunSQL(
            "CREATE INDEX session_events_given_up ON session_events (installation_id, id) WHERE failed_at IS NOT NULL",
            "DROP INDEX session_events_given_up",
        ),
    ]
