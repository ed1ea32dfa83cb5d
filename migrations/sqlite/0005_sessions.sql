-- Sessions, where they are kept in this database. `record` is what a session was begun with (docs/architecture.md); what
-- moves stands beside it. `rotated_at` is 0 before the first rotation, `ends_at` is when nobody may use it any more.
CREATE TABLE sessions (
    sid            BLOB   NOT NULL PRIMARY KEY,
    user_id        BLOB   NOT NULL,
    client_id      TEXT   NOT NULL,
    generation     BIGINT NOT NULL,
    mac_key        BIGINT NOT NULL,
    rotated_at     BIGINT NOT NULL,
    last_used_at   BIGINT NOT NULL,
    ends_at        BIGINT NOT NULL,
    record         BLOB   NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, sid);
CREATE INDEX sessions_by_client ON sessions (client_id, sid);
CREATE INDEX sessions_by_end ON sessions (ends_at);

-- The end of the journal of revocations. One row: whoever writes to the journal moves it first, which locks it, so that
-- its numbers have no gaps and follow the order of commit. The epoch is set by whoever writes first.
CREATE TABLE revocation_head (
    one            BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    epoch          TEXT   NOT NULL,
    number         BIGINT NOT NULL
);
INSERT INTO revocation_head (one, epoch, number) VALUES (1, '', 0);

-- What was revoked: of kind `sid`, the session of that name. A row goes when nothing is left that it could hit.
CREATE TABLE revocations (
    number         BIGINT NOT NULL PRIMARY KEY,
    kind           TEXT   NOT NULL,
    value          TEXT   NOT NULL,
    at             BIGINT NOT NULL,
    until          BIGINT NOT NULL,
    why            TEXT   NOT NULL
);
CREATE INDEX revocations_by_until ON revocations (until);
