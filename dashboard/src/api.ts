// What the monitor's own routes answer (src/monitor/openapi.json has every field).

export type State = 'ready' | 'starting' | 'node-away' | 'misconfigured' | 'upstream-lost' | 'silent';

export interface Health {
  status: string;
  timestamp: number;
  ready: boolean;
  state: State;
  message: string | null;
  since: number;
  work_age_seconds: number | null;
}

export type Reasons = Record<string, number>;

export interface Side {
  connections: number;
  channels: number;
  workers: number;
  declared_hps: number;
  measured_hps: number;
  shares_accepted: number;
  shares_rejected: number;
  shares_rejected_by_reason: Reasons;
  blocks_found: number;
}

export interface Node {
  name: string;
  state: string;
  message: string | null;
  in_use: boolean;
  height: number;
  clock_ahead_seconds: number | null;
}

export interface CoinbaseOutput {
  address: string | null;
  script_hex: string;
  script_size: number;
  value_sat: number;
}

export interface Coinbase {
  outputs: CoinbaseOutput[];
  total: number;
  own_payouts: number;
}

export interface AnsweredBlock {
  hash: string;
  height: number;
  verdict: string;
  reason: string | null;
  node: string | null;
  at: number;
}

export interface Work {
  height: number | null;
  network: string | null;
  difficulty: number | null;
  reward_sat: number | null;
  fees_sat: number | null;
  coinbase: Coinbase | null;
  pieces: number;
  node: string | null;
  nodes: Node[];
  blocks_accepted: number;
  blocks_rejected: number;
  blocks_unanswered: number;
  blocks: AnsweredBlock[];
}

export interface Upstream {
  url: string;
  ready: boolean;
  error: string | null;
  connects: number;
  fallbacks: number;
}

/** The data of a connection began to go another way; the newest last. */
export interface PathChange {
  at: number;
  from: string;
  to: string;
  address: string;
}

export interface Connection {
  client_id: number;
  transport: string;
  peer: string;
  source: string;
  path: string;
  lanes: number;
  sessions: number;
  authority: string;
  health: string;
  health_reason: string;
  rtt_seconds?: number;
  bytes_sent: number;
  bytes_received: number;
  packets_sent: number;
  packets_lost: number;
  path_changes: number;
  path_history: PathChange[];
  age_seconds: number;
  channels: number;
}

export interface Mark {
  at: number;
  kind: 'tip' | 'block' | 'upstream' | 'path' | 'state';
  text: string;
}

export interface Status {
  role: string;
  version: string;
  host_name: string;
  at: number;
  uptime_secs: number;
  refresh_secs: number;
  health: Health;
  server: Side | null;
  clients: Side | null;
  sv1: { clients: number; hashrate_hps: number } | null;
  work: Work | null;
  best_share: { difficulty: number; name: string; at: number } | null;
  miners?: number;
  connections?: { tcp: number; iroh: number; relayed: number; degraded: number };
  upstreams?: Upstream[];
  upstream_connection?: Connection | null;
  marks?: Mark[];
}

export interface Columns {
  at: number[];
  measured_hps: number[];
  declared_hps: number[];
  accepted: number[];
  rejected: number[];
  miners: number[];
  rtt_ms: (number | null)[];
}

export type Span = '10m' | '6h' | '7d';

export interface History extends Columns {
  span: Span;
  length_secs: number;
  id: number;
  marks: Mark[];
}

/** What a client calls itself, in its own words. */
export interface ClientNames {
  client_kind: 'miner' | 'translator_proxy' | 'unknown';
  vendor: string | null;
  hardware_version: string | null;
  firmware: string | null;
  user_agent: string | null;
}

export interface Miner extends ClientNames {
  kind: 'channel' | 'worker' | 'sv1';
  client_id: number;
  channel_id: number | null;
  name: string;
  address: string | null;
  hashrate_hps: number | null;
  declared_hps: number | null;
  shares_accepted: number;
  shares_rejected: number;
  shares_rejected_by_reason: Reasons | null;
  best_difficulty: number | null;
  last_share_seconds: number | null;
}

export interface Miners {
  offset: number;
  limit: number;
  listed: number;
  total: number;
  items: Miner[];
}

export interface Alert {
  kind: string;
  about: string;
  text: string;
  since: number;
  muted: boolean;
}

export interface Alerts {
  alerts: Alert[];
  told: boolean;
  muted: string[];
}

export type CheckStatus = 'ok' | 'warning' | 'failure';

export interface Check {
  number: number;
  name: string;
  status: CheckStatus;
  findings: { status: CheckStatus; message: string; cure: string | null }[];
}

/** What the role found of itself; nulls before its first look. */
export interface Checks {
  at: number | null;
  status: CheckStatus | null;
  checks: Check[];
}

export interface Warning {
  at: number;
  level: 'warn' | 'error';
  event: string;
  count: number;
  message: string | null;
  fields: string;
}

export interface Entrance {
  transport: 'tcp' | 'iroh' | 'sv1';
  url: string;
  host: string;
  port: number | null;
  authority: string | null;
}

/** A route as a whole URL, without the user and the token that the page's own may have in it: fetch() takes none of those. */
export function url(path: string): string {
  return new URL(path, location.origin).href;
}

/** Fetches one of the monitor's routes. Throws an Error with the monitor's own sentence where it refuses. */
export async function get<T>(path: string): Promise<T> {
  const response = await fetch(url(path), { headers: { Accept: 'application/json' } });
  const body = (await response.json()) as T & { error?: string };
  if (!response.ok) throw new Error(body.error ?? `the answer was ${response.status}`);
  return body;
}
