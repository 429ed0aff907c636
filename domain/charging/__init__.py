"""What a batch of chargers' reports becomes: sessions, their energy, live status. Behind the machine doors."""
