"""Who sees what, by chance: worlds, questions, an oracle that knows the rules by itself, and leaks that it must find."""
