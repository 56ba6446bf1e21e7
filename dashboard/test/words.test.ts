import { describe, expect, it } from 'vitest';
import type { ClientNames, Connection, Health, Side, Status, Work } from '../src/api';
import { alertWords, answer, checkFindings, clockWords, expectedBlock, findings, pathChangeWords, pathWords, program, provenRate, reason, reasons, sentence } from '../src/words';

const health: Health = { status: 'ok', timestamp: 0, ready: true, state: 'ready', message: null, since: 0, work_age_seconds: 1 };
const side: Side = {
  connections: 1,
  channels: 3,
  workers: 0,
  declared_hps: 5e12,
  measured_hps: 4.2e12,
  shares_accepted: 10,
  shares_rejected: 0,
  shares_rejected_by_reason: {},
  blocks_found: 0,
};
const connection: Connection = {
  client_id: 0,
  transport: 'iroh',
  peer: 'abc',
  source: '',
  path: 'direct',
  lanes: 2,
  sessions: 1,
  authority: '',
  health: 'healthy',
  health_reason: 'none',
  rtt_seconds: 0.0231,
  bytes_sent: 0,
  bytes_received: 0,
  packets_sent: 0,
  packets_lost: 0,
  path_changes: 0,
  path_history: [],
  age_seconds: 1,
  channels: 1,
};
const translator: Status = {
  role: 'translator',
  version: '1',
  host_name: 'box',
  at: 0,
  uptime_secs: 5,
  refresh_secs: 1,
  health,
  server: side,
  clients: null,
  sv1: { clients: 3, hashrate_hps: 4e12 },
  work: null,
  best_share: null,
  miners: 3,
  upstream_connection: connection,
};
const work: Work = {
  height: 1,
  network: 'mainnet',
  difficulty: 1e14,
  reward_sat: null,
  fees_sat: null,
  coinbase: null,
  pieces: 0,
  node: null,
  nodes: [],
  blocks_accepted: 0,
  blocks_rejected: 0,
  blocks_unanswered: 0,
  blocks: [],
};

describe("the chain's answer to a block", () => {
  it('is in words, and has the word of the node where that says more', () => {
    const block = { hash: '00ab', height: 7, verdict: 'accepted', reason: null, node: null, at: 0 };
    expect(answer(block)).toBe('accepted');
    expect(answer({ ...block, verdict: 'duplicate' })).toBe('accepted');
    expect(answer({ ...block, verdict: 'stale' })).toBe('another block came first');
    expect(answer({ ...block, verdict: 'rejected', reason: 'bad-cb-amount', node: '127.0.0.1:8332' })).toBe('refused by 127.0.0.1:8332: bad-cb-amount');
    expect(answer({ ...block, verdict: 'rejected', reason: 'high-hash' })).toBe('refused: high-hash');
  });
});

describe('a change of path', () => {
  it('is in words', () => {
    const change = { at: 0, from: 'relayed', to: 'direct', address: '192.0.2.1:4433' };
    expect(pathChangeWords(change)).toBe('by a relay, then direct, 192.0.2.1:4433');
    expect(pathChangeWords({ ...change, from: 'direct' })).toBe('another address, 192.0.2.1:4433');
    expect(pathChangeWords({ ...change, to: 'relayed', address: 'https://relay/' })).toBe('another relay, https://relay/');
    expect(pathChangeWords({ ...change, from: 'unknown' })).toBe('direct, 192.0.2.1:4433');
    expect(pathChangeWords({ ...change, to: 'unknown', address: '' })).toBe('by a relay, then not known');
  });
});

describe("the role's checks of itself", () => {
  it('are in words with their cures, the worst first', () => {
    const found = checkFindings([
      { number: 1, name: 'clock', status: 'ok', findings: [{ status: 'ok', message: 'the clock is set by NTP', cure: null }] },
      {
        number: 3,
        name: 'files',
        status: 'failure',
        findings: [
          { status: 'warning', message: 'it is on nfs', cure: 'name a local folder' },
          { status: 'failure', message: 'the disk is full', cure: 'free some space' },
        ],
      },
    ]);
    expect(found).toEqual([
      { tone: 'bad', words: 'Failure', name: 'files', message: 'the disk is full', cure: 'free some space' },
      { tone: 'warn', words: 'Warning', name: 'files', message: 'it is on nfs', cure: 'name a local folder' },
      { tone: 'good', words: 'OK', name: 'clock', message: 'the clock is set by NTP', cure: null },
    ]);
  });
  it('are nothing before the first', () => {
    expect(checkFindings([])).toEqual([]);
  });
});

