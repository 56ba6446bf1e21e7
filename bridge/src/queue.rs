//! Event queues: how work done inside the runtime tells a caller's thread that a handle is worth looking at.
//!
//! Wakers run with a connection's lock held, so raising an event takes the queue's lock for one push, writes an eventfd at most
//! once, and calls nothing else.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
};

use crate::error::{Code, Failure};

/// The bits of an event, as in `adit_bridge.h`.
pub const DONE: u32 = 1;
pub const READABLE: u32 = 2;
pub const WRITABLE: u32 = 4;
pub const INCOMING: u32 = 8;
pub const CLOSED: u32 = 16;
pub const MOVED: u32 = 32;
/// Not an event: set while the source stands in its queue.
const QUEUED: u32 = 1 << 31;

/// One event as the caller sees it (`adit_event`).
#[repr(C)]
pub struct Event {
    pub handle: u64,
    pub ready: u32,
    pub result: i32,
}

/// The events of one caller's thread. The descriptor lives as long as the last source that could write to it.
pub struct Queue {
    /// Its capacity is reserved: each source stands here at most once, and there are at most `max_sources`. None once closed.
    pending: Mutex<Option<VecDeque<Arc<Source>>>>,
    /// Whether the eventfd was written since the consumer last looked.
    signalled: AtomicBool,
    eventfd: OwnedFd,
    sources: AtomicUsize,
    max_sources: usize,
}

impl Queue {
    pub fn new(max_sources: usize) -> io::Result<Arc<Self>> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let eventfd = unsafe {
            let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Arc::new(Self {
            pending: Mutex::new(Some(VecDeque::with_capacity(max_sources))),
            signalled: AtomicBool::new(false),
            eventfd,
            sources: AtomicUsize::new(0),
            max_sources,
        }))
    }

    pub fn descriptor(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// Fills `events` from the front and returns how many it filled.
    pub fn drain(&self, events: &mut [Event]) -> usize {
        // The order matters: a push that finds `signalled` still set is seen by the loop below; any later one writes again.
        // Read whatever `signalled` says: a push that set it may not have written yet, and its write would stay for ever.
        self.consume();
        self.signalled.store(false, Ordering::SeqCst);
        let mut filled = 0;
        while filled < events.len() {
            let Some(source) = self.pop() else {
                return filled;
            };
            let ready = source.ready.swap(0, Ordering::SeqCst) & !QUEUED;
            if source.released.load(Ordering::SeqCst) {
                continue;
            }
            events[filled] = Event {
                handle: source.handle,
                ready,
                result: if ready & DONE != 0 { source.result.load(Ordering::SeqCst) } else { 0 },
            };
            filled += 1;
        }
        if self.pending.lock().expect("queue lock").as_ref().is_some_and(|pending| !pending.is_empty()) {
            self.signal();
        }
        filled
    }

    /// No more events. Sources hold their queue, so those that wait in it must not hold on to it for ever.
    pub fn close(&self) {
        let pending = self.pending.lock().expect("queue lock").take();
        drop(pending); // outside the lock
    }

    fn pop(&self) -> Option<Arc<Source>> {
        self.pending.lock().expect("queue lock").as_mut()?.pop_front()
    }

    fn push(&self, source: Arc<Source>) {
        if let Some(pending) = self.pending.lock().expect("queue lock").as_mut() {
            pending.push_back(source);
        }
        self.signal();
    }

    fn signal(&self) {
        if !self.signalled.swap(true, Ordering::SeqCst) {
            let one = 1u64;
            // SAFETY: eight readable bytes and a descriptor that `self` keeps open. It cannot fail: the counter is far from full.
            unsafe { libc::write(self.descriptor(), (&raw const one).cast(), 8) };
        }
    }

    fn consume(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes and a descriptor that `self` keeps open. EAGAIN is fine: the write is still to come.
        unsafe { libc::read(self.descriptor(), (&raw mut count).cast(), 8) };
    }
}

/// One handle's place in its queue.
pub struct Source {
    handle: u64,
    queue: Arc<Queue>,
    ready: AtomicU32,
    result: AtomicI32,
    released: AtomicBool,
    error: Mutex<String>,
}

impl Source {
    /// Takes a place in the queue; gives it back when dropped.
    pub fn new(queue: &Arc<Queue>, handle: u64) -> Result<Arc<Self>, Failure> {
        let taken = queue.sources.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < queue.max_sources).then_some(n + 1));
        if taken.is_err() {
            return Err(Failure::new(Code::Overloaded, format!("the loop has its {} handles", queue.max_sources)));
        }
        Ok(Arc::new(Self {
            handle,
            queue: queue.clone(),
            ready: AtomicU32::new(0),
            // What DONE says if the work never got to conclude.
            result: AtomicI32::new(Code::Panic as i32),
            released: AtomicBool::new(false),
            error: Mutex::new(String::new()),
        }))
    }

    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Adds `bits` to the handle's event, queueing it unless it already waits.
    pub fn raise(self: &Arc<Self>, bits: u32) {
        if self.ready.fetch_or(bits | QUEUED, Ordering::SeqCst) & QUEUED == 0 {
            self.queue.push(self.clone());
        }
    }

    /// Says how what began the handle went; the event DONE, raised next, carries it.
    pub fn conclude(&self, outcome: Result<(), Failure>) {
        let result = match outcome {
            Ok(()) => 0,
            Err(failure) => {
                *self.error.lock().expect("error lock") = failure.text;
                failure.code as i32
            }
        };
        self.result.store(result, Ordering::SeqCst);
    }

    /// No event names the handle from now on.
    pub fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    pub fn error(&self) -> String {
        self.error.lock().expect("error lock").clone()
    }

    /// A waker that raises `bits`.
    pub fn waker(self: &Arc<Self>, bits: u32) -> Waker {
        Waker::from(Arc::new(RaiseOnWake { source: self.clone(), bits }))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.queue.sources.fetch_sub(1, Ordering::SeqCst);
    }
}

struct RaiseOnWake {
    source: Arc<Source>,
    bits: u32,
}

impl Wake for RaiseOnWake {
    fn wake(self: Arc<Self>) {
        self.source.raise(self.bits);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.source.raise(self.bits);
    }
}
