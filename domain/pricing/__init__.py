"""What a charge costs: the parts of a tariff, prices by the hour, and the lines that a bill is made of. Exact to the minor unit."""
