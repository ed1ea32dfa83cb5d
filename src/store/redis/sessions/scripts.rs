//! What happens to a session's record within Redis, by Redis' clock.
//!
//! Guarantees: each script touches one key. They read and write the places of `tokens::session::encode` that never
//! change, and leave the rest as it is; the first argument is the moment that a test holds, or nothing.

use crate::store::redis::script::Lua;

/// A script that knows `now` in milliseconds: its first argument, or Redis' own time.
macro_rules! timed {
    ($text:literal) => {
        Lua::new(concat!(
            "local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
",
            $text
        ))
    };
}

/// Stores a record (2) that ends at a moment (3), where there is none: 1. Where there is one: 0.
pub(super) static INSERT: Lua = timed!(
    "local left = tonumber(ARGV[3]) - now
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if left > 0 then redis.call('SET', KEYS[1], ARGV[2], 'PX', left) end
return 1"
);

/// The moment and the record.
pub(super) static LOAD: Lua = timed!("return {now, redis.call('GET', KEYS[1])}");

/// Presents generation (2) by a client (3) that is confidential or not (4, `1` or `0`), with the key for the successor (5),
/// the grace window (6) and how often the use of tokens that stay is noted (7), both in milliseconds, in a cookie or not (8,
/// `1` or `0`). Moves the session where `tokens::session::decide` on its record answers so: the moment, the record before, and 1 where it moved.
pub(super) static SWAP: Lua = timed!(
    "local record = redis.call('GET', KEYS[1])
if not record or #record < 61 or string.byte(record, 1) ~= 1 then return {now, record, 0} end
local flags, current, key, rotated, used, ends, idle = struct.unpack('>BI4I4I6I6I6I4', record, 2)
if now >= math.min(used + idle * 1000, ends) then return {now, record, 0} end
local client = string.sub(record, 62, 61 + string.byte(record, 61))
if client ~= ARGV[3] or math.floor(flags / 2) % 2 ~= tonumber(ARGV[4]) then return {now, record, 0} end
if math.floor(flags / 4) % 2 ~= tonumber(ARGV[8]) then return {now, record, 0} end
local settling = rotated > 0 and math.max(now - rotated, 0) < tonumber(ARGV[6])
local presented, to = tonumber(ARGV[2]), nil
if presented == current then
  if settling then return {now, record, 0} end
  if flags % 2 == 1 then
    to = presented + 1
  elseif now >= used + tonumber(ARGV[7]) then
    key = nil
  else
    return {now, record, 0}
  end
elseif current + 1 == presented then
  to = presented + 1
else
  return {now, record, 0}
end
local moved
if to then
  moved = struct.pack('>I4I4I6I6', math.min(to, 4294967295), tonumber(ARGV[5]), now, now)
else
  moved = string.sub(record, 3, 16) .. struct.pack('>I6', now)
end
local left = math.min(now + idle * 1000, ends) - now
redis.call('SET', KEYS[1], string.sub(record, 1, 2) .. moved .. string.sub(record, 23), 'PX', left)
return {now, record, to and 1 or 0}"
);

/// Puts where the tokens of a session stood (2) in the place of where they stand, if that is so (1): 1, and 0 otherwise.
pub(super) static SET_BACK: Lua = Lua::new(
    "local record = redis.call('GET', KEYS[1])
if not record or string.byte(record, 1) ~= 1 or string.sub(record, 3, 16) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], string.sub(record, 1, 2) .. ARGV[2] .. string.sub(record, 17), 'KEEPTTL')
return 1",
);

/// Removes a record, and answers what it was.
pub(super) static END: Lua = Lua::new(
    "local record = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return record",
);

/// Enters a session (2) into a bucket with what is known of it there (3), until it ends at a moment (4). Some of those that
/// have ended leave on the way, and the whole bucket goes with the last of them.
pub(super) static ENTER: Lua = timed!(
    "redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
local some = redis.call('HRANDFIELD', KEYS[1], 16, 'WITHVALUES')
for place = 1, #some, 2 do
  local ends = struct.unpack('>I4', some[place + 1], 5)
  if ends * 1000 <= now and some[place] ~= ARGV[2] then redis.call('HDEL', KEYS[1], some[place]) end
end
local left = math.max(tonumber(ARGV[4]) - now, 1)
if redis.call('PTTL', KEYS[1]) < left then redis.call('PEXPIRE', KEYS[1], left) end
return 1"
);
