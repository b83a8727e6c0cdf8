"""Migrations and named queries: the only SQL there is."""
