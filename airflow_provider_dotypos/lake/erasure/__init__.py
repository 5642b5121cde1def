"""Erasing a person from sets and tables."""
