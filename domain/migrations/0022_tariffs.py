from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from domain.ids import new_id


class Migration(migrations.Migration):
    dependencies = [('domain', '0021_current_schedules')]

    initial = False

    operations = [
        ops.CreateModel(
            name='PastGroupMember',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('group_id', fields.UUIDField()),
                ('user_id', fields.UUIDField()),
                ('added_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('removed_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'past_group_members', 'app': 'domain', 'indexes': [Index(fields=['group_id', 'user_id'])], 'pk_attr': 'id', 'table_description': 'A person was in a group: what their charging cost then does not change when they leave it.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Tariff',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ('installation', fields.ForeignKeyField('domain.Installation', source_field='installation_id', db_index=True, db_constraint=True, to_field='id', related_name='tariffs', on_delete=OnDelete.RESTRICT)),
                ('name', fields.CharField(max_length=200)),
                ('vat_micro', fields.BigIntField()),
                ('parts', fields.TextField(unique=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'tariffs', 'app': 'domain', 'pk_attr': 'id', 'table_description': 'What charging costs at an installation. `parts` is JSON (domain.pricing.parts), VAT is in millionths of a percent.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='TariffAssignment',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ('tariff', fields.ForeignKeyField('domain.Tariff', source_field='tariff_id', db_index=True, db_constraint=True, to_field='id', related_name='assignments', on_delete=OnDelete.RESTRICT)),
                ('installation_id', fields.UUIDField(db_index=True)),
                ('group', fields.ForeignKeyField('domain.UserGroup', source_field='group_id', null=True, db_index=True, db_constraint=True, to_field='id', related_name='tariffs', on_delete=OnDelete.RESTRICT)),
                ('user_id', fields.UUIDField(null=True, db_index=True)),
                ('valid_from', fields.DateField()),
                ('valid_to', fields.DateField(null=True)),
            ],
            options={'table': 'tariff_assignments', 'app': 'domain', 'pk_attr': 'id', 'table_description': 'For whom a tariff holds on the local dates [valid_from, valid_to): a person, a group, or with neither all of the installation.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='TariffPrice',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('tariff', fields.ForeignKeyField('domain.Tariff', source_field='tariff_id', db_constraint=True, to_field='id', related_name='prices', on_delete=OnDelete.CASCADE)),
                ('start_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('end_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('price_micro', fields.BigIntField()),
            ],
            options={'table': 'tariff_prices', 'app': 'domain', 'unique_together': (('tariff_id', 'start_at'),), 'pk_attr': 'id', 'table_description': 'The price of a kWh from `start_at` until `end_at`, in millionths of the currency, without VAT.'},
            bases=['Model'],
        ),
    ]
