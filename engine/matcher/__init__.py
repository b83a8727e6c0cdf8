"""The partition's one owner: reads its log, steps, commits, checkpoints."""
