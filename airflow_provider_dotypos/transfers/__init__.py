"""Transfers: whole entities, from Dotypos to somewhere else."""
