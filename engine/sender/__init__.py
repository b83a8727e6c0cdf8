"""The sender leases messages from the outbox, re-checks them, hands them to a channel and settles the
outcome.
"""
