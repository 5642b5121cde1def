"""Files as the destination of an extraction: the commit protocol, the stores, the formats."""
