"""PostgreSQL and Valkey from wheels, started by our own launcher and dying with their owner.

child → lock → home → server → postgres, valkey → servers; secrets stands beside them.
"""
