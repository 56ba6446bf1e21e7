// Figures as people read them.

const UNITS = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];

/** Three digits and a unit: 4.2 T, 999 k. Beyond yotta the number goes on growing. */
function scaled(value: number): [string, string] {
  if (!Number.isFinite(value) || value <= 0) return ['0', ''];
  let unit = 0;
  let rest = value;
  while (unit + 1 < UNITS.length && Number(rest.toPrecision(3)) >= 1000) {
    rest /= 1000;
    unit += 1;
  }
  const digits = rest >= 1000 ? rest.toFixed(0) : String(Number(rest.toPrecision(3)));
  return [digits, UNITS[unit] ?? ''];
}

export function hashrate(hps: number | null | undefined): string {
  if (hps === null || hps === undefined) return 'not known';
  const [digits, unit] = scaled(hps);
  return `${digits} ${unit}H/s`;
}

export function difficulty(value: number | null | undefined): string {
  if (value === null || value === undefined || value <= 0) return 'none';
  if (value < 0.001) return value.toExponential(1);
  const [digits, unit] = scaled(value);
  return unit === '' ? digits : `${digits} ${unit}`;
}

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function count(value: number): string {
  return WHOLE.format(value);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function percent(part: number, whole: number): string {
  if (whole <= 0) return 'none yet';
  const value = (100 * part) / whole;
  // Never 100 % while one was refused, nor 0 % while one was not.
  if (value > 99.9 && part < whole) return '>99.9 %';
  if (value < 0.1 && part > 0) return '<0.1 %';
  return `${Number(value.toFixed(1))} %`;
}

export function milliseconds(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return 'not known';
  const ms = seconds * 1000;
  if (ms < 1) return '<1 ms';
  return ms < 10 ? `${Number(ms.toFixed(1))} ms` : `${count(Math.round(ms))} ms`;
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return 'not known';
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), 'd'],
    [Math.floor((whole % 86400) / 3600), 'h'],
    [Math.floor((whole % 3600) / 60), 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first === -1) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/** How long something takes of which nobody knows when it happens: years, where it is long. */
export function longTime(seconds: number): string {
  if (seconds < 1) return 'less than a second';
  const days = seconds / 86400;
  if (days < 2) return duration(seconds);
  if (days < 730) return plural(Math.round(days), 'day');
  const years = days / 365.25;
  return years < 1e6 ? plural(Math.round(years), 'year') : 'more than a million years';
}

/** Satoshi as bitcoin, each of them. */
export function bitcoin(sat: number): string {
  return `${(sat / 1e8).toFixed(8).replace(/\.?0+$/, '')} BTC`;
}

export function satoshi(sat: number): string {
  return `${count(sat)} sat`;
}

export function ago(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return 'never';
  return seconds < 2 ? 'just now' : `${duration(seconds)} ago`;
}

export function bytes(value: number): string {
  const [digits, unit] = scaled(value);
  return `${digits} ${unit}B`;
}

/** The wall clock's time of a Unix time in seconds, with the day where that is not today. */
export function clock(unix: number, now: number): string {
  const date = new Date(unix * 1000);
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return now - unix < 12 * 3600 ? time : `${date.toLocaleDateString()} ${time}`;
}

/** Text with its middle left out where it is longer than `most` characters. */
export function shortened(text: string, most = 24): string {
  if (text.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}

/** Where the page begins that shows `offset`, or the last page where the list of `total` has become shorter than that. */
export function pageAt(offset: number, total: number, size: number): number {
  return offset < total ? offset : Math.max(0, Math.ceil(total / size) - 1) * size;
}
