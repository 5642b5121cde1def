"""The sandbox's scenery: two invented bistros, their past, and their daily life."""
