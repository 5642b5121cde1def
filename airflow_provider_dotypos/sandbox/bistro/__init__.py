"""The sandbox's scenery: an invented bistro, its past, and its daily life."""
