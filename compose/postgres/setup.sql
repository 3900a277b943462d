-- Rendered by `dapr-harness render compose`.
CREATE TABLE IF NOT EXISTS "dapr_metadata" (key text NOT NULL PRIMARY KEY, value text NOT NULL);
