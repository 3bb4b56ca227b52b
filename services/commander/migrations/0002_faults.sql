-- Faults are in the journal, too. There may be many at once, and each ends at a time of its own.
ALTER TABLE journal ADD COLUMN ends_at TIMESTAMPTZ;
-- ids of the faults that it began, separated by spaces
ALTER TABLE journal ADD COLUMN faults TEXT;
-- A replica that dies again before it is ready has one outage, not many.
DROP INDEX journal_outages;
CREATE UNIQUE INDEX journal_outages ON journal (target) WHERE outcome = 'started' AND action IN ('kill', 'died');
