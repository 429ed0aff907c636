"""Grants at the edge: what is shown of them to whom."""

from domain.models import Permission
from domain.pages import PageRequest
from domain.roles import Role
from domain.views.permission_views import permissions_page
from tests.factories import Town, a_grant, a_person, a_site, access
from tests.gql.asking import Api, installation_id


async def test_who_installs_sees_the_owner_whom_they_invited(town: Town) -> None:
    """Until the invitation is accepted, and nothing of the permissions of others."""
    api, site, me = Api(), await a_site("New"), town.people["SERVICE"]
    await a_grant(Role.SERVICE, site, user_id=me)
    await a_grant(Role.USER, site, email="other@example.com")
    given = {"subject": {"email": "o@example.com"}, "objectId": installation_id(site.id), "role": "OWNER"}
    selection = "... on PermissionSuccess { permission { id role subject { ... on Invitation { email } } } }"
    made = await api.mutate(await access(me), "grantPermission", given, selection)
    assert made["permission"]["subject"] == {"email": "o@example.com"}
    invited = Permission.filter(email="o@example.com")
    assert [row.role for row in (await permissions_page(await access(me), PageRequest())).rows].count(Role.OWNER) == 1
    await invited.update(user_id=await a_person("Owner"), email=None)
    assert [row.role for row in (await permissions_page(await access(me), PageRequest())).rows].count(Role.OWNER) == 0
