"""What the provider costs, measured beside the alternatives on one's own machine; see ``README.md``."""
