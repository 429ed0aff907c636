from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0019_histories_of_meters")]

    initial = False

    operations = [
        ops.AddField(model_name="Offer", name="next_slot_at", field=fields.DatetimeField(null=True)),
    ]
