// The npm package's endpoint as a peer of a pool that breaks the rules of lanes (docs/lanes.md); prints as JSON what became of it:
//   connections ID ADDRESS  one connection for each thing that ends it: how it was closed
//   sessions ID ADDRESS     on one connection a session for each thing that ends it: the codes by which its lanes were reset, and
//                           how many answers a healthy session beside them had to so many questions; at last what ends them all
import { bind, dial } from './endpoint.mjs'

const ALPN = 'adit/sv2/1'
const CONTROL = 1
const DATA = 2
const BULK = 3
const EXTENSION = 0x4ad1
const CHANNEL = 0x8000 // the bit of messages that begin with a channel's id
const ENDLESS = 0xffff_ffff_ffff_ffffn

// ---- bytes

function le(value, size) {
  const out = []
  for (let rest = BigInt(value); out.length < size; rest >>= 8n) out.push(Number(rest & 0xffn))
  return out
}
const text = (words) => [words.length, ...Buffer.from(words)]
const frame = (extension, type, payload) => [...le(extension, 2), type, ...le(payload.length, 3), ...payload]

const setup = frame(0, 0x00, [0, ...le(2, 2), ...le(2, 2), ...le(0, 4), ...text('pool'), ...le(0, 2), ...text('npm'), ...text(''), ...text(''), ...text('')])
const openChannel = frame(0, 0x10, [...le(1, 4), ...text('npm'), 0, 0, 0x80, 0x3f, ...Array(32).fill(0xff)])
const share = (channel, number) => frame(CHANNEL, 0x1a, [...le(channel, 4), ...le(number, 4), ...le(1, 4), ...le(0, 12)])
const closeChannel = frame(CHANNEL, 0x18, [...le(1, 4), ...text('over')])
const ping = (nonce) => frame(EXTENSION, 0x02, le(nonce, 8).concat(le(0, 8)))
const controlMark = (count) => frame(EXTENSION, 0x04, le(count, 8))
const dataMark = (count) => frame(EXTENSION, 0x05, le(count, 8))
const preface = (lane, session, { version = 1, protocol = 0, fourth = 0 } = {}) => [version, lane, protocol, fourth, ...le(session, 8)]
const garbage = Array(64).fill(0xff)

// ---- lanes

/// Answers Pings, as whoever is to be taken for alive must.
class Lane {
  #heard = []
  #wake = () => {}
  constructor(stream) {
    this.send = stream.send
    this.recv = stream.recv
    /// Settles when nothing more comes.
    this.ended = this.#read().catch(() => {})
  }

  write(...frames) {
    return this.send.writeAll(frames.flat())
  }

