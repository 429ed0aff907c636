"""The shape of the API and its descriptions: one file a noun. `gql.schema.public` puts them together."""
