"""What stands at a site: installations, circuits, chargers with what their kind can do, and meters with what they sign."""
