"""How much each charger may draw."""
