-- Devices that the owner of a name signed in with, and when each last succeeded: JSON of tag and moment. `places` is idle
-- from here on: failures are the owner's on a known device, wherever it is.
ALTER TABLE login_attempts ADD COLUMN devices TEXT COLLATE "C" NOT NULL DEFAULT '[]';