  /// The payload of the next frame of that extension and type; those before it are passed over.
  async next(extension, type) {
    for (;;) {
      const at = this.#heard.findIndex((each) => each.extension === extension && each.type === type)
      if (at >= 0) return this.#heard.splice(0, at + 1)[at].payload
      const over = await Promise.race([new Promise((resolve) => (this.#wake = resolve)), this.ended.then(() => 'over')])
      if (over) throw new Error(`the lane has ended and message ${type} has not come`)
    }
  }

  /// The code of its reset; null if it was finished.
  async code() {
    await this.ended
    return this.recv.receivedReset()
  }

  async #read() {
    const rest = []
    for (;;) {
      const got = await this.recv.read(16384)
      if (got.length === 0) return
      rest.push(...got)
      while (rest.length >= 6) {
        const size = 6 + rest[3] + 256 * rest[4] + 65536 * rest[5]
        if (rest.length < size) break
        const [low, high, type, , , , ...payload] = rest.splice(0, size)
        const extension = (low + 256 * high) & ~CHANNEL
        if (extension === EXTENSION && type === 0x02) await this.write(frame(EXTENSION, 0x03, payload))
        else this.#heard.push({ extension, type, payload })
      }
      this.#wake()
    }
  }
}

async function open(connection, first) {
  const lane = new Lane(await connection.openBi())
  await lane.write(first)
  return lane
}
async function session(connection, number) {
  const lanes = [await open(connection, preface(CONTROL, number)), await open(connection, preface(DATA, number))]
  await lanes[0].write(setup)
  await lanes[0].next(0, 0x01)
  return lanes
}

// ---- what ends a connection

const twice = (lane, number) => [preface(lane, number), preface(lane, number)]
const CONNECTIONS = {
  garbage: [garbage],
  'another version': [preface(CONTROL, 1, { version: 2 })],
  'no such lane': [preface(9, 1)],
  'bulk in a mining session': [preface(BULK, 1)],
  'no such protocol': [preface(CONTROL, 1, { protocol: 7 })],
  'a fourth byte': [preface(CONTROL, 1, { fourth: 1 })],
  'a lane twice': twice(CONTROL, 1),
  'two protocols in one session': [preface(CONTROL, 1), preface(BULK, 1, { protocol: 1 })],
  'a number used before': [preface(CONTROL, 1), preface(DATA, 1), preface(CONTROL, 1)],
  'the last of all numbers': [preface(CONTROL, ENDLESS)],
  'sessions without end': Array.from({ length: 17 }, (_, at) => preface(CONTROL, at + 1)),
}

async function connections(endpoint, id, address) {
  const ends = {}
  for (const [what, streams] of Object.entries(CONNECTIONS)) {
    const connection = await dial(endpoint, id, address, ALPN)
    for (const begins of streams) await open(connection, begins).catch(() => {}) // what was closed already takes no more
    ends[what] = await connection.closed()
  }
  return ends
}

// ---- what ends a session

const SESSIONS = {
  'garbage on control': (control) => control.write(garbage),
  'garbage on data': (_, data) => data.write(garbage),
  'a share on control': (control) => control.write(share(1, 1)),
  'control on data': (_, data) => data.write(setup),
  'a mark of the other lane': (control) => control.write(controlMark(1)),
  'a share behind a ControlMark of 2^64-1': (_, data) => data.write(controlMark(ENDLESS), share(1, 1)),
  'a CloseChannel behind a DataMark of 2^64-1': (control) => control.write(dataMark(ENDLESS), closeChannel),
  'a ControlMark that is not above the last': (_, data) => data.write(controlMark(1), share(1, 1), controlMark(1)),
  'more control than may wait': (control) => control.write(...Array.from({ length: 65 }, () => [...dataMark(1), ...closeChannel])),
  'one lane finished, the other not': (_, data) => data.send.finish(),
  'one lane reset': (_, data) => data.send.reset(3n),
}

async function sessions(endpoint, id, address) {
  const connection = await dial(endpoint, id, address, ALPN)
  const [control, data] = await session(connection, 1)
  await control.write(openChannel)
  const channel = Number(Buffer.from(await control.next(0, 0x11)).readUInt32LE(4))

  let asked = 0
  let answered = 0
  const ask = async () => {
    asked += 2
    await control.write(ping(asked))
    await data.write(share(channel, asked))
    if (Buffer.from(await control.next(EXTENSION, 0x03)).readBigUInt64LE() === BigInt(asked)) ++answered
    if (Buffer.from(await data.next(0, 0x1d)).readUInt32LE(4) === asked) ++answered // SubmitShares.Error: there is no such job
  }

  let number = 1
  const ends = {}
  const pending = []
  for (const [what, harm] of Object.entries(SESSIONS)) {
    await ask()
    await new Promise((resolve) => setTimeout(resolve, 300)) // a pool tells of five a second
    const lanes = await session(connection, ++number)
    await harm(...lanes)
    pending.push(Promise.all(lanes.map((lane) => lane.code())).then((codes) => (ends[what] = codes)))
    await ask()
  }
  const lonely = await open(connection, preface(CONTROL, ++number))
  pending.push(lonely.code().then((code) => (ends['a session of one lane'] = [code])))
  await Promise.all(pending)
  await ask()
  const closed = connection.closeReason()
  await open(connection, preface(CONTROL, ++number, { version: 9 }))
  return { ends, asked, answered, closed, broken: await connection.closed() }
}

const [command, id, address] = process.argv.slice(2)
const endpoint = await bind(ALPN)
if (command === 'connections') console.log(JSON.stringify(await connections(endpoint, id, address)))
else if (command === 'sessions') console.log(JSON.stringify(await sessions(endpoint, id, address)))
else {
  console.error('usage: abuse.mjs connections|sessions ID ADDRESS')
  process.exit(2)
}
await endpoint.close()
