"""Who may what: rights of people and groups, one by one or from a file."""
