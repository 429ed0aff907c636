"""Groups at the edge: made, filled, given a role, and shown as who holds it."""

from domain.roles import Role
from tests.factories import Town, a_grant, a_group
from tests.gql.asking import Api, charger_id, installation_id, user_id

GROUP = "... on UserGroupSuccess { userGroup { id name installation { name } members(first: 5) { totalCount nodes { name } } } }"


async def test_a_group_is_made_filled_and_given_a_role(town: Town) -> None:
    """Its members see it as who holds what they hold, without each other."""
    api, owner = Api(), await town.access("OWNER of installation")
    made = await api.mutate(
        owner, "createUserGroup", {"installationId": installation_id(town.site.id), "name": "Attic"}, GROUP
    )
    group = made["userGroup"]
    assert (group["name"], group["installation"]["name"]) == ("Attic", "Fjordveien garage")
    for name in ("USER of installation", "SERVICE"):
        given = {"groupId": group["id"], "person": {"userId": user_id(town.people[name])}}
        made = await api.mutate(owner, "addGroupMember", given, GROUP)
    names = [one["name"] for one in made["userGroup"]["members"]["nodes"]]
    assert names == ["SERVICE", "USER of installation"]
    given = {"subject": {"groupId": group["id"]}, "objectId": charger_id(town.charger_id), "role": "USER"}
    subject = "... on PermissionSuccess { permission { subject { __typename ... on UserGroup { name } } } }"
    granted = await api.mutate(owner, "grantPermission", given, subject)
    assert granted["permission"]["subject"] == {"__typename": "UserGroup", "name": "Attic"}
    held = await api.data(
        await town.access("SERVICE"),
        "{ viewer { permissions(first: 5) { totalCount nodes { role grantedBy subject { ... on UserGroup { name members(first: 5) "
        "{ totalCount nodes { name } } } ... on User { name } } } } } }",
    )
    permissions = held["viewer"]["permissions"]
    assert permissions["totalCount"] == 2
    attic = {"name": "Attic", "members": {"totalCount": 0, "nodes": []}}
    assert [(one["role"], one["grantedBy"], one["subject"]) for one in permissions["nodes"]] == [
        ("USER", None, attic),
        ("SERVICE", None, {"name": "SERVICE"}),
    ]


async def test_who_owns_a_charger_sees_which_group_may_charge_there(town: Town) -> None:
    """By its name; the grant is theirs to revoke."""
    group = await a_group(town.site, town.people["stranger"], name="Attic")
    await a_grant(Role.USER, town.site, group_id=group, charger_id=town.charger_id)
    data = await Api().data(
        await town.access("OWNER of charger"),
        "query ($id: ID!) { node(id: $id) { ... on Charger { permissions(first: 9, where: {role: [USER]}) { nodes { subject {"
        " ... on UserGroup { name members(first: 1) { totalCount } } ... on User { name } } } } } } }",
        {"id": charger_id(town.charger_id)},
    )
    subjects = [one["subject"] for one in data["node"]["permissions"]["nodes"]]
    assert subjects == [{"name": "Attic", "members": {"totalCount": 0}}, {"name": "USER of charger"}]
