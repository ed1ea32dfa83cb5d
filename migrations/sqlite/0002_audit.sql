-- The end of the audit log. One row: whoever appends moves it first, which locks it, so that the numbers of `audit_log`
-- have no gaps and follow the order of commit.
CREATE TABLE audit_head (
    one            BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    number         BIGINT NOT NULL,
    hash           BLOB   NOT NULL
);
INSERT INTO audit_head (one, number, hash)
VALUES (1, 0, X'0000000000000000000000000000000000000000000000000000000000000000');

-- What was done. `hash` is SHA-256 over the row before and this one, `mac` is its HMAC under a subkey of the master key
-- `master_key_id`. Rows are never changed, but for `mac` and `master_key_id` when the master key is replaced.
CREATE TABLE audit_log (
    number         BIGINT NOT NULL PRIMARY KEY,
    at             BIGINT NOT NULL,
    actor_kind     TEXT   NOT NULL,
    actor          TEXT   NOT NULL,
    act            TEXT   NOT NULL,
    subject        TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    origin         TEXT   NOT NULL,
    request_id     TEXT,
    detail         TEXT   NOT NULL,
    hash           BLOB   NOT NULL,
    mac            BLOB   NOT NULL,
    master_key_id  TEXT   NOT NULL
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, number);
CREATE INDEX audit_log_by_act ON audit_log (act, number);
