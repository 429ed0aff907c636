"""The typed edge: one GraphQL API over HTTP and WebSocket, for people's programs and for other systems."""
