import { describe, expect, it } from 'vitest';
import type { Columns, History, Mark, Miner, Status } from '../src/api';
import { keyOf, lastShare, look } from '../src/pages/miners';
import { onlyThisMachine, snippets } from '../src/snippets';
import { appended, merged, unheardFor, withGaps, withHealth } from '../src/state';

function columns(at: number[]): Columns {
  return {
    at,
    measured_hps: at.map((t) => t * 10),
    declared_hps: at,
    accepted: at.map(() => 1),
    rejected: at.map(() => 0),
    miners: at.map(() => 1),
    rtt_ms: at.map(() => null),
  };
}

function past(at: number[], length_secs = 10): History {
  return { ...columns(at), span: '10m', length_secs, id: 1, marks: [] };
}

describe('the past', () => {
  it('grows by what comes', () => {
    const grown = appended(past([1, 2]), columns([3]));
    expect(grown.at).toEqual([1, 2, 3]);
    expect(grown.measured_hps).toEqual([10, 20, 30]);
  });
  it('takes nothing twice', () => {
    expect(appended(past([1, 2, 3]), columns([2, 3, 4])).at).toEqual([1, 2, 3, 4]);
    const same = past([1, 2, 3]);
    expect(appended(same, columns([2, 3]))).toEqual(same);
    expect(appended(same, columns([1, 2]))).toBe(same);
    expect(appended(same, columns([]))).toBe(same);
  });
  it('takes a point anew that another look was put into', () => {
    const again = appended(past([1, 2]), { ...columns([2, 3]), accepted: [7, 1] });
    expect(again.at).toEqual([1, 2, 3]);
    expect(again.accepted).toEqual([1, 7, 1]);
  });
  it('forgets what is older than its span', () => {
    const grown = appended(past([1, 2, 3, 12]), columns([13]));
    expect(grown.at).toEqual([3, 12, 13]);
    expect(grown.rtt_ms).toHaveLength(3);
  });
  it('begins with what comes', () => {
    expect(appended(past([]), columns([5])).at).toEqual([5]);
  });
});

describe('a plot', () => {
  it('has nothing where the role did not run', () => {
    const [at, first, second] = withGaps([1, 2, 3, 13, 14], [[1, 1, 1, 1, 1], [2, null, 2, 2, 2]]);
    expect(at).toEqual([1, 2, 3, 8, 13, 14]);
    expect(first).toEqual([1, 1, 1, null, 1, 1]);
    expect(second).toEqual([2, null, 2, null, 2, 2]);
  });
  it('is whole otherwise', () => {
    for (const at of [[], [1], [1, 2], [10, 20, 32, 40, 65]]) expect(withGaps(at, [at])).toEqual([at, at]);
  });
});

describe('marks', () => {
  const mark = (at: number, text = 'x'): Mark => ({ at, kind: 'tip', text });
  it('are in order and without doubles', () => {
    expect(merged([mark(2)], [mark(1), mark(2), mark(3)]).map((m) => m.at)).toEqual([1, 2, 3]);
    const same = [mark(2)];
    expect(merged(same, [mark(2)])).toBe(same);
  });
  it('are bounded', () => {
    const many = Array.from({ length: 1000 }, (_, i) => mark(i));
    expect(merged([], many)).toHaveLength(64);
    expect(merged([], many).at(-1)?.at).toBe(999);
  });
});

describe('silence', () => {
  it('counts once more time has passed than between two snapshots', () => {
    expect(unheardFor(0, 15_000, 1)).toBe(null);
    expect(unheardFor(0, 21_000, 1)).toBe(21);
    expect(unheardFor(0, 60_000, 60)).toBe(null);
    expect(unheardFor(0, 66_000, 60)).toBe(66);
  });
});

describe('a verdict that comes between two statuses', () => {
  const health = { status: 'ok', timestamp: 112, ready: true, state: 'ready' as const, message: null, since: 100, work_age_seconds: 20 };
  const before = { at: 102, uptime_secs: 50, health: { ...health, work_age_seconds: 40 } } as Status;
  it('leaves the moment of which all ages are', () => {
    const joined = withHealth(before, health, 10);
    expect(joined.at).toBe(102);
    expect(joined.health.since).toBe(100);
    expect((joined.health.work_age_seconds ?? 0) + 10).toBe(20);
    expect(withHealth(before, { ...health, work_age_seconds: null }, 10).health.work_age_seconds).toBe(null);
  });
});

describe('miners', () => {
  const miner: Miner = {
    kind: 'channel',
    client_id: 1,
    channel_id: 2,
    name: 'a',
    address: null,
    client_kind: 'unknown',
    vendor: null,
    hardware_version: null,
    firmware: null,
    user_agent: null,
    hashrate_hps: 5,
    declared_hps: 5,
    shares_accepted: 1,
    shares_rejected: 0,
    shares_rejected_by_reason: null,
    best_difficulty: null,
    last_share_seconds: null,
  };
  it('have the time of their last share from when their count grew', () => {
    look([miner], 1000);
    expect(lastShare(miner, 5000)).toBe(null);
    look([{ ...miner, shares_accepted: 2 }], 2000);
    expect(lastShare(miner, 5000)).toBe(3);
    expect(lastShare({ ...miner, last_share_seconds: 1 }, 5000)).toBe(1);
    // One that has gone and comes back begins anew.
    look([], 6000);
    look([{ ...miner, shares_accepted: 2 }], 7000);
    expect(lastShare(miner, 8000)).toBe(null);
  });
  it('are told apart by connection and channel, workers by name', () => {
    expect(keyOf(miner)).not.toBe(keyOf({ ...miner, channel_id: 3 }));
    expect(keyOf({ ...miner, kind: 'worker' })).not.toBe(keyOf({ ...miner, kind: 'worker', name: 'b' }));
  });
});

describe('snippets', () => {
  it('give a Bitaxe host, port and key apart', () => {
    const tcp = { transport: 'tcp' as const, url: 'stratum2+tcp://10.0.0.1:3333/KEY', host: '10.0.0.1', port: 3333, authority: 'KEY' };
    const [bitaxe] = snippets(tcp);
    expect(bitaxe?.text).toContain('Stratum host: 10.0.0.1\nStratum port: 3333\nAuthority key: KEY\n');
    expect(snippets(tcp).at(-1)?.text).toContain('url = "stratum2+tcp://10.0.0.1:3333/KEY"');
  });
  it('offer iroh to Adit alone', () => {
    const iroh = { transport: 'iroh' as const, url: 'stratum2+iroh://e/k', host: 'e', port: null, authority: 'k' };
    expect(snippets(iroh).map((snippet) => snippet.title)).toEqual(['An Adit translator']);
  });
  it('know what only this machine reaches', () => {
    expect(onlyThisMachine('127.0.0.1')).toBe(true);
    expect(onlyThisMachine('::1')).toBe(true);
    expect(onlyThisMachine('192.168.1.5')).toBe(false);
  });
});
