"""A stand-in for FCM HTTP v1 and its token issuer: for tests, the demo and anybody's staging.

It validates like Google, wants a real OAuth grant, misbehaves by script and keeps a ledger of every arrival.
"""
