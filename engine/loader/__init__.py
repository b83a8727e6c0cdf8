"""The loader: queued uploads are read, checked and stored, each whole or not at all."""
