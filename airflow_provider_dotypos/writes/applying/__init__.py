"""Applying a plan: each row once, and what became of it."""
