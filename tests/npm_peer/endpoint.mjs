// An endpoint of the npm package on loopback, which knows nothing of relays.
import { Endpoint, EndpointAddr, EndpointId, RelayMode, presetMinimal } from '@number0/iroh'

// This binding takes and gives bytes as arrays of numbers.
export const bytes = (text) => Array.from(Buffer.from(text))

export async function bind(alpn) {
  const builder = Endpoint.builder()
  presetMinimal(builder)
  builder.alpns([bytes(alpn)])
  builder.relayMode(RelayMode.disabled())
  builder.bindAddr('127.0.0.1:0')
  return builder.bind()
}

export const dial = (endpoint, id, address, alpn) => endpoint.connect(new EndpointAddr(EndpointId.fromString(id), null, [address]), bytes(alpn))
