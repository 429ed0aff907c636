"""The shape of the API and its descriptions: one file a noun. `gql.schema.public` puts them together."""

# The domain's enums are made known to Strawberry before any type names them: else it would make its own of them.
from gql.schema import enums as enums
