"""Sessions from other systems: how a file is read, what it names, and how it becomes rows. Machines only."""
