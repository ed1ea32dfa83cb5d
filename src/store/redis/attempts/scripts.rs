//! What happens to counted attempts within Redis, by Redis' clock.
//!
//! Guarantees: each script decides as [`decide`] and [`decide_registration`] do, on the same numbers, which it is given;
//! what it writes is gone by itself a minute after time has forgiven it: clocks differ where another server takes over. All
//! keys of a script bear one hash tag.
//!
//! [`decide`]: crate::users::attempts::decide
//! [`decide_registration`]: crate::users::attempts::decide_registration

use crate::store::redis::script::Lua;

/// What all scripts share: `now` in milliseconds, which is the first argument or Redis' own time; limits, of which each is
/// five arguments; tallies, of four bytes weight and six bytes moment each; and names, as `docs/redis.md` has them.
macro_rules! counting {
    ($($text:literal),+) => {
        Lua::new(concat!(
            "local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function limit(at)
  local free, first, longest, most, one_in = unpack(ARGV, at, at + 4)
  return {free = tonumber(free), first = tonumber(first), longest = tonumber(longest), most = tonumber(most),
    one_in = tonumber(one_in)}
end
local function remaining(limit, tally)
  local passed = math.max(now - tally.last, 0) * 1000
  return math.max(tally.weight - (passed - passed % limit.one_in) / limit.one_in, 0)
end
local function counted(limit, tally)
  return {weight = math.min(remaining(limit, tally) + 1000, 4294967295), last = now}
end
local function left(limit, tally)
  local wait, failures = 0, math.ceil(tally.weight / 1000)
  if failures >= limit.free then
    wait = math.min(limit.first * 2 ^ math.min(failures - limit.free, 32), limit.longest)
  end
  if limit.most then
    local lacking = math.max(tally.weight + 1000 - limit.most * 1000, 0) * limit.one_in
    wait = math.max(wait, (lacking + -lacking % 1000) / 1000)
  end
  return math.max(wait - math.max(now - tally.last, 0), 0)
end
local function less(tally)
  return {weight = math.max(tally.weight - 1000, 0), last = tally.last}
end
local function forgiven_at(limit, tally)
  local whole = tally.weight * limit.one_in
  return tally.last + (whole + -whole % 1000) / 1000
end
local function read(key)
  local text = redis.call('GET', key)
  if not text or #text ~= 10 then return {weight = 0, last = 0} end
  local weight, last = struct.unpack('>I4I6', text)
  return {weight = weight, last = last}
end
local function keep(key, text, ends)
  if ends > now then redis.call('SET', key, text, 'PX', ends - now + 60000) else redis.call('DEL', key) end
end
local function write(key, tally, limit)
  keep(key, struct.pack('>I4I6', tally.weight, tally.last), forgiven_at(limit, tally))
end
local function take_back(key)
  local tally = less(read(key))
  if tally.weight == 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, struct.pack('>I4I6', tally.weight, tally.last), 'KEEPTTL')
  end
end
",
            $($text),+
        ))
    };
}

