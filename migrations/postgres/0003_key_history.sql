-- The states that a key has left, each with the moment at which it began: `[["pending", 1800000000000], …]`. What
-- happened before this column was there is not known, and stays so.
ALTER TABLE keys ADD COLUMN history TEXT COLLATE "C" NOT NULL DEFAULT '[]';
