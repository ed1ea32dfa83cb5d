-- What the tokens of a resource tell of the people whom they speak for: names separated by single spaces, in the order in
-- which the code lists them.
ALTER TABLE resources ADD COLUMN claims TEXT NOT NULL DEFAULT '';