describe('the sentence', () => {
  it('says how a translator mines, and how the pool is reached', () => {
    expect(sentence(translator, null)).toEqual({
      tone: 'good',
      text: 'Mining: 3 miners, 4.2 TH/s, pool reached directly over iroh in 23 ms.',
    });
  });
  it('says that a relay is in between, and that a connection is bad', () => {
    const relayed = { ...translator, upstream_connection: { ...connection, path: 'relayed', health: 'degraded', health_reason: 'slow' } };
    expect(sentence(relayed, null)).toEqual({
      tone: 'warn',
      text: 'Mining: 3 miners, 4.2 TH/s, pool reached by a relay over iroh in 23 ms, but the connection is slow.',
    });
  });
  it('says what a pool works on', () => {
    const pool: Status = { ...translator, role: 'pool', clients: side, server: null, sv1: null, work: { ...work, height: 900001 }, upstream_connection: null };
    expect(sentence(pool, null).text).toBe('Mining: 3 miners, 4.2 TH/s, work for block 900,001.');
  });
  it('asks for no miner where none can come', () => {
    const jds: Status = { ...translator, role: 'jd-server', miners: 0, server: null, sv1: null, work: { ...work, height: 7 }, upstream_connection: null };
    expect(sentence(jds, null)).toEqual({ tone: 'good', text: 'Checking declared jobs for block 7.' });
  });
  it('says what to do where nobody mines', () => {
    expect(sentence({ ...translator, miners: 0 }, null)).toEqual({
      tone: 'idle',
      text: 'Ready: no miner is connected yet. The pool is reached directly over iroh in 23 ms. “Pair” shows how to connect one.',
    });
  });
  it('does not claim a rate before the first share', () => {
    const fresh = { ...translator, server: { ...side, measured_hps: 0 }, sv1: { clients: 1, hashrate_hps: 0 }, miners: 1 };
    expect(sentence(fresh, null).text).toContain('1 miner, no share yet');
  });
  it('says why nothing is mined', () => {
    const lost: Status = { ...translator, health: { ...health, ready: false, state: 'upstream-lost', message: 'no upstream is connected any more' } };
    expect(sentence(lost, null)).toEqual({
      tone: 'bad',
      text: 'Not mining: the pool is not connected: no upstream is connected any more.',
    });
    const starting: Status = { ...translator, health: { ...health, ready: false, state: 'starting', message: null } };
    expect(sentence(starting, null)).toEqual({ tone: 'warn', text: 'Starting.' });
  });
  it('shows a caution of a role that is ready', () => {
    const caution = { ...translator, health: { ...health, message: 'the node takes no transactions' } };
    expect(sentence(caution, null).tone).toBe('warn');
    expect(sentence(caution, null).text).toContain('the node takes no transactions');
  });
  it('says that it is old news once Adit does not answer', () => {
    expect(sentence(translator, 12.4)).toEqual({
      tone: 'bad',
      text: 'Adit has not answered for 12 seconds: what is shown here is as old.',
    });
    // A stream that is renewed at once is nothing to speak of.
    expect(sentence(translator, 1).tone).toBe('good');
    expect(sentence(null, null).tone).toBe('idle');
    expect(sentence(null, 1).tone).toBe('bad');
  });
});

describe('rates', () => {
  it('are those that the pool acknowledges, else what miners prove', () => {
    expect(provenRate(translator)).toBe(4.2e12);
    expect(provenRate({ ...translator, server: { ...side, measured_hps: 0 } })).toBe(4e12);
    expect(provenRate({ ...translator, server: { ...side, measured_hps: 0, shares_accepted: 0, shares_rejected: 3 } })).toBe(0);
  });
});

describe('reasons', () => {
  it('are words, the most frequent first', () => {
    expect(reasons({ 'stale-share': 1, 'duplicate-share': 5, 'invalid-share': 0 }).map(([code]) => code)).toEqual(['duplicate-share', 'stale-share']);
    expect(reason('stale-share')).toContain('too late');
    expect(reason('<b>new</b>')).toBe('<b>new</b>');
  });
});

