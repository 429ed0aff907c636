"""Groups of people: shown, made and filled."""

from collections.abc import Sequence
from uuid import UUID

from domain.identity.people import PersonKey, PersonRow
from domain.membership import groups
from domain.pages import Page, PageRequest
from domain.views.group_views import GroupRow, groups_of_installations, members_page
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def members_of(context: Context, row: GroupRow, request: PageRequest) -> Page[PersonRow]:
    """Who is in the group."""
    return await members_page(context.access, row, request)


async def groups_of(context: Context, row: InstallationRow) -> Sequence[GroupRow]:
    """The groups at a site that exist for the viewer."""
    return await context.load(groups_of_installations, row.id) or ()


async def create_user_group(context: Context, *, installation_id: str, name: str) -> UUID:
    """The group."""
    site = ids.uuid_of(installation_id, "Installation", at="installationId")
    return await groups.create_user_group(context.access, site, name=name)


async def add_group_member(context: Context, *, group_id: str, person: PersonKey) -> UUID:
    """The group, with them in it."""
    group = ids.uuid_of(group_id, "UserGroup", at="groupId")
    return await groups.add_group_member(context.access, group, person, bus=context.ports.bus)


async def remove_group_member(context: Context, *, group_id: str, person: PersonKey) -> UUID:
    """The group, without them."""
    group = ids.uuid_of(group_id, "UserGroup", at="groupId")
    return await groups.remove_group_member(context.access, group, person, bus=context.ports.bus)
