from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0030_long_sessions")]

    initial = False

    operations = [
        ops.AddField(model_name="Offer", name="settled_epoch", field=fields.BigIntField(null=True)),
        ops.AddField(model_name="Offer", name="admitted_tier", field=fields.IntField(null=True)),
    ]
