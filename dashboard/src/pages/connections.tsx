import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Connection, get } from '../api';
import { bytes, count, duration, milliseconds, pageAt, percent, shortened } from '../format';
import { Diagram } from '../diagram';
import { type Column, Figure, Marks, Table, Time } from '../parts';
import { marks, status } from '../state';
import { pathChangeWords, pathWords } from '../words';

const PAGE = 50;
/** Of the changes of one connection's path. */
const CHANGES = 3;
const list = signal<{ total: number; connections: Connection[] } | null>(null);
const offset = signal(0);
const failure = signal('');

async function load(): Promise<void> {
  const wanted = offset.value;
  try {
    const loaded = await get<{ total: number; connections: Connection[] }>(`/api/v1/connections?offset=${wanted}&limit=${PAGE}`);
    if (offset.value !== wanted) return; // Another page was asked for meanwhile.
    list.value = loaded;
    offset.value = pageAt(wanted, loaded.total, PAGE);
    failure.value = '';
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
  }
}

function healthWords(connection: Connection): string {
  return connection.health === 'healthy' ? 'good' : `${connection.health}: ${connection.health_reason}`;
}

const COLUMNS: Column<Connection>[] = [
  {
    title: 'With',
    cell: (connection) => (
      <div>
        <strong>{connection.client_id === 0 ? 'the pool above' : `client ${connection.client_id}`}</strong>
        <span class="note name" title={connection.peer}>
          {shortened(connection.peer, 30)}
        </span>
      </div>
    ),
  },
  {
    title: 'Path',
    cell: (connection) => (
      <span class={connection.path === 'relayed' ? 'warn' : 'good'}>
        {connection.transport === 'iroh' ? 'iroh' : 'TCP'}, {pathWords(connection.path, connection.transport)}
      </span>
    ),
  },
  { title: 'Round trip', number: true, cell: (connection) => milliseconds(connection.rtt_seconds) },
  {
    title: 'Lost',
    number: true,
    cell: (connection) =>
      connection.packets_sent === 0 ? 'not known' : connection.packets_lost === 0 ? 'none' : percent(connection.packets_lost, connection.packets_sent),
  },
  { title: 'Lanes', number: true, cell: (connection) => count(connection.lanes) },
  { title: 'Health', cell: healthWords },
  {
    title: 'Path changes',
    cell: (connection) => (
      <div>
        {count(connection.path_changes)}
        {connection.path_history
          .slice(-CHANGES)
          .reverse()
          .map((change, i) => (
            <span class="note name" key={i}>
              <Time at={change.at} now={status.value?.at ?? 0} /> {pathChangeWords(change)}
            </span>
          ))}
      </div>
    ),
  },
  { title: 'Sent, received', number: true, cell: (connection) => `${bytes(connection.bytes_sent)}, ${bytes(connection.bytes_received)}` },
  { title: 'Since', number: true, cell: (connection) => duration(connection.age_seconds) },
  {
    title: 'Proved key',
    cell: (connection) => <span class="name">{connection.authority === '' ? 'none' : shortened(connection.authority, 20)}</span>,
  },
];

export function Connections() {
  const now = status.value;
  useEffect(() => void load(), [now?.at, offset.value]);
  const shown = list.value;
  return (
    <>
      {now?.connections ? (
        <dl class="figures">
          <Figure label="Over iroh">{count(now.connections.iroh)}</Figure>
          <Figure label="Over TCP">{count(now.connections.tcp)}</Figure>
          <Figure label="By a relay" note="slower, but they work">
            {count(now.connections.relayed)}
          </Figure>
          <Figure label="Not healthy">{count(now.connections.degraded)}</Figure>
        </dl>
      ) : null}
      {failure.value === '' ? null : <p role="alert">{failure.value}</p>}
      <Diagram role={now?.role ?? ''} connections={shown?.connections ?? []} total={shown?.total ?? 0} />
      {now?.sv1 ? <p>Stratum V1 miners are on “Miners”; here is what carries their shares.</p> : null}
      <Table
        label="Connections"
        columns={COLUMNS}
        rows={shown?.connections ?? []}
        keyOf={(connection, i) => `${connection.client_id} ${connection.peer} ${i}`}
        empty="There is no connection."
      />
      {shown !== null && shown.total > PAGE ? (
        <div class="choices">
          <button type="button" disabled={offset.value === 0} onClick={() => (offset.value = Math.max(0, offset.value - PAGE))}>
            Back
          </button>
          <span>
            {count(offset.value + 1)} to {count(Math.min(shown.total, offset.value + PAGE))} of {count(shown.total)}
          </span>
          <button type="button" disabled={offset.value + PAGE >= shown.total} onClick={() => (offset.value += PAGE)}>
            Next
          </button>
        </div>
      ) : null}
      <section aria-labelledby="paths">
        <h2 id="paths">How the path to the pool changed</h2>
        <Marks
          marks={marks.value.filter((mark) => mark.kind === 'path' || mark.kind === 'upstream').slice(-20).reverse()}
          now={now?.at ?? 0}
          empty={now?.server ? 'It has not changed while this page remembers.' : 'This role dials no pool.'}
        />
      </section>
    </>
  );
}
