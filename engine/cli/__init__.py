"""The program `candlemaker`: parser → commands; `up` runs the stack, `keys` the API keys."""
