"""Operators: one call to Dotypos, as a task."""
