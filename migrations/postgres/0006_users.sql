-- Accounts, one row each. `username_key` and `email_key` are the compared forms; `roles` are separated by spaces,
-- `attributes` are JSON. `password` is a slow hash with its parameters; `password_version` counts the passwords.
CREATE TABLE users (
    id                   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username             TEXT COLLATE "C" NOT NULL,
    username_key         TEXT COLLATE "C" NOT NULL UNIQUE,
    email                TEXT COLLATE "C",
    email_key            TEXT COLLATE "C" UNIQUE,
    roles                TEXT COLLATE "C" NOT NULL,
    attributes           TEXT COLLATE "C" NOT NULL,
    enabled              BOOLEAN NOT NULL,
    password             TEXT COLLATE "C",
    password_changed_at  BIGINT,
    password_must_change BOOLEAN NOT NULL,
    password_version     BIGINT  NOT NULL,
    created_at           BIGINT  NOT NULL,
    updated_at           BIGINT  NOT NULL,
    version              BIGINT  NOT NULL
);

-- How usernames look (skeletons of UTS #39): one or two rows an account, so that no two look alike.
CREATE TABLE user_looks (
    look                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id              TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX user_looks_by_user ON user_looks (user_id);

-- One-time links to choose a password: at most one an account. `digest` is SHA-256 of 256 random bits.
CREATE TABLE password_links (
    user_id              TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    digest               BYTEA   NOT NULL UNIQUE,
    password_version     BIGINT  NOT NULL,
    expires_at           BIGINT  NOT NULL
);

-- Failed attempts to log in. `kind` and `key` are `name` and a digest of the name that was tried, `prefix` and that of an
-- address, or `all`. Weights are thousandths of failures; `owner_…` counts those from where the owner of the name logged
-- in before, `places` are those prefixes and when that was: JSON.
CREATE TABLE login_attempts (
    key                  BYTEA   NOT NULL PRIMARY KEY,
    kind                 TEXT COLLATE "C" NOT NULL,
    weight               BIGINT  NOT NULL,
    last_at              BIGINT  NOT NULL,
    owner_weight         BIGINT  NOT NULL,
    owner_last_at        BIGINT  NOT NULL,
    places               TEXT COLLATE "C" NOT NULL,
    touched_at           BIGINT  NOT NULL
);
CREATE INDEX login_attempts_by_touched_at ON login_attempts (touched_at);
