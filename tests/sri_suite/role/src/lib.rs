//! A role of Adit as a process, behind the interface that SRI's test suite expects of its own: it starts when `start` is polled,
//! and ends when `shutdown` is called or its handle is dropped.
use std::{
    env, fs,
    path::PathBuf,
    process::Stdio,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc,
    },
    time::Duration,
};
use tokio::{process::Command, sync::Notify, time::timeout};

/// So long a role may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Copies are handles of one process; it runs at most once.
#[derive(Clone, Debug)]
pub struct Role {
    name: &'static str,
    config: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    stop: Notify,
    over: Notify,
    is_over: AtomicBool,
}

impl Role {
    /// `name`: of the role, as `adit` takes it. `config`: its configuration, as TOML; `{folder}` in it becomes a folder of its own.
    pub fn new(name: &'static str, config: String) -> Self {
        Self { name, config, state: Arc::default() }
    }

    /// Runs `adit` (named by $ADIT) until it ends or is to stop. Its log is a file in $ADIT_SUITE_LOGS.
    pub async fn start(&self) -> Result<(), std::io::Error> {
        let result = self.run().await;
        self.state.is_over.store(true, Ordering::Release);
        self.state.over.notify_waiters();
        result
    }

    async fn run(&self) -> Result<(), std::io::Error> {
        let logs = PathBuf::from(env::var_os("ADIT_SUITE_LOGS").unwrap_or_else(|| env::temp_dir().into()));
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = logs.join(format!("{}-{}-{}", self.name, std::process::id(), number));
        fs::create_dir_all(&folder)?;
        let config = folder.join("config.toml");
        fs::write(&config, self.config.replace("{folder}", &folder.display().to_string()))?;
        let log = fs::File::create(folder.join("log"))?;
        let adit = env::var_os("ADIT").expect("$ADIT names the program");
        let mut child = Command::new(adit)
            .arg(self.name)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        tokio::select! {
            ended = child.wait() => {
                println!("adit {} ended by itself: {:?}; see {}", self.name, ended, folder.display());
                return Ok(());
            }
            _ = self.state.stop.notified() => {}
        }
        if let Some(pid) = child.id() {
            let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
        }
        if timeout(PATIENCE, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Returns once the process has ended.
    pub async fn shutdown(&self) {
        let over = self.state.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        if self.state.is_over.load(Ordering::Acquire) {
            return;
        }
        self.state.stop.notify_one();
        over.await;
    }

    /// The handle is gone: the process is to stop, too.
    pub fn dropped(&self) {
        self.state.stop.notify_one();
    }
}

/// A value of TOML: a string in quotes.
pub fn text(value: impl std::fmt::Display) -> String {
    let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{value}\"")
}
