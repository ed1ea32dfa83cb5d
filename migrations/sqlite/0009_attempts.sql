-- Failures of strangers by the prefix that they came from: JSON of prefix, weight and moment. Registrations have
-- rows of the kinds `registering` (by prefix) and `registered` (in all).
ALTER TABLE login_attempts ADD COLUMN pairs TEXT NOT NULL DEFAULT '[]';
