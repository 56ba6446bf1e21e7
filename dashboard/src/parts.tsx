// Small pieces that several pages have.
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { Mark, Reasons } from './api';
import { clock, count, percent } from './format';
import { reason, reasons } from './words';

export function Figure(props: { label: string; children: ComponentChildren; note?: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{props.label}</dt>
      <dd>
        <strong>{props.children}</strong>
        {props.note === undefined || props.note === null ? null : <span class="note">{props.note}</span>}
      </dd>
    </div>
  );
}

/** How many shares were refused, and why. */
export function Rejections({ all, accepted }: { all: Reasons; accepted: number }) {
  const list = reasons(all);
  const rejected = list.reduce((sum, [, shares]) => sum + shares, 0);
  if (rejected === 0) return <p>No share was refused.</p>;
  return (
    <>
      <p>
        {count(rejected)} of {count(rejected + accepted)} shares were refused ({percent(rejected, rejected + accepted)}):
      </p>
      <ul class="plain">
        {list.map(([code, shares]) => (
          <li key={code}>
            <strong>{count(shares)}</strong> {reason(code)} <code>{code}</code>
          </li>
        ))}
      </ul>
    </>
  );
}

/** What happened, and when. */
export function Marks({ marks, now, empty }: { marks: Mark[]; now: number; empty: string }) {
  if (marks.length === 0) return <p class="empty">{empty}</p>;
  return (
    <ul class="plain">
      {marks.map((mark, i) => (
        <li key={`${mark.at} ${i}`}>
          <Time at={mark.at} now={now} /> {mark.text}
        </li>
      ))}
    </ul>
  );
}

/** A Unix time in seconds, as clock() shows it. */
export function Time({ at, now }: { at: number; now: number }) {
  return <time dateTime={new Date(at * 1000).toISOString()}>{clock(at, now)}</time>;
}

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  number?: boolean;
}

/** A table that becomes a list of cards where the screen is narrow. */
export function Table<T>(props: { label: string; columns: Column<T>[]; rows: T[]; keyOf: (row: T, i: number) => string; empty: string }) {
  if (props.rows.length === 0) return <p class="empty">{props.empty}</p>;
  return (
    <table class="list">
      <caption class="hidden">{props.label}</caption>
      <thead>
        <tr>
          {props.columns.map((column) => (
            <th key={column.title} scope="col" class={column.number ? 'number' : undefined}>
              {column.title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {props.rows.map((row, i) => (
          <tr key={props.keyOf(row, i)}>
            {props.columns.map((column) => (
              <td key={column.title} data-label={column.title} class={column.number ? 'number' : undefined}>
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Text to be copied. Browsers let pages write to the clipboard over HTTPS only, so there is an older way too. */
export function Copy({ label, text }: { label: string; text: string }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [done, setDone] = useState('');
  const copy = (): void => {
    field.current?.select();
    const tell = (worked: boolean): void => {
      setDone(worked ? 'copied' : 'selected: press Ctrl+C');
      setTimeout(() => setDone(''), 3000);
    };
    if (navigator.clipboard) {
      navigator.clipboard.writeText(text).then(
        () => tell(true),
        () => tell(document.execCommand('copy')),
      );
    } else {
      tell(document.execCommand('copy'));
    }
  };
  const rows = Math.min(8, text.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / 60)), 0));
  return (
    <div class="copy">
      <label>
        <span>{label}</span>
        <textarea ref={field} readOnly rows={rows} spellcheck={false} value={text} />
      </label>
      <button type="button" onClick={copy} aria-label={`Copy ${label}`}>
        Copy
      </button>
      <span role="status" class="note">
        {done}
      </span>
    </div>
  );
}
