//! Bidirectional streams, polled by the caller's thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use iroh::endpoint::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::task::AbortHandle;

use crate::{
    connection::ConnectionObject,
    error::{Code, Failure},
    handles::{self, Object},
    queue::{READABLE, Source, WRITABLE},
    runtime,
};

/// How much of a vectored write is looked at in one call.
const MAX_GATHERED: usize = 64 * 1024;

struct Sending {
    stream: SendStream,
    /// Finished or reset by us.
    ended: bool,
}

struct Receiving {
    stream: RecvStream,
    /// How reading ended. Kept here because noq answers a read after a reset as if the stream had finished.
    ended: Option<(Code, u64)>,
}

struct Halves {
    sending: Mutex<Sending>,
    receiving: Mutex<Receiving>,
}

pub struct StreamObject {
    pub source: Arc<Source>,
    halves: OnceLock<Halves>,
    readable: Waker,
    writable: Waker,
    task: OnceLock<AbortHandle>,
    /// What an unfinished half is reset or stopped with when this goes.
    code: AtomicU64,
}

/// A lock that a panic has poisoned stands for a connection that is lost.
fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Failure> {
    mutex.lock().map_err(|_| Code::Panic.into())
}

fn end_of_reading(error: ReadError) -> (Code, u64) {
    match error {
        ReadError::Reset(with) => (Code::Reset, with.into_inner()),
        ReadError::ConnectionLost(_) => (Code::Closed, 0),
        ReadError::ClosedStream | ReadError::ZeroRttRejected => (Code::Stale, 0),
    }
}

fn taken(polled: Poll<Result<usize, WriteError>>, code: &mut u64) -> Result<usize, Failure> {
    match polled {
        Poll::Pending => Err(Code::Again.into()),
        Poll::Ready(Ok(written)) => Ok(written),
        Poll::Ready(Err(WriteError::Stopped(with))) => {
            *code = with.into_inner();
            Err(Code::Stopped.into())
        }
        Poll::Ready(Err(WriteError::ConnectionLost(_))) => Err(Code::Closed.into()),
        Poll::Ready(Err(WriteError::ClosedStream | WriteError::ZeroRttRejected)) => Err(Code::Stale.into()),
    }
}

impl StreamObject {
    fn halves(&self) -> Result<&Halves, Failure> {
        self.halves.get().ok_or(Code::Stale.into())
    }

