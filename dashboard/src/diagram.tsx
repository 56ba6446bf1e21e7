// Who is connected with whom, and how, as a drawing. The table beside it says the same in words.
import type { Connection } from './api';
import { milliseconds, shortened } from './format';

const WIDTH = 720;
const ROW = 34;
const MOST = 10;
const LEFT = 91;
const MIDDLE = WIDTH / 2;
const RIGHT = WIDTH - LEFT;
/** Half of a box's width. */
const PEER = 90;
const OWN = 65;

function Box({ x, y, half, text }: { x: number; y: number; half: number; text: string }) {
  return (
    <g class={half === OWN ? 'own' : undefined}>
      <rect x={x - half} y={y - 14} width={2 * half} height="28" rx="6" />
      <text x={x} y={y + 4.5} text-anchor="middle">
        {text}
      </text>
    </g>
  );
}

function Path({ from, to, connection }: { from: [number, number]; to: [number, number]; connection: Connection }) {
  const relayed = connection.path === 'relayed';
  const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  const healthy = connection.health === 'healthy';
  return (
    <g class={healthy ? 'path' : 'path bad'}>
      <line x1={from[0]} y1={from[1]} x2={to[0]} y2={to[1]} stroke-dasharray={relayed ? '6 5' : undefined} />
      {relayed ? <circle cx={x} cy={y} r="5" /> : null}
    </g>
  );
}

export function Diagram({ role, connections, total }: { role: string; connections: Connection[]; total: number }) {
  const above = connections.filter((connection) => connection.client_id === 0).slice(0, MOST);
  const below = connections.filter((connection) => connection.client_id !== 0).slice(0, MOST);
  if (above.length + below.length === 0) return null;
  const rows = Math.max(above.length, below.length, 1);
  const height = rows * ROW + 24;
  const middle = (rows * ROW) / 2;
  const at = (i: number, of: number): number => middle + (i - (of - 1) / 2) * ROW;
  const rest = total - above.length - below.length;
  const label = (connection: Connection): string =>
    [
      connection.client_id === 0 ? 'pool' : `client ${connection.client_id}`,
      connection.transport === 'iroh' ? 'iroh' : 'TCP',
      connection.rtt_seconds === undefined ? '' : milliseconds(connection.rtt_seconds),
    ].join(' ');
  return (
    <figure class="diagram">
      <svg viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label="Who is connected, and how: the table says it in words">
        {above.map((connection, i) => (
          <Path key={`${connection.peer} ${i}`} connection={connection} from={[LEFT + PEER, at(i, above.length)]} to={[MIDDLE - OWN, middle]} />
        ))}
        {below.map((connection, i) => (
          <Path key={`${connection.client_id} ${i}`} connection={connection} from={[MIDDLE + OWN, middle]} to={[RIGHT - PEER, at(i, below.length)]} />
        ))}
        <Box x={MIDDLE} y={middle} half={OWN} text={shortened(role || 'this role', 16)} />
        {above.map((connection, i) => (
          <Box key={`${connection.peer} ${i}`} x={LEFT} y={at(i, above.length)} half={PEER} text={label(connection)} />
        ))}
        {below.map((connection, i) => (
          <Box key={`${connection.client_id} ${i}`} x={RIGHT} y={at(i, below.length)} half={PEER} text={label(connection)} />
        ))}
        {rest > 0 ? (
          <text class="rest" x={RIGHT} y={height - 4} text-anchor="middle">
            and {rest} more
          </text>
        ) : null}
      </svg>
      <figcaption class="note">A whole line: directly. A broken one with a dot: by a relay. Red: not healthy.</figcaption>
    </figure>
  );
}
