"""Files of the tasks: where they lie, how they get there whole, and which failures of a store pass."""
