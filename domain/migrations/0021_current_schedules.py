from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0020_next_slots")]

    initial = False

    operations = [
        ops.AddField(model_name="Installation", name="resumed_mode", field=fields.CharField(null=True, max_length=16)),
        ops.AddField(model_name="Installation", name="current_schedule", field=fields.TextField(null=True, unique=False)),
    ]
