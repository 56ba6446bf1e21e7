// What error codes and states mean, in words for a person who did not read the specification.
import type { AnsweredBlock, Check, CheckStatus, ClientNames, Health, PathChange, Reasons, Side, Status } from './api';
import { count, hashrate, milliseconds, plural } from './format';

const REASONS: Record<string, string> = {
  'stale-share': 'too late: a new block or job had come meanwhile',
  'duplicate-share': 'sent twice',
  'difficulty-too-low': 'easier than what was asked for',
  'invalid-job-id': 'for a job that was never given',
  'invalid-channel-id': 'on a channel that is not open',
  'invalid-share': 'not valid: the clock of the miner may be wrong',
  'bad-extranonce-size': 'with an extranonce of the wrong size',
  'invalid-non-rollable-version-bit': 'with version bits changed that must stay',
  'version-rolling-not-allowed': 'with version rolling where the job forbids it',
  'too-many-shares': 'more than are counted for one block',
  'unauthorized-worker': 'of a worker that did not log in',
  'not-subscribed': 'before the miner had subscribed',
};

export function reason(code: string): string {
  return REASONS[code] ?? code;
}

/** The reasons that occurred, the most frequent first. */
export function reasons(all: Reasons): [string, number][] {
  return Object.entries(all)
    .filter(([, shares]) => shares > 0)
    .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** The side whose shares say how it goes: of a pool its clients, of a translator the pool above. */
export function mainSide(status: Status): Side | null {
  return status.clients ?? status.server;
}

/**
 * Hashes per second that shares prove. A pool counts whole difficulties, of which a small miner has none: then what its shares prove here
 * counts, unless the pool takes none of them.
 */
export function provenRate(status: Status): number {
  const side = mainSide(status);
  const refused = side !== null && side.shares_accepted === 0 && side.shares_rejected > 0;
  return side?.measured_hps || (refused ? 0 : (status.sv1?.hashrate_hps ?? 0));
}

/** Hashes that a share of difficulty 1 takes on average. */
const HASHES = 2 ** 32;

/** Seconds until those who mine here find a block, on average; null: not known, or nobody mines. */
export function expectedBlock(status: Status): number | null {
  const rate = provenRate(status);
  const difficulty = status.work?.difficulty ?? null;
  return difficulty === null || rate <= 0 ? null : (difficulty * HASHES) / rate;
}

const KINDS: Record<ClientNames['client_kind'], string | null> = {
  miner: null,
  translator_proxy: 'a translator',
  unknown: null,
};

/** What mines, by what it calls itself. */
export function program(names: ClientNames): string {
  const own = [names.vendor, names.hardware_version, names.firmware, names.user_agent].filter((text) => text !== null).join(' ');
  const kind = KINDS[names.client_kind];
  if (own === '') return kind ?? 'not known';
  return kind === null ? own : `${own} (${kind})`;
}

const ALERTS: Record<string, string> = {
  not_ready: 'The role cannot do its work',
  upstream: 'Pool',
  node: 'Node',
  clock: 'Clock',
  no_shares: 'No shares',
  miner_gone: 'A miner is gone',
  rejects: 'Refused shares',
  disk: 'Disk',
  descriptors: 'Open files',
  block: 'Block found',
};

export function alertWords(kind: string): string {
  return ALERTS[kind] ?? kind;
}

/** What the chain said of a block. */
export function answer(block: AnsweredBlock): string {
  if (block.verdict === 'accepted' || block.verdict === 'duplicate') return 'accepted';
  if (block.verdict === 'stale') return 'another block came first';
  return `refused${block.node === null ? '' : ` by ${block.node}`}${block.reason === null ? '' : `: ${block.reason}`}`;
}

/** How a node's clock goes beside this machine's. */
export function clockWords(ahead: number | null): string {
  if (ahead === null) return 'not known';
  return ahead === 0 ? 'as ours' : `${Math.abs(ahead)} s ${ahead > 0 ? 'ahead of' : 'behind'} ours`;
}

export type Tone = 'good' | 'warn' | 'bad' | 'idle';

export interface Sentence {
  tone: Tone;
  text: string;
}

const STATES: Record<Health['state'], string> = {
  ready: 'Ready',
  starting: 'Starting',
  'node-away': 'Not mining: the node gives no work',
  misconfigured: 'Not mining: the configuration must be changed',
  'upstream-lost': 'Not mining: the pool is not connected',
  silent: 'Not answering: the role hangs',
};

export function stateWords(state: Health['state']): string {
  return STATES[state];
}

function reached(status: Status): string | null {
  const connection = status.upstream_connection;
  if (!connection) return null;
  const how = connection.path === 'direct' ? 'reached directly' : connection.path === 'relayed' ? 'reached by a relay' : 'reached';
  const time = connection.rtt_seconds === undefined ? '' : ` in ${milliseconds(connection.rtt_seconds)}`;
  const trouble = connection.health === 'healthy' ? '' : `, but the connection is ${connection.health_reason}`;
  return `${how} over ${connection.transport === 'iroh' ? 'iroh' : 'TCP'}${time}${trouble}`;
}

/**
 * How it goes, in one sentence. `unheard`: seconds since the monitor was heard of last, once that is too long; null while it
 * is heard.
 */
export function sentence(status: Status | null, unheard: number | null): Sentence {
  if (unheard !== null && (status === null || unheard >= 5)) {
    return {
      tone: 'bad',
      text: `Adit has not answered for ${plural(Math.floor(unheard), 'second')}: what is shown here is as old.`,
    };
  }
  if (status === null) return { tone: 'idle', text: 'Asking Adit how it goes …' };
  const { health } = status;
  if (!health.ready) {
    const tone: Tone = health.state === 'starting' ? 'warn' : 'bad';
    return { tone, text: `${stateWords(health.state)}${health.message ? `: ${health.message}` : ''}.` };
  }
  const miners = status.miners ?? 0;
  const above = reached(status);
  if (status.role === 'template') {
    return { tone: 'good', text: `Serving templates${status.work?.height ? ` for block ${count(status.work.height)}` : ''}.` };
  }
  if (status.role === 'jd-server') {
    return { tone: 'good', text: `Checking declared jobs${status.work?.height ? ` for block ${count(status.work.height)}` : ''}.` };
  }
  if (miners === 0) {
    const rest = above === null ? '' : ` The pool is ${above}.`;
    return { tone: 'idle', text: `Ready: no miner is connected yet.${rest} “Pair” shows how to connect one.` };
  }
  const rate = provenRate(status);
  const parts = [plural(miners, 'miner'), rate > 0 ? hashrate(rate) : 'no share yet'];
  if (above !== null) {
    parts.push(`pool ${above}`);
  } else if (status.work?.height) {
    parts.push(`work for block ${count(status.work.height)}`);
  }
  const degraded = status.upstream_connection && status.upstream_connection.health !== 'healthy';
  const tone: Tone = degraded || health.message !== null ? 'warn' : 'good';
  return { tone, text: `Mining: ${parts.join(', ')}.${health.message ? ` ${health.message}.` : ''}` };
}

/** Why a path is relayed, as far as the page can say. */
export function pathWords(path: string, transport: string): string {
  if (transport !== 'iroh') return 'direct';
  if (path === 'direct') return 'direct';
  if (path === 'relayed') return 'by a relay: the two could not reach each other through their routers yet';
  return 'not known yet';
}

const SHORT_PATHS: Record<string, string> = { direct: 'direct', relayed: 'by a relay' };

/** How a path changed. */
export function pathChangeWords({ from, to, address }: PathChange): string {
  if (from === to) return `another ${to === 'relayed' ? 'relay' : 'address'}, ${address}`;
  const before = SHORT_PATHS[from];
  return `${before === undefined ? '' : `${before}, then `}${SHORT_PATHS[to] ?? 'not known'}${address === '' ? '' : `, ${address}`}`;
}

/** Seconds by which a node's clock may differ before that is worth a look. */
const CLOCK_SECONDS = 10;

const CHECKED: Record<CheckStatus, { tone: Tone; words: string }> = {
  failure: { tone: 'bad', words: 'Failure' },
  warning: { tone: 'warn', words: 'Warning' },
  ok: { tone: 'good', words: 'OK' },
};

export interface Finding {
  tone: Tone;
  words: string;
  name: string;
  message: string;
  cure: string | null;
}

/** What checks found, the worst first. */
export function checkFindings(checks: Check[]): Finding[] {
  const all = checks.flatMap((check) =>
    check.findings.map(({ status, message, cure }) => ({ ...CHECKED[status], name: check.name, message, cure })),
  );
  return (['bad', 'warn', 'good'] as const).flatMap((tone) => all.filter((one) => one.tone === tone));
}

/** What an operator should look at, each once. Never empty: where there is nothing, it says so. */
export function findings(status: Status): Sentence[] {
  const { health } = status;
  const found: Sentence[] = [];
  const add = (tone: Tone, text: string): void => {
    // Each shard has its own connection with the same pool.
    if (!found.some((one) => one.text === text)) found.push({ tone, text });
  };
  if (!health.ready) {
    add('bad', `${stateWords(health.state)}${health.message ? `: ${health.message}` : ''}.`);
  } else if (health.message !== null) {
    add('warn', health.message);
  }
  for (const upstream of status.upstreams ?? []) {
    if (!upstream.ready) add('bad', `Not connected to ${upstream.url || 'a pool'}${upstream.error ? `: ${upstream.error}` : ''}`);
  }
  for (const node of status.work?.nodes ?? []) {
    const apart = Math.abs(node.clock_ahead_seconds ?? 0);
    if (apart >= CLOCK_SECONDS) {
      add('warn', `The clock of node ${node.name} and this machine’s differ by ${plural(apart, 'second')}: one of them is wrong.`);
    }
  }
  const degraded = status.connections?.degraded ?? 0;
  if (degraded > 0) add('warn', `${plural(degraded, 'connection is', 'connections are')} slow or lossy: “Connections” says which.`);
  if (found.length === 0) add('good', 'Nothing: it works.');
  return found;
}