describe('paths', () => {
  it('say why they are relayed', () => {
    expect(pathWords('direct', 'tcp')).toBe('direct');
    expect(pathWords('unknown', 'tcp')).toBe('direct');
    expect(pathWords('relayed', 'iroh')).toContain('could not reach each other');
    expect(pathWords('unknown', 'iroh')).toBe('not known yet');
  });
});

describe('the expected time to a block', () => {
  it('is that of the hash rate that shares prove, by the difficulty of the network', () => {
    expect(expectedBlock({ ...translator, work })).toBeCloseTo((1e14 * 2 ** 32) / 4.2e12, -3);
  });
  it('is not told where either is not known', () => {
    expect(expectedBlock(translator)).toBeNull();
    expect(expectedBlock({ ...translator, work: { ...work, difficulty: null } })).toBeNull();
    expect(expectedBlock({ ...translator, work, server: { ...side, measured_hps: 0 }, sv1: null })).toBeNull();
  });
});

describe('what mines', () => {
  const nobody: ClientNames = { client_kind: 'unknown', vendor: null, hardware_version: null, firmware: null, user_agent: null };
  it('is called as it calls itself', () => {
    expect(program({ ...nobody, vendor: 'Bitmain', hardware_version: 'S19', firmware: '1.2' })).toBe('Bitmain S19 1.2');
    expect(program({ ...nobody, client_kind: 'miner', user_agent: 'cgminer/4.12' })).toBe('cgminer/4.12');
    expect(program({ ...nobody, client_kind: 'translator_proxy', vendor: 'SRI', hardware_version: 'Translator Proxy' })).toBe(
      'SRI Translator Proxy (a translator)',
    );
  });
  it('is not known where it does not say', () => {
    expect(program(nobody)).toBe('not known');
    expect(program({ ...nobody, client_kind: 'translator_proxy' })).toBe('a translator');
  });
});

describe('alerts', () => {
  it('have words, and the code where there are none', () => {
    expect(alertWords('miner_gone')).toBe('A miner is gone');
    expect(alertWords('something')).toBe('something');
  });
});

describe('findings', () => {
  const upstream = { url: 'stratum2+tcp://pool', ready: true, error: null, connects: 1, fallbacks: 0 };
  const texts = (status: Status): string[] => findings(status).map(({ text }) => text);

  it('are none where all is well, whatever parts the status lacks', () => {
    expect(findings(translator)).toEqual([{ tone: 'good', text: 'Nothing: it works.' }]);
    expect(texts({ ...translator, upstreams: [upstream] })).toEqual(['Nothing: it works.']);
  });
  it('name a pool that is not connected once for all shards, and do not say that it works', () => {
    const away = { ...upstream, ready: false, error: 'refused' };
    expect(findings({ ...translator, upstreams: [upstream, away, away] })).toEqual([
      { tone: 'bad', text: 'Not connected to stratum2+tcp://pool: refused' },
    ]);
    expect(texts({ ...translator, upstreams: [{ ...away, url: '', error: null }] })).toEqual(['Not connected to a pool']);
  });
  it('name what the role says, clocks that differ and connections that are degraded', () => {
    const node = { name: 'a', state: 'ready', message: null, in_use: true, height: 1, clock_ahead_seconds: -12 };
    expect(
      findings({
        ...translator,
        health: { ...health, message: 'the log cannot be written' },
        work: { ...work, nodes: [node, { ...node, name: 'b', clock_ahead_seconds: 9 }, { ...node, name: 'c', clock_ahead_seconds: null }] },
        connections: { tcp: 1, iroh: 0, relayed: 0, degraded: 1 },
      }).map(({ tone }) => tone),
    ).toEqual(['warn', 'warn', 'warn']);
    expect(texts({ ...translator, health: { ...health, ready: false, state: 'starting' } })).toEqual(['Starting.']);
  });
});

describe('clockWords', () => {
  it('tell which of the two is ahead', () => {
    expect([null, 0, 3, -5].map(clockWords)).toEqual(['not known', 'as ours', '3 s ahead of ours', '5 s behind ours']);
  });
});
