-- A campaign that starts over people already inside answers their visits: the decision's trigger is the start.
ALTER TABLE decision
    DROP CONSTRAINT decision_trigger_check,
    ADD CONSTRAINT decision_trigger_check CHECK (trigger IN ('enter', 'dwell', 'search', 'start'));
