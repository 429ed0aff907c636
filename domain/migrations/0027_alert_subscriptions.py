from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from domain.ids import new_id
from domain.roles import AlertDelivery, Language, Severity


class Migration(migrations.Migration):
    dependencies = [('domain', '0026_newest_of_each_charger')]

    initial = False

    operations = [
        ops.CreateModel(
            name='AlertSubscription',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ('user', fields.ForeignKeyField('domain.User', source_field='user_id', db_index=True, db_constraint=True, to_field='id', related_name='alert_subscriptions', on_delete=OnDelete.CASCADE)),
                ('installation', fields.ForeignKeyField('domain.Installation', source_field='installation_id', db_index=True, db_constraint=True, to_field='id', related_name='alert_subscriptions', on_delete=OnDelete.CASCADE)),
                ('charger_ids', fields.TextField(default='', unique=False)),
                ('kinds', fields.TextField(default='', unique=False)),
                ('minimum_severity', fields.CharEnumField(default=Severity.WARNING, description='INFO: INFO\nWARNING: WARNING\nERROR: ERROR\nCRITICAL: CRITICAL', enum_type=Severity, max_length=8)),
                ('delivery', fields.CharEnumField(default=AlertDelivery.IMMEDIATE, description='IMMEDIATE: IMMEDIATE\nHOURLY_DIGEST: HOURLY_DIGEST\nDAILY_DIGEST: DAILY_DIGEST', enum_type=AlertDelivery, max_length=16)),
                ('digest_hour', fields.IntField(default=7)),
                ('quiet_from', fields.CharField(null=True, max_length=5)),
                ('quiet_to', fields.CharField(null=True, max_length=5)),
                ('sends_resolved', fields.BooleanField(default=True)),
                ('email', fields.CharField(null=True, max_length=320)),
                ('language', fields.CharEnumField(default=Language.EN, description='EN: EN\nNB: NB', enum_type=Language, max_length=2)),
                ('default_key', fields.CharField(null=True, unique=True, max_length=80)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('verified_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('ended_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'alert_subscriptions', 'app': 'domain', 'pk_attr': 'id', 'table_description': "A person's wish for mails about alerts at an installation."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='AlertNotice',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ('subscription', fields.ForeignKeyField('domain.AlertSubscription', source_field='subscription_id', db_index=True, db_constraint=True, to_field='id', related_name='notices', on_delete=OnDelete.CASCADE)),
                ('alert_id', fields.UUIDField(db_index=True)),
                ('occasion', fields.CharField(max_length=10)),
                ('key', fields.CharField(null=True, unique=True, max_length=80)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('due_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('mailed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('has_told_end', fields.BooleanField(default=False)),
            ],
            options={'table': 'alert_notices', 'app': 'domain', 'indexes': [Index(fields=['mailed_at', 'due_at'])], 'pk_attr': 'id', 'table_description': 'Something about an alert that a subscription is to be mailed, once: `key` is (subscription, alert, occasion).'},
            bases=['Model'],
        ),
        ops.AddField(
            model_name='Alert',
            name='began_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
    ]
