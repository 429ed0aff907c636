from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0002_access_and_authorization")]

    initial = False

    operations = [
        ops.AddIndex(model_name="ChargeSession", index=Index(fields=["replaced_by_id"])),
        ops.AddIndex(model_name="ChargeSession", index=Index(fields=["id_token", "state"])),
    ]
