"""Prints the SDL of the public schema, for `gql/schema/schema.graphql`."""

import sys

from gql.schema.public import public_schema


def sdl() -> str:
    """The schema definition, as it is committed."""
    return public_schema().as_str() + "\n"


if __name__ == "__main__":
    sys.stdout.write(sdl())
