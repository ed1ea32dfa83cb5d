-- Times are milliseconds since the Unix epoch, spans are milliseconds.

-- One row. Whoever changes anything that replicas keep in memory moves it first, which locks the row: so the numbers
-- of `changes` have no gaps and follow the order of commit.
CREATE TABLE change_counter (
    one         BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    number      BIGINT NOT NULL
);
INSERT INTO change_counter (one, number) VALUES (1, 0);

-- What changed, for replicas to follow. Old rows are purged; who comes later reads everything anew.
CREATE TABLE changes (
    number      BIGINT NOT NULL PRIMARY KEY,
    topic       TEXT COLLATE "C" NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    changed_at  BIGINT NOT NULL
);

-- One row a purpose: which version the keys of that purpose are at, and when they were last acted on.
CREATE TABLE key_rings (
    purpose     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version     BIGINT NOT NULL,
    acted_at    BIGINT
);

-- Keys of every purpose. `sealed` is the private key under the master key `master_key_id`; it goes when the key is
-- retired or compromised, the rest stays for audit.
CREATE TABLE keys (
    kid               TEXT COLLATE "C"  NOT NULL PRIMARY KEY,
    purpose           TEXT COLLATE "C"  NOT NULL REFERENCES key_rings (purpose),
    algorithm         TEXT COLLATE "C"  NOT NULL,
    public_jwk        TEXT COLLATE "C",
    origin            TEXT COLLATE "C"  NOT NULL,
    state             TEXT COLLATE "C"  NOT NULL,
    state_since       BIGINT  NOT NULL,
    state_until       BIGINT,
    reason            TEXT COLLATE "C"  NOT NULL,
    created_at        BIGINT  NOT NULL,
    published_at      BIGINT  NOT NULL,
    longest_lifetime  BIGINT  NOT NULL,
    master_key_id     TEXT COLLATE "C",
    sealed            BYTEA
);
CREATE INDEX keys_by_purpose ON keys (purpose);

CREATE TABLE resources (
    identifier      TEXT COLLATE "C"  NOT NULL PRIMARY KEY,
    name            TEXT COLLATE "C"  NOT NULL,
    scopes          TEXT COLLATE "C"  NOT NULL,
    token_lifetime  BIGINT,
    algorithm       TEXT COLLATE "C",
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    version         BIGINT  NOT NULL
);

-- One row a client. `jwks`, `secrets` (SHA-256 of secrets of 256 random bits, the newest first), `access` (resource
-- identifier, or `/admin` for the reserved resource, to scopes) and `serves` are JSON.
CREATE TABLE clients (
    client_id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name           TEXT COLLATE "C" NOT NULL,
    auth_method    TEXT COLLATE "C" NOT NULL,
    auth_algorithm TEXT COLLATE "C",
    jwks           TEXT COLLATE "C",
    secrets        TEXT COLLATE "C" NOT NULL,
    grant_types    TEXT COLLATE "C" NOT NULL,
    access         TEXT COLLATE "C" NOT NULL,
    serves         TEXT COLLATE "C" NOT NULL,
    enabled        BOOLEAN NOT NULL,
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL,
    version        BIGINT  NOT NULL
);

-- The registered resources that a client's `access` and `serves` name, so that none of them goes while it is named.
CREATE TABLE client_resources (
    client_id      TEXT COLLATE "C" NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    resource       TEXT COLLATE "C" NOT NULL REFERENCES resources (identifier),
    PRIMARY KEY (client_id, resource)
);
CREATE INDEX client_resources_by_resource ON client_resources (resource);

-- Assertions that were used: SHA-256 of client and `jti`, until they would be refused anyway.
CREATE TABLE replay_marks (
    digest         BYTEA   NOT NULL PRIMARY KEY,
    until          BIGINT  NOT NULL
);
CREATE INDEX replay_marks_by_until ON replay_marks (until);

-- Facts of this installation, such as that its first start is complete.
CREATE TABLE facts (
    name           TEXT COLLATE "C"  NOT NULL PRIMARY KEY,
    value          TEXT COLLATE "C"  NOT NULL
);
