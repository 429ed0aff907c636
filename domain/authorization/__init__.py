"""Who may charge: the decision, what external systems are asked and answer, and what came of each attempt (domain.md §3, §4)."""
