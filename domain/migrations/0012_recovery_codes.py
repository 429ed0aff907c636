from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0011_accounts_of_the_first_release")]

    initial = False

    operations = [
        ops.CreateModel(
            name="RecoveryCode",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "domain.User",
                        source_field="user_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="recovery_codes",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("digest", fields.CharField(unique=True, max_length=64)),
            ],
            options={
                "table": "recovery_codes",
                "app": "domain",
                "pk_attr": "id",
                "table_description": "Stands in for a one-time code when the telephone is lost, good once: then its row goes. Only its keyed digest is kept.",
            },
            bases=["Model"],
        ),
    ]
