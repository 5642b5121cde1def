"""Triggers: waiting for changes on the triggerer's loop."""
