"""Webhooks: registering them, and receiving what they deliver."""
