-- For the sign-in of people: whether people give a client their passwords, the origins of its pages (JSON), and whether its
-- refresh tokens are replaced by use (unset: as the kind of client has it).
ALTER TABLE clients ADD COLUMN first_party BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN web_origins TEXT NOT NULL DEFAULT '[]';
ALTER TABLE clients ADD COLUMN rotation BOOLEAN;
