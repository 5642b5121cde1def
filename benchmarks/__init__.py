"""Measure what the provider costs, beside the alternatives, on your own machine; see ``README.md``."""
