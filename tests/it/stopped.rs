//! A process that stands still: it is there, holds its connections, and answers nothing.

use std::process::Command;

use crate::postgres::Postgres;

/// Processes that stand still until this is dropped.
#[derive(Debug)]
pub struct Stopped(Vec<String>);

impl Stopped {
    /// Stops a whole cluster; `url` is one of its databases.
    pub fn cluster(cluster: &Postgres, url: &str) -> Self {
        let folder = cluster.psql(url, "show data_directory");
        let pid_file = std::fs::read_to_string(format!("{folder}/postmaster.pid")).unwrap();
        let postmaster = pid_file.lines().next().unwrap().to_owned();
        // First the one that makes others, so that none is missed.
        signal("STOP", std::slice::from_ref(&postmaster));
        let mut processes = children(&postmaster);
        signal("STOP", &processes);
        processes.push(postmaster);
        Self(processes)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

/// Sends a signal by its name to processes; one that has ended meanwhile does not matter.
pub fn signal(name: &str, processes: &[String]) {
    let _ = Command::new("kill").arg(format!("-{name}")).args(processes).output().unwrap();
}

fn children(parent: &str) -> Vec<String> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap_or_default();
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{name}/stat")) else { continue };
        // After the name in parentheses: state, parent.
        let of = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if of == Some(parent) && name.bytes().all(|byte| byte.is_ascii_digit()) {
            children.push(name);
        }
    }
    children
}
