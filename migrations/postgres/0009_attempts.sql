-- Failures of strangers by the prefix that they came from: JSON of prefix, weight and moment. For registrations there are
-- rows of the kinds `prefix` and `all` with keys of their own.
ALTER TABLE login_attempts ADD COLUMN pairs TEXT COLLATE "C" NOT NULL DEFAULT '[]';
