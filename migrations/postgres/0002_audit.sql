-- The end of the audit log. One row: whoever appends moves it first, which locks it, so that the numbers of `audit_log`
-- have no gaps and follow the order of commit.
CREATE TABLE audit_head (
    one            BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    number         BIGINT NOT NULL,
    hash           BYTEA  NOT NULL
);
INSERT INTO audit_head (one, number, hash)
VALUES (1, 0, '\x0000000000000000000000000000000000000000000000000000000000000000');

-- What was done. `hash` is SHA-256 over the row before and this one, `mac` is its HMAC under a subkey of the master key
-- `master_key_id`. Rows are never changed, but for `mac` and `master_key_id` when the master key is replaced.
CREATE TABLE audit_log (
    number         BIGINT NOT NULL PRIMARY KEY,
    at             BIGINT NOT NULL,
    actor_kind     TEXT COLLATE "C" NOT NULL,
    actor          TEXT COLLATE "C" NOT NULL,
    act            TEXT COLLATE "C" NOT NULL,
    subject        TEXT COLLATE "C" NOT NULL,
    reason         TEXT COLLATE "C" NOT NULL,
    origin         TEXT COLLATE "C" NOT NULL,
    request_id     TEXT COLLATE "C",
    detail         TEXT COLLATE "C" NOT NULL,
    hash           BYTEA  NOT NULL,
    mac            BYTEA  NOT NULL,
    master_key_id  TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, number);
CREATE INDEX audit_log_by_act ON audit_log (act, number);
