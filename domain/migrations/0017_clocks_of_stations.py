from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0016_what_chargers_do")]

    initial = False

    operations = [ops.AddField(model_name="Station", name="clock_offset_s", field=fields.FloatField(null=True))]
