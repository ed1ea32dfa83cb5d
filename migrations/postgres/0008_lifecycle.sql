-- The journal learns of persons (`sub`) and clients (`client_id`). `shape` says what an entry does: a `mark` lasts until it is
-- lifted, a `cut_off` hits what was authenticated at its `moment` or before, a `lift` takes the mark away and cuts off too.
ALTER TABLE revocations ADD COLUMN shape TEXT COLLATE "C" NOT NULL DEFAULT 'mark';
ALTER TABLE revocations ADD COLUMN moment BIGINT;
CREATE INDEX revocations_by_value ON revocations (kind, value, number);

-- The moment of the latest change of an account or a client that is in the journal. It only grows.
ALTER TABLE revocation_head ADD COLUMN moment BIGINT NOT NULL DEFAULT 0;

-- Who was disabled before this was written down is marked now.
INSERT INTO revocations (number, kind, value, at, until, why, shape)
SELECT head.number + ROW_NUMBER() OVER (ORDER BY users.id), 'sub', users.id, users.updated_at, 9223372036854775807,
       'user_disabled', 'mark'
FROM users CROSS JOIN revocation_head AS head WHERE NOT users.enabled;
UPDATE revocation_head SET number = number + (SELECT COUNT(*) FROM users WHERE NOT enabled);
INSERT INTO revocations (number, kind, value, at, until, why, shape)
SELECT head.number + ROW_NUMBER() OVER (ORDER BY clients.client_id), 'client_id', clients.client_id, clients.updated_at,
       9223372036854775807, 'client_disabled', 'mark'
FROM clients CROSS JOIN revocation_head AS head WHERE NOT clients.enabled;
UPDATE revocation_head SET number = number + (SELECT COUNT(*) FROM clients WHERE NOT enabled);
