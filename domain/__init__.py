"""WHAT is true: rows, rules and use cases. Knows no HTTP, GraphQL, Redis, SMTP or Excel."""
