"""Formats that retailers have already, read as our own values."""
