"""What the sender is measured against.

Each peer is a program of its own in an environment of its own (`make peers-send`); it sends so many messages
to the stub and prints one line: {"sent": n, "cpu_s": …, "wall_s": …}.
"""
