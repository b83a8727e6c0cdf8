-- A campaign may also answer who leaves, and who is on the way.
ALTER TABLE decision
    DROP CONSTRAINT decision_trigger_check,
    ADD CONSTRAINT decision_trigger_check CHECK (trigger IN ('enter', 'dwell', 'exit', 'approach', 'search', 'start'));
