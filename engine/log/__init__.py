"""The partitioned log on Valkey streams: the only input of the matcher's `step`."""
