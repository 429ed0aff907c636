from tortoise import fields, migrations
from tortoise.migrations import operations as ops

# What a station holds that has been here before came from here.
_OURS = "UPDATE stations SET profiles_ours_since = created_at WHERE epoch > 0"


class Migration(migrations.Migration):
    dependencies = [("domain", "0013_room_for_new_versions")]

    initial = False

    operations = [
        ops.AddField(
            model_name="Station",
            name="profiles_ours_since",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(model_name="Station", name="configured_as", field=fields.CharField(null=True, max_length=64)),
        ops.RunSQL(_OURS, ops.RunSQL.noop),
    ]