/// Names besides: those of which the limits for one prefix, strangers and owner begin at the argument 2, and then come how
/// long a device is kept, in milliseconds, how many devices, how many prefixes with failures, the prefix of the attempt and
/// the tag of its device (empty where there is none).
macro_rules! naming {
    ($text:literal) => {
        counting!(
            "local pair, strangers, owner = limit(2), limit(7), limit(12)
local device_kept, most_devices, most_pairs = tonumber(ARGV[17]), tonumber(ARGV[18]), tonumber(ARGV[19])
local here, device = ARGV[20], ARGV[21]
local nothing = {weight = 0, last = 0}
local function read_name(key)
  local name = {strangers = nothing, owner = nothing, devices = {}, pairs = {}}
  local text = redis.call('GET', key)
  if not text or #text < 22 then return name end
  local version = string.byte(text, 1)
  if version ~= 1 and version ~= 2 then return name end
  local sw, sl, ow, ol = struct.unpack('>I4I6I4I6', text, 2)
  name.strangers, name.owner = {weight = sw, last = sl}, {weight = ow, last = ol}
  local at = 23
  for _ = 1, string.byte(text, 22) do
    local seen = struct.unpack('>I6', text, at + 8)
    if version == 2 then table.insert(name.devices, {is = string.sub(text, at, at + 7), seen = seen}) end
    at = at + 14
  end
  while at < #text do
    local weight, last = struct.unpack('>I4I6', text, at + 8)
    table.insert(name.pairs, {is = string.sub(text, at, at + 7), weight = weight, last = last})
    at = at + 18
  end
  return name
end
local function write_name(key, name)
  local ends = math.max(forgiven_at(strangers, name.strangers), forgiven_at(owner, name.owner))
  local parts = {struct.pack('>BI4I6I4I6B', 2, name.strangers.weight, name.strangers.last, name.owner.weight,
    name.owner.last, #name.devices)}
  for _, one in ipairs(name.devices) do
    ends = math.max(ends, one.seen + device_kept)
    table.insert(parts, one.is .. struct.pack('>I6', one.seen))
  end
  for _, one in ipairs(name.pairs) do
    ends = math.max(ends, forgiven_at(pair, one))
    table.insert(parts, one.is .. struct.pack('>I4I6', one.weight, one.last))
  end
  keep(key, table.concat(parts), ends)
end
local function pair_of(name)
  for _, one in ipairs(name.pairs) do
    if one.is == here then return one end
  end
  return nothing
end
local function others(list, which, stays)
  local kept = {}
  for _, one in ipairs(list) do
    if one.is ~= which and stays(one) then table.insert(kept, one) end
  end
  return kept
end
local function in_front(list, one, most)
  table.insert(list, 1, one)
  while #list > most do table.remove(list) end
  return list
end
",
            $text
        )
    };
}

/// Decides about an attempt at a name (key 1) from a prefix (key 2) among all (key 3), by the limits for the prefix (22) and
/// for all (27): 0 and the wait; or 1, whether it was counted as the owner's (1 or 0), the failures in its place, and those
/// of all of its kind.
pub(super) static ADMIT: Lua = naming!(
    "local prefix_limit, all_limit = limit(22), limit(27)
local name = read_name(KEYS[1])
for _, known in ipairs(name.devices) do
  if known.is == device and math.max(now - known.seen, 0) < device_kept then
    local wait = left(owner, name.owner)
    if wait > 0 then return {0, wait} end
    name.owner = counted(owner, name.owner)
    write_name(KEYS[1], name)
    local failures = math.ceil(name.owner.weight / 1000)
    return {1, 1, failures, failures}
  end
end
local prefix, all, known = read(KEYS[2]), read(KEYS[3]), pair_of(name)
local wait = math.max(left(pair, known), left(strangers, name.strangers), left(prefix_limit, prefix), left(all_limit, all))
if wait > 0 then return {0, wait} end
local one = counted(pair, known)
one.is = here
name.pairs = in_front(others(name.pairs, here, function(one) return remaining(pair, one) > 0 end), one, most_pairs)
name.strangers = counted(strangers, name.strangers)
write_name(KEYS[1], name)
write(KEYS[2], counted(prefix_limit, prefix), prefix_limit)
write(KEYS[3], counted(all_limit, all), all_limit)
return {1, 0, math.ceil(one.weight / 1000), math.ceil(name.strangers.weight / 1000)}"
);

/// The owner of the names has logged in on the device: all keys are names, or from the third on where the attempt was
/// counted as a stranger's at the prefix; then one is taken back of it (key 1) and of all (key 2).
pub(super) static SUCCEEDED: Lua = naming!(
    "local first = 1
if here ~= '' then
  take_back(KEYS[1])
  take_back(KEYS[2])
  first = 3
end
for at = first, #KEYS do
  local name = read_name(KEYS[at])
  if here ~= '' then
    local weight = math.max(name.strangers.weight - remaining(strangers, pair_of(name)), 0)
    name.strangers = {weight = weight, last = name.strangers.last}
    name.pairs = others(name.pairs, here, function() return true end)
  end
  name.devices = others(name.devices, device, function(one) return math.max(now - one.seen, 0) < device_kept end)
  if device ~= '' then name.devices = in_front(name.devices, {is = device, seen = now}, most_devices) end
  name.owner = nothing
  write_name(KEYS[at], name)
end
return 1"
);

/// Takes back an attempt at a name (key 1) that was counted as the owner's (22, 1 or 0), or as a stranger's at a prefix (key
/// 2) among all (key 3).
pub(super) static NOT_MADE: Lua = naming!(
    "local name = read_name(KEYS[1])
if ARGV[22] == '1' then
  name.owner = less(name.owner)
else
  local kept = {}
  for _, one in ipairs(name.pairs) do
    if one.is == here then one.weight = math.max(one.weight - 1000, 0) end
    if one.weight > 0 then table.insert(kept, one) end
  end
  name.pairs, name.strangers = kept, less(name.strangers)
  take_back(KEYS[2])
  take_back(KEYS[3])
end
write_name(KEYS[1], name)
return 1"
);

/// Forgets every name.
pub(super) static CLEAR: Lua = Lua::new(
    "for at = 1, #KEYS do redis.call('DEL', KEYS[at]) end
return 1",
);

/// Decides about a registration from a prefix (key 1) among all (key 2), by the limits for the prefix (2) and for all (7):
/// the wait, which is 0 where it was counted.
pub(super) static ADMIT_REGISTRATION: Lua = counting!(
    "local prefix_limit, all_limit = limit(2), limit(7)
local prefix, all = read(KEYS[1]), read(KEYS[2])
local wait = math.max(left(prefix_limit, prefix), left(all_limit, all))
if wait > 0 then return wait end
write(KEYS[1], counted(prefix_limit, prefix), prefix_limit)
write(KEYS[2], counted(all_limit, all), all_limit)
return 0"
);

/// Takes back a registration from a prefix (key 1) and of all (key 2).
pub(super) static REGISTRATION_NOT_MADE: Lua = counting!(
    "take_back(KEYS[1])
take_back(KEYS[2])
return 1"
);
