from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0031_settled_offers")]

    initial = False

    operations = [
        ops.AddField(model_name="Export", name="stumbles", field=fields.IntField(null=True)),
    ]
