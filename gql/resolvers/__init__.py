"""Arguments become one domain call, and what it returned goes back: one file a noun."""
