"""What the schema tells people beside its names."""

from graphql import GraphQLInterfaceType, GraphQLNonNull, GraphQLObjectType

from gql.schema.public import public_schema

ROOTS = {"Query", "Mutation", "Subscription"}


def test_every_field_that_may_be_null_says_when() -> None:
    """Its own description, or that of its type where all of its fields are null together."""
    silent = [
        f"{kind.name}.{name}"
        for kind in public_schema().core.type_map.values()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        and kind.name not in ROOTS
        and not kind.name.startswith("__")
        for name, field in kind.fields.items()
        if not isinstance(field.type, GraphQLNonNull) and not field.description
    ]
    assert silent == []
