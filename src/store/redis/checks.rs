//! What Signet's promises stand on, asked of every server at every connection: its version, that it is a master, that it
//! never forgets what it has not been told to forget, and whether it keeps anything on disk.

use redis::aio::MultiplexedConnection;
use redis::{Value, cmd, from_redis_value};

use super::error::Failure;

/// The oldest Redis that Signet is tested with.
const OLDEST: u32 = 7;

/// What a server is, beyond being fit for use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) version: String,
    /// What an operator should know.
    pub(super) warnings: Vec<String>,
}

/// Checks a server.
pub(super) async fn check(connection: &mut MultiplexedConnection) -> Result<Facts, Failure> {
    let info = ask(connection, cmd("INFO")).await.map_err(|failure| match failure {
        Failure::Refused(why) => Failure::Refused(format!(
            "its user may not run INFO, by which Signet checks what its promises stand on: grant it `+info` ({why})"
        )),
        other => other,
    })?;
    let info: String = read(info)?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let version = field("redis_version").unwrap_or_default().to_owned();
    judge(&version, field("loading"), field("role"), field("maxmemory_policy"))?;
    // Signet runs without this one; it tells only whether there is something to warn of.
    let mut schedule = cmd("CONFIG");
    schedule.arg("GET").arg("save");
    let schedule = match ask(connection, schedule).await {
        Ok(value) => Some(read::<Vec<String>>(value)?.get(1).cloned().unwrap_or_default()),
        Err(Failure::Refused(_)) => None,
        Err(failure) => return Err(failure),
    };
    let warnings = persistence(field("aof_enabled") == Some("1"), schedule.as_deref());
    Ok(Facts { version, warnings: warnings.into_iter().collect() })
}

async fn ask(connection: &mut MultiplexedConnection, command: redis::Cmd) -> Result<Value, Failure> {
    Ok(connection.send_packed_command(&command).await.and_then(Value::extract_error)?)
}

fn read<T: redis::FromRedisValue>(value: Value) -> Result<T, Failure> {
    from_redis_value(value).map_err(|error| Failure::Refused(format!("its answer is not understood: {error}")))
}

fn judge(version: &str, loading: Option<&str>, role: Option<&str>, policy: Option<&str>) -> Result<(), Failure> {
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < OLDEST {
        return Err(Failure::Refused(format!("Redis {version} is too old: Signet needs {OLDEST} or newer")));
    }
    if loading == Some("1") {
        return Err(Failure::Lost("it is loading its data".to_owned()));
    }
    if role != Some("master") {
        return Err(Failure::Lost("it is a replica, and takes no writes".to_owned()));
    }
    if policy != Some("noeviction") {
        let policy = policy.unwrap_or("unknown");
        return Err(Failure::Refused(format!(
            "its maxmemory-policy is {policy}, by which it forgets sessions when memory runs short: set it to noeviction"
        )));
    }
    Ok(())
}

/// What is lost when the server restarts, if anything is.
fn persistence(appends: bool, schedule: Option<&str>) -> Option<String> {
    match (appends, schedule) {
        (true, _) => None,
        (false, Some("")) => Some(
            "Redis keeps nothing on disk (no AOF, no RDB): when it restarts, everybody has to sign in again".to_owned(),
        ),
        (false, Some(_)) => Some(
            "Redis keeps snapshots only (no AOF): when it restarts, what came since the last one is lost, and tokens that \
             were refreshed since may sign their users out"
                .to_owned(),
        ),
        (false, None) => Some(
            "Redis keeps no AOF, and its user may not run CONFIG GET, so that it can't be told whether it keeps snapshots"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_forgets_or_is_too_old_is_refused_in_one_sentence() {
        let said = |version, loading, role, policy| match judge(version, loading, role, policy) {
            Err(Failure::Refused(why)) => why,
            Err(Failure::Lost(why)) => format!("for now: {why}"),
            other => format!("{other:?}"),
        };
        let (no, master, keeps) = (Some("0"), Some("master"), Some("noeviction"));
        assert_eq!(said("7.0.15", no, master, keeps), "Ok(())");
        assert_eq!(said("8.2.0", no, master, keeps), "Ok(())");
        assert_eq!(said("6.2.7", no, master, keeps), "Redis 6.2.7 is too old: Signet needs 7 or newer");
        assert_eq!(said("", no, master, keeps), "Redis  is too old: Signet needs 7 or newer");
        assert_eq!(said("7.0.0", Some("1"), master, keeps), "for now: it is loading its data");
        assert_eq!(said("7.0.0", no, Some("slave"), keeps), "for now: it is a replica, and takes no writes");
        for (policy, shown) in [(Some("allkeys-lru"), "allkeys-lru"), (None, "unknown")] {
            let why = said("7.0.0", no, master, policy);
            assert!(why.starts_with(&format!("its maxmemory-policy is {shown}, by which it forgets")), "{why}");
        }
    }

    #[test]
    fn only_a_log_of_every_write_is_without_a_warning() {
        assert_eq!(persistence(true, Some("")), None);
        assert_eq!(persistence(true, None), None);
        assert!(persistence(false, Some("")).unwrap().starts_with("Redis keeps nothing on disk"));
        assert!(persistence(false, Some("3600 1")).unwrap().starts_with("Redis keeps snapshots only"));
        assert!(persistence(false, None).unwrap().contains("CONFIG GET"));
    }
}
