"""Sensors: tasks that wait for changes."""
