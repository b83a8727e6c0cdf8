"""Channels carry a push to a phone; each vendor is known to one file of this package and to nobody else."""
