// The npm package's endpoint as a peer of ours, with the same test protocol as tests/iroh/peer.cpp:
//   serve                prints "ID ADDRESS", echoes every stream until it is ended by a signal
//   talk ID ADDRESS LEN  sends LEN bytes, reads them back, finishes both ways and prints what it saw as JSON
import { bind, bytes, dial } from './endpoint.mjs'

const ALPN = 'adit-test/1'
const CHUNK = 16384

async function echo(incoming) {
  const connection = await (await incoming.accept()).connect()
  const stream = await connection.acceptBi()
  for (;;) {
    const got = await stream.recv.read(CHUNK)
    if (got.length === 0) break
    await stream.send.writeAll(got)
  }
  await stream.send.finish()
  await connection.closed()
}

async function serve() {
  const endpoint = await bind(ALPN)
  console.log(`${endpoint.id()} ${endpoint.boundSockets().find((each) => each.startsWith('127.'))}`)
  for (;;) {
    const incoming = await endpoint.acceptNext()
    if (incoming === null) return
    echo(incoming).catch((error) => console.error(String(error)))
  }
}

async function talk(id, address, length) {
  const endpoint = await bind(ALPN)
  const connection = await dial(endpoint, id, address, ALPN)
  const stream = await connection.openBi()
  const sent = Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff)
  const heard = []
  const reading = (async () => {
    for (;;) {
      const got = await stream.recv.read(CHUNK)
      if (got.length === 0) return
      for (const byte of got) heard.push(byte)
    }
  })()
  for (let at = 0; at < length; at += CHUNK) await stream.send.writeAll(sent.slice(at, at + CHUNK))
  await stream.send.finish()
  await reading
  const same = heard.length === length && heard.every((byte, at) => byte === sent[at])
  const path = connection.paths().find((each) => each.isSelected)
  console.log(JSON.stringify({ same, remote: connection.remoteId().toString(), alpn: Buffer.from(connection.alpn()).toString(), direct: path?.isIp }))
  connection.close(1n, bytes('done'))
  await endpoint.close()
}

const [command, id, address, length] = process.argv.slice(2)
if (command === 'serve') await serve()
else if (command === 'talk') await talk(id, address, Number(length))
else {
  console.error('usage: peer.mjs serve | talk ID ADDRESS LEN')
  process.exit(2)
}