    pub fn end(&self, code: VarInt) {
        self.source.release();
        self.code.store(code.into_inner(), Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Bytes read; `code` is what the peer reset with.
    pub fn read(&self, buffer: &mut [u8], code: &mut u64) -> Result<usize, Failure> {
        let mut receiving = lock(&self.halves()?.receiving)?;
        if let Some((ended, with)) = receiving.ended {
            *code = with;
            return Err(ended.into());
        }
        let ended = match receiving.stream.poll_read(&mut Context::from_waker(&self.readable), buffer) {
            Poll::Pending => return Err(Code::Again.into()),
            Poll::Ready(Ok(0)) => (Code::Fin, 0),
            Poll::Ready(Ok(read)) => return Ok(read),
            Poll::Ready(Err(error)) => end_of_reading(error),
        };
        receiving.ended = Some(ended);
        *code = ended.1;
        Err(ended.0.into())
    }

    /// Bytes taken; `code` is what the peer stopped with.
    pub fn write(&self, data: &[u8], code: &mut u64) -> Result<usize, Failure> {
        let mut sending = lock(&self.halves()?.sending)?;
        let polled = Pin::new(&mut sending.stream).poll_write(&mut Context::from_waker(&self.writable), data);
        taken(polled, code)
    }

    /// What has arrived, as it lies: at most `max` pieces, in order; never none.
    pub fn read_pieces(&self, max: usize, code: &mut u64) -> Result<Pieces, Failure> {
        let mut receiving = lock(&self.halves()?.receiving)?;
        if let Some((ended, with)) = receiving.ended {
            *code = with;
            return Err(ended.into());
        }
        let mut pieces = vec![Default::default(); max];
        let polled = pin!(receiving.stream.read_many_chunks(&mut pieces)).poll(&mut Context::from_waker(&self.readable));
        let ended = match polled {
            Poll::Pending => return Err(Code::Again.into()),
            Poll::Ready(Ok(Some(count))) => {
                pieces.truncate(count);
                return Ok(Pieces(pieces.into_iter().map(|piece| Box::new(piece) as _).collect()));
            }
            Poll::Ready(Ok(None)) => (Code::Fin, 0),
            Poll::Ready(Err(error)) => end_of_reading(error),
        };
        receiving.ended = Some(ended);
        *code = ended.1;
        Err(ended.0.into())
    }

    /// As `write`, of the beginning of all parts one after the other.
    pub fn write_parts<'a>(&self, parts: impl Iterator<Item = &'a [u8]>, code: &mut u64) -> Result<usize, Failure> {
        // Gathered here, so that the connection's lock is taken once and its driver finds one run of bytes.
        let mut gathered = Vec::new();
        for part in parts {
            let room = MAX_GATHERED - gathered.len();
            gathered.extend_from_slice(&part[..part.len().min(room)]);
        }
        if gathered.is_empty() {
            return Err(Code::Invalid.into());
        }
        let mut sending = lock(&self.halves()?.sending)?;
        let mut chunk = [gathered.into()];
        let mut chunks = &mut chunk[..];
        let polled = pin!(sending.stream.write_many_chunks(&mut chunks)).poll(&mut Context::from_waker(&self.writable));
        taken(polled, code)
    }

    pub fn finish(&self) -> Result<(), Failure> {
        let mut sending = lock(&self.halves()?.sending)?;
        sending.stream.finish().map_err(|_| Failure::from(Code::Stale))?;
        sending.ended = true;
        Ok(())
    }

    /// Finishes our side, if it is not; the future is done when the peer's QUIC has all of it, or will never have.
    pub fn delivered(&self) -> Result<impl Future<Output = ()> + Send + use<>, Failure> {
        let mut sending = lock(&self.halves()?.sending)?;
        if !sending.ended {
            let _ = sending.stream.finish();
            sending.ended = true;
        }
        let stopped = sending.stream.stopped();
        Ok(async move {
            let _ = stopped.await;
        })
    }

    pub fn reset(&self, code: VarInt) -> Result<(), Failure> {
        let mut sending = lock(&self.halves()?.sending)?;
        sending.stream.reset(code).map_err(|_| Failure::from(Code::Stale))?;
        sending.ended = true;
        Ok(())
    }

    pub fn stop(&self, code: VarInt) -> Result<(), Failure> {
        let mut receiving = lock(&self.halves()?.receiving)?;
        if receiving.ended.is_some() {
            return Err(Code::Stale.into());
        }
        receiving.stream.stop(code).map_err(|_| Failure::from(Code::Stale))?;
        receiving.ended = Some((Code::Stale, 0));
        Ok(())
    }

    pub fn set_priority(&self, priority: i32) -> Result<(), Failure> {
        let sending = lock(&self.halves()?.sending)?;
        if sending.ended {
            return Err(Code::Stale.into());
        }
        sending.stream.set_priority(priority).map_err(|_| Code::Stale.into())
    }
}

impl Drop for StreamObject {
    fn drop(&mut self) {
        let Some(halves) = self.halves.take() else { return };
        let code = VarInt::from_u64(self.code.load(Ordering::SeqCst)).unwrap_or_default();
        // Dropped as it is, an unfinished half would look like a clean end.
        let abandoned = catch_unwind(AssertUnwindSafe(|| {
            let mut sending = halves.sending.lock().expect("sending lock");
            if !sending.ended {
                let _ = sending.stream.reset(code);
            }
            let mut receiving = halves.receiving.lock().expect("receiving lock");
            if receiving.ended.is_none() {
                let _ = receiving.stream.stop(code);
            }
        }));
        if abandoned.is_err() {
            // The connection's lock is poisoned: noq's own drops would panic on it again.
            std::mem::forget(halves);
        }
    }
}

/// Bytes of a stream where they arrived, kept until released.
pub struct Pieces(Vec<Box<dyn AsRef<[u8]> + Send + Sync>>);

impl Pieces {
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|piece| (**piece).as_ref())
    }
}

/// Which side begins a stream.
#[derive(Clone, Copy)]
pub enum Opener {
    Us,
    Peer,
}

/// Begins a stream on the connection's home.
pub fn begin(connection: &ConnectionObject, opener: Opener, deadline: Duration) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    let open = connection.open()?.clone();
    let (handle, object) = handles::insert(|handle| {
        let source = Source::new(connection.source.queue(), handle)?;
        let object = Arc::new(StreamObject {
            readable: source.waker(READABLE),
            writable: source.waker(WRITABLE),
            source,
            halves: OnceLock::new(),
            task: OnceLock::new(),
            code: AtomicU64::new(0),
        });
        Ok((Object::Stream(object.clone()), object))
    })?;
    let running = object.clone();
    let task = runtime.spawn(async move {
        let what = match opener {
            Opener::Us => "opening a stream",
            Opener::Peer => "waiting for the peer's stream",
        };
        let work = async {
            match opener {
                Opener::Us => open.open_bi().await,
                Opener::Peer => open.accept_bi().await,
            }
            .map_err(|error| Failure::new(Code::Closed, error.to_string()))
        };
        runtime::begin(&running.source, what, deadline, work, |(send, recv)| {
            let halves = Halves {
                sending: Mutex::new(Sending { stream: send, ended: false }),
                receiving: Mutex::new(Receiving { stream: recv, ended: None }),
            };
            let _ = running.halves.set(halves);
        })
        .await;
    });
    let _ = object.task.set(task.abort_handle());
    Ok(handle)
}
