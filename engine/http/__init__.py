"""The HTTP API: one file a resource, one table of routes."""
