//! Handles: numbers with a generation that stand for the bridge's objects, so that a stale one is noticed and never followed.

use std::sync::{Arc, RwLock};

use iroh::endpoint::VarInt;

#[cfg(feature = "relay")]
use crate::relay::RelayObject;
use crate::{
    connection::ConnectionObject,
    endpoint::{EndpointObject, ListenerObject},
    error::{Code, Failure},
    queue::{Queue, Source},
    stream::{Pieces, StreamObject},
};

#[derive(Clone)]
pub enum Object {
    Loop(Arc<Queue>),
    Endpoint(Arc<EndpointObject>),
    Listener(Arc<ListenerObject>),
    Connection(Arc<ConnectionObject>),
    Stream(Arc<StreamObject>),
    #[cfg(feature = "relay")]
    Relay(Arc<RelayObject>),
    Pieces(Arc<Pieces>),
}

impl Object {
    pub fn source(&self) -> Option<&Arc<Source>> {
        match self {
            Object::Loop(_) | Object::Pieces(_) => None,
            Object::Endpoint(endpoint) => Some(&endpoint.source),
            Object::Listener(listener) => Some(&listener.source),
            Object::Connection(connection) => Some(&connection.source),
            Object::Stream(stream) => Some(&stream.source),
            #[cfg(feature = "relay")]
            Object::Relay(relay) => Some(&relay.source),
        }
    }

    /// What releasing it means. Call inside the runtime: iroh's drops may need it.
    pub fn end(self, code: VarInt) {
        match self {
            Object::Loop(queue) => queue.close(),
            Object::Endpoint(endpoint) => endpoint.end(),
            Object::Listener(listener) => listener.end(),
            Object::Connection(connection) => connection.end(code),
            Object::Stream(stream) => stream.end(code),
            #[cfg(feature = "relay")]
            Object::Relay(relay) => relay.end(),
            Object::Pieces(pieces) => drop(pieces),
        }
    }
}

struct Slot {
    /// Odd while occupied; a handle carries the value it was made with. 2^31 uses of one slot retire it.
    generation: u32,
    object: Option<Object>,
}

struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

static TABLE: RwLock<Slots> = RwLock::new(Slots { slots: Vec::new(), free: Vec::new() });

/// Stores what `make` makes of its own handle.
pub fn insert<T>(make: impl FnOnce(u64) -> Result<(Object, T), Failure>) -> Result<(u64, T), Failure> {
    let mut table = TABLE.write().expect("handle table");
    let index = match table.free.last() {
        Some(&index) => index as usize,
        None => table.slots.len(),
    };
    let generation = table.slots.get(index).map_or(0, |slot| slot.generation) + 1;
    let handle = u64::from(generation) << 32 | index as u64;
    let (object, made) = make(handle)?;
    if index == table.slots.len() {
        table.slots.push(Slot { generation, object: Some(object) });
    } else {
        table.free.pop();
        table.slots[index] = Slot { generation, object: Some(object) };
    }
    Ok((handle, made))
}

pub fn get(handle: u64) -> Result<Object, Failure> {
    let table = TABLE.read().expect("handle table");
    match table.slots.get(handle as u32 as usize) {
        Some(slot) if u64::from(slot.generation) == handle >> 32 => slot.object.clone().ok_or(Code::Stale.into()),
        _ => Err(Code::Stale.into()),
    }
}

/// Takes the object out; its handle is stale from now on.
pub fn remove(handle: u64) -> Result<Object, Failure> {
    let mut table = TABLE.write().expect("handle table");
    let index = handle as u32;
    let slot = match table.slots.get_mut(index as usize) {
        Some(slot) if u64::from(slot.generation) == handle >> 32 => slot,
        _ => return Err(Code::Stale.into()),
    };
    let object = slot.object.take().ok_or(Failure::from(Code::Stale))?;
    slot.generation += 1;
    if slot.generation < u32::MAX - 1 {
        table.free.push(index);
    }
    Ok(object)
}

pub fn connections() -> Vec<Arc<ConnectionObject>> {
    let table = TABLE.read().expect("handle table");
    let connection = |slot: &Slot| match &slot.object {
        Some(Object::Connection(connection)) => Some(connection.clone()),
        _ => None,
    };
    table.slots.iter().filter_map(connection).collect()
}

/// Takes every object out.
pub fn remove_all() -> Vec<Object> {
    let mut table = TABLE.write().expect("handle table");
    let mut objects = Vec::new();
    for index in 0..table.slots.len() {
        if let Some(object) = table.slots[index].object.take() {
            table.slots[index].generation += 1;
            table.free.push(index as u32);
            objects.push(object);
        }
    }
    objects
}

macro_rules! typed {
    ($name:ident, $variant:ident, $type:ty) => {
        pub fn $name(handle: u64) -> Result<Arc<$type>, Failure> {
            match get(handle)? {
                Object::$variant(object) => Ok(object),
                _ => Err(Code::Stale.into()),
            }
        }
    };
}

#[cfg(feature = "relay")]
typed!(relay, Relay, RelayObject);
typed!(queue, Loop, Queue);
typed!(endpoint, Endpoint, EndpointObject);
typed!(listener, Listener, ListenerObject);
typed!(connection, Connection, ConnectionObject);
typed!(stream, Stream, StreamObject);
