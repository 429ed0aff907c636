"""Who comes: people and programs, how they became somebody, how they sign in, and how they are forgotten."""
