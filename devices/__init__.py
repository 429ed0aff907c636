"""Chargers: how they connect, what they say, and how they are told."""
