-- A dead letter that is replayed: its end becomes one more attempt that was tried again. Nothing else of an outcome changes.
GRANT UPDATE (state, reason) ON outcome TO candlemaker_engine;
