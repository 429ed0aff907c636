"""`lade demo`: a garage of 24 chargers on four circuits under one breaker, alive for as long as you watch."""
