"""What is held to a reader: cards, how they are enrolled, and the lists that chargers keep of them."""
