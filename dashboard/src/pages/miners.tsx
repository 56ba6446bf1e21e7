import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get, type Miner, type Miners as Answer } from '../api';
import { ago, count, difficulty, hashrate, pageAt, plural, shortened } from '../format';
import { type Column, Table } from '../parts';
import { Sparkline } from '../plot';
import { age, status } from '../state';
import { program, reason, reasons } from '../words';

const PAGE = 50;
const KEPT = 60;

const answer = signal<Answer | null>(null);
const failure = signal('');
const search = signal('');
const sort = signal('-hashrate');
const offset = signal(0);

/** The last hash rates of each miner that was shown, and when its count of shares was seen to grow. */
interface Seen {
  rates: number[];
  shares: number;
  grewAt: number | null;
}
const seen = new Map<string, Seen>();

export function keyOf(miner: Miner): string {
  return `${miner.kind} ${miner.client_id} ${miner.channel_id ?? ''} ${miner.kind === 'worker' ? miner.name : ''}`;
}

export function look(miners: Miner[], now: number): void {
  const gone = new Set(seen.keys());
  for (const miner of miners) {
    const key = keyOf(miner);
    gone.delete(key);
    const before = seen.get(key);
    const rates = [...(before?.rates ?? []), miner.hashrate_hps ?? 0].slice(-KEPT);
    const grew = before !== undefined && miner.shares_accepted > before.shares;
    seen.set(key, { rates, shares: miner.shares_accepted, grewAt: grew ? now : (before?.grewAt ?? null) });
  }
  for (const key of gone) seen.delete(key);
}

/** Seconds since the last share: as the role says, else as far as this page has seen it. */
export function lastShare(miner: Miner, now: number): number | null {
  if (miner.last_share_seconds !== null) return miner.last_share_seconds;
  const grewAt = seen.get(keyOf(miner))?.grewAt ?? null;
  return grewAt === null ? null : (now - grewAt) / 1000;
}

function query(): string {
  return new URLSearchParams({ offset: String(offset.value), limit: String(PAGE), sort: sort.value, search: search.value }).toString();
}

async function load(): Promise<void> {
  const wanted = query();
  try {
    const loaded = await get<Answer>(`/api/v1/miners?${wanted}`);
    if (query() !== wanted) return; // Something else was asked for meanwhile.
    offset.value = pageAt(offset.value, loaded.total, PAGE);
    look(loaded.items, performance.now());
    answer.value = loaded;
    failure.value = '';
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
  }
}

const ORDERS: [string, string][] = [
  ['-hashrate', 'hash rate'],
  ['name', 'name'],
  ['-accepted', 'accepted shares'],
  ['-rejected', 'refused shares'],
  ['-best', 'best share'],
  ['-last_share', 'longest without a share'],
];

function why(miner: Miner): string | null {
  const list = reasons(miner.shares_rejected_by_reason ?? {});
  return list.length === 0 ? null : list.map(([code, shares]) => `${count(shares)} ${reason(code)}`).join('; ');
}

const COLUMNS: Column<Miner>[] = [
  { title: 'Name', cell: (miner) => <strong class="name">{miner.name || 'without a name'}</strong> },
  {
    title: 'Hash rate',
    number: true,
    cell: (miner) => (
      <>
        {miner.hashrate_hps !== null ? hashrate(miner.hashrate_hps) : miner.shares_accepted === 0 ? 'no share yet' : 'too few shares to tell'}
        <Sparkline values={seen.get(keyOf(miner))?.rates ?? []} />
      </>
    ),
  },
  {
    title: 'Last share',
    number: true,
    cell: (miner) => {
      const since = lastShare(miner, performance.now());
      return since === null ? (miner.shares_accepted > 0 ? 'not seen yet' : 'none') : ago(since);
    },
  },
  { title: 'Accepted', number: true, cell: (miner) => count(miner.shares_accepted) },
  {
    title: 'Refused',
    number: true,
    cell: (miner) => (
      <div>
        {count(miner.shares_rejected)}
        {why(miner) === null ? null : <span class="note">{why(miner)}</span>}
      </div>
    ),
  },
  { title: 'Best share', number: true, cell: (miner) => difficulty(miner.best_difficulty) },
  { title: 'Address', cell: (miner) => <span class="name" title={miner.address ?? undefined}>{shortened(miner.address ?? 'not known', 30)}</span> },
  { title: 'Program', cell: (miner) => <span class="name">{program(miner)}</span> },
];

export function Miners() {
  const at = status.value?.at;
  void age.value;
  useEffect(() => void load(), [at, search.value, sort.value, offset.value]);
  const now = answer.value;
  const change = (apply: () => void): void => {
    apply();
    offset.value = 0;
  };
  return (
    <>
      <form class="tools" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          Search
          <input
            type="search"
            value={search.value}
            placeholder="name, address or program"
            onInput={(event) => change(() => (search.value = event.currentTarget.value))}
          />
        </label>
        <label>
          Order by
          <select value={sort.value} onChange={(event) => change(() => (sort.value = event.currentTarget.value))}>
            {ORDERS.map(([order, words]) => (
              <option key={order} value={order}>
                {words}
              </option>
            ))}
          </select>
        </label>
      </form>
      {failure.value === '' ? null : <p role="alert">{failure.value}</p>}
      {now === null ? null : (
        <>
          <p role="status">
            {plural(now.total, 'miner')}
            {now.total === now.listed ? '' : ` of ${count(now.listed)}`}
          </p>
          <Table
            label="Miners"
            columns={COLUMNS}
            rows={now.items}
            keyOf={keyOf}
            empty={search.value === '' ? 'No miner is connected.' : 'No miner has that in its name, address or program.'}
          />
          {now.total > PAGE ? (
            <div class="choices">
              <button type="button" disabled={offset.value === 0} onClick={() => (offset.value = Math.max(0, offset.value - PAGE))}>
                Back
              </button>
              <span>
                {count(offset.value + 1)} to {count(Math.min(now.total, offset.value + PAGE))}
              </span>
              <button type="button" disabled={offset.value + PAGE >= now.total} onClick={() => (offset.value += PAGE)}>
                Next
              </button>
            </div>
          ) : null}
        </>
      )}
    </>
  );
}
