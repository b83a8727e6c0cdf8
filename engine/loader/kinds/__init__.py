"""What an upload may hold, a file a kind: its columns, the checks of a row, the statements that store."""
