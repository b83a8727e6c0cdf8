"""One bench a claim. `bars.toml` says what is claimed, each bench measures it on the real parts, `results` keeps the
figures with the machine they come from.
"""
