//! The one tokio runtime, and the small rules by which work inside it reports back.

use std::{
    future::Future,
    sync::{Arc, RwLock},
    time::Duration,
};

use iroh::endpoint::VarInt;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    error::{Code, Failure},
    handles,
    queue::{DONE, Source},
};

static RUNTIME: RwLock<Option<Runtime>> = RwLock::new(None);

pub fn start(worker_threads: u32) -> Result<(), Failure> {
    let mut runtime = RUNTIME.write().expect("runtime lock");
    if runtime.is_some() {
        return Err(Failure::invalid("the runtime was started already"));
    }
    if !(1..=64).contains(&worker_threads) {
        return Err(Failure::invalid(format!("worker_threads is {worker_threads}, not 1 to 64")));
    }
    let built =
        Builder::new_multi_thread().worker_threads(worker_threads as usize).thread_name("adit-bridge").enable_all().build();
    *runtime = Some(built.map_err(|error| Failure::new(Code::Internal, error.to_string()))?);
    Ok(())
}

pub fn stop(timeout: Duration) -> Result<(), Failure> {
    let runtime = RUNTIME.write().expect("runtime lock").take().ok_or(Failure::from(Code::NotRunning))?;
    {
        let _context = runtime.enter();
        for object in handles::remove_all() {
            object.end(VarInt::default());
        }
    }
    runtime.shutdown_timeout(timeout);
    Ok(())
}

/// The runtime's handle. Whoever starts iroh's own tasks, or drops what may, enters it first.
pub fn handle() -> Result<Handle, Failure> {
    match &*RUNTIME.read().expect("runtime lock") {
        Some(runtime) => Ok(runtime.handle().clone()),
        None => Err(Code::NotRunning.into()),
    }
}

/// Raises `bits` when dropped: a task that ends in any way, a panic included, still gives its event.
pub struct RaiseOnDrop {
    pub source: Arc<Source>,
    pub bits: u32,
}

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.source.raise(self.bits);
    }
}

/// Runs what begins a handle, within its deadline, and gives its DONE.
pub async fn begin<T>(
    source: &Arc<Source>,
    what: &str,
    deadline: Duration,
    work: impl Future<Output = Result<T, Failure>>,
    keep: impl FnOnce(T),
) -> bool {
    let _done = RaiseOnDrop { source: source.clone(), bits: DONE };
    let outcome = match tokio::time::timeout(deadline, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::timed_out(what, deadline)),
    };
    match outcome {
        Ok(made) => {
            keep(made);
            source.conclude(Ok(()));
            true
        }
        Err(failure) => {
            source.conclude(Err(failure));
            false
        }
    }
}
