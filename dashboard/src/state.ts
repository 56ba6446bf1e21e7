// What the page knows, kept up to date by server-sent events. Signals: what shows one of them is drawn anew when it changes.
import { computed, signal } from '@preact/signals';
import { type Columns, get, type History, type Mark, type Span, type Status, url } from './api';
import { sentence } from './words';

export const status = signal<Status | null>(null);
export const marks = signal<Mark[]>([]);
/** Milliseconds of performance.now() at which the monitor was heard of last. */
export const heardAt = signal(0);
/** Likewise, at which the status came. */
const statusAt = signal(0);
/** Ticks each second, so that ages grow. */
export const tick = signal(0);
export const span = signal<Span>('10m');
export const history = signal<History | null>(null);

const MAX_MARKS = 64;

/** Seconds since the monitor was heard of, once they are more than it lets pass: it says something every `refresh` seconds. */
export function unheardFor(heard: number, now: number, refresh: number): number | null {
  const seconds = (now - heard) / 1000;
  return seconds > Math.max(refresh, 15) + 5 ? seconds : null;
}

/** A stream that has failed is known to be gone at once. */
export const streamLost = signal<number | null>(null);

export const unheard = computed(() => {
  void tick.value;
  const now = performance.now();
  if (streamLost.value !== null) return (now - streamLost.value) / 1000;
  return unheardFor(heardAt.value, now, status.value?.refresh_secs ?? 15);
});

export const summary = computed(() => sentence(status.value, unheard.value));

/** Seconds since the last status, to be added to ages in it. */
export const age = computed(() => {
  void tick.value;
  return Math.max(0, (performance.now() - statusAt.value) / 1000);
});

/** `health`, which came `seconds` after `before`, as if it were part of it: ages in a status are all of one moment. */
export function withHealth(before: Status, health: Status['health'], seconds: number): Status {
  const age = health.work_age_seconds;
  return { ...before, health: { ...health, work_age_seconds: age === null ? null : age - seconds } };
}

/** `columns` behind what `before` has, without points that are older than the span. A point comes again when a look was put into it. */
export function appended(before: History, columns: Columns): History {
  const newest = columns.at[columns.at.length - 1];
  const last = before.at[before.at.length - 1] ?? 0;
  if (newest === undefined) return before;
  const fresh = columns.at.findIndex((at) => at >= last);
  if (fresh === -1) return before;
  const oldest = newest - before.length_secs;
  let gone = 0;
  while (gone < before.at.length && (before.at[gone] ?? 0) < oldest) gone += 1;
  const kept = columns.at[fresh] === last ? -1 : before.at.length;
  const join = <T>(old: T[], more: T[]): T[] => old.slice(gone, kept).concat(more.slice(fresh));
  return {
    ...before,
    at: join(before.at, columns.at),
    measured_hps: join(before.measured_hps, columns.measured_hps),
    declared_hps: join(before.declared_hps, columns.declared_hps),
    accepted: join(before.accepted, columns.accepted),
    rejected: join(before.rejected, columns.rejected),
    miners: join(before.miners, columns.miners),
    rtt_ms: join(before.rtt_ms, columns.rtt_ms),
  };
}

/**
 * `at`, and each of `rows`, with a moment of nulls in the middle of each gap, so that no line is drawn across: a gap is three times as
 * long as the time between two points mostly is.
 */
export function withGaps(at: number[], rows: (number | null)[][]): [number[], ...(number | null)[][]] {
  const steps = at.slice(1).map((time, i) => time - (at[i] ?? 0));
  const usual = [...steps].sort((a, b) => a - b)[steps.length >> 1] ?? 0;
  const gaps = steps.flatMap((step, i) => (step > 3 * usual ? [i] : []));
  const spread = <T>(values: T[], between: (i: number) => T): T[] => {
    let from = 0;
    const out: T[] = [];
    for (const gap of gaps) {
      out.push(...values.slice(from, gap + 1), between(gap));
      from = gap + 1;
    }
    return out.concat(values.slice(from));
  };
  return [spread(at, (i) => ((at[i] ?? 0) + (at[i + 1] ?? 0)) / 2), ...rows.map((row) => spread(row, () => null))];
}

/** Marks in the order of their times, without doubles, at most so many. */
export function merged(before: Mark[], more: Mark[]): Mark[] {
  const known = new Set(before.map((mark) => `${mark.at} ${mark.kind} ${mark.text}`));
  const fresh = more.filter((mark) => !known.has(`${mark.at} ${mark.kind} ${mark.text}`));
  return fresh.length === 0 ? before : [...before, ...fresh].sort((a, b) => a.at - b.at).slice(-MAX_MARKS);
}

export async function loadHistory(): Promise<void> {
  const wanted = span.value;
  try {
    const loaded = await get<History>(`/api/v1/history?span=${wanted}`);
    if (span.value !== wanted) return;
    history.value = loaded;
    marks.value = merged(marks.value, loaded.marks);
  } catch {
    // The stream says that the monitor is gone; the next load tries again.
  }
}

export function show(wanted: Span): void {
  span.value = wanted;
  void loadHistory();
}

function heard(): void {
  heardAt.value = performance.now();
  streamLost.value = null;
}

function onStatus(next: Status): void {
  heard();
  statusAt.value = heardAt.value;
  status.value = next;
  marks.value = merged(marks.value, next.marks ?? []);
}

function onPoints(columns: Columns & { complete: boolean }): void {
  heard();
  if (!columns.complete) {
    void loadHistory();
  } else if (history.value !== null && history.value.span === '10m') {
    history.value = appended(history.value, columns);
  }
}

const RETRY_MS = 3000;

function listen(): void {
  const source = new EventSource(url('/api/v1/events'));
  const on = <T>(type: string, take: (data: T) => void): void => {
    source.addEventListener(type, (event) => take(JSON.parse((event as MessageEvent<string>).data) as T));
  };
  on<Status>('status', onStatus);
  on<Columns & { complete: boolean }>('points', onPoints);
  on<Mark>('mark', (mark) => {
    heard();
    marks.value = merged(marks.value, [mark]);
  });
  on<Status['health']>('health', (health) => {
    heard();
    if (status.value !== null) status.value = withHealth(status.value, health, (heardAt.value - statusAt.value) / 1000);
  });
  source.onopen = heard;
  source.onerror = () => {
    streamLost.value ??= performance.now();
    if (source.readyState !== EventSource.CLOSED) return;  // The browser comes back by itself, with the last id.
    // Refused: there are as many streams as there may be. Asking now and then does instead.
    setTimeout(listen, RETRY_MS);
    get<Status>('/api/v1/status').then(onStatus, () => undefined);
  };
}

export function start(): void {
  listen();
  void loadHistory();
  setInterval(() => {
    tick.value += 1;
    if (span.value !== '10m' && tick.value % 30 === 0) void loadHistory();
  }, 1000);
}
