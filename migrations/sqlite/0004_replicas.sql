-- Who serves, and which master keys each has at hand. A replica says so every few seconds; one that was not heard of for
-- longer is gone.
CREATE TABLE replicas (
    id              TEXT   NOT NULL PRIMARY KEY,
    host            TEXT   NOT NULL,
    version         TEXT   NOT NULL,
    master_key_ids  TEXT   NOT NULL,
    started_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL
);
