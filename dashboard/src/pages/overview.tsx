import type { Span, Status } from '../api';
import { ago, count, difficulty, duration, hashrate, longTime, percent, plural } from '../format';
import { Figure, Marks, Rejections } from '../parts';
import { Plot } from '../plot';
import { age, history, marks, show, span, status } from '../state';
import { expectedBlock, mainSide, provenRate } from '../words';

const SPANS: [Span, string][] = [
  ['10m', '10 minutes'],
  ['6h', '6 hours'],
  ['7d', '7 days'],
];

function Figures({ now }: { now: Status }) {
  const side = mainSide(now);
  const total = side === null ? 0 : side.shares_accepted + side.shares_rejected;
  const declared = side?.declared_hps ?? 0;
  const workAge = now.health.work_age_seconds;
  const expected = expectedBlock(now);
  return (
    <dl class="figures">
      <Figure label="Hash rate" note={declared > 0 ? `proved by shares; ${hashrate(declared)} declared` : 'proved by shares'}>
        {hashrate(provenRate(now))}
      </Figure>
      <Figure label="Miners" note={side === null ? null : plural(side.channels, 'channel')}>
        {count(now.miners ?? 0)}
      </Figure>
      <Figure label="Shares accepted" note={side === null ? null : `${percent(side.shares_accepted, total)} of ${count(total)}`}>
        {count(side?.shares_accepted ?? 0)}
      </Figure>
      <Figure label="Best share" note={now.best_share ? `by ${now.best_share.name || 'a miner without a name'}` : null}>
        {difficulty(now.best_share?.difficulty)}
      </Figure>
      <Figure
        label="Blocks found"
        note={now.work && now.role !== 'translator' ? `${count(now.work.blocks_accepted)} accepted by the chain` : null}
      >
        {count(side?.blocks_found ?? 0)}
      </Figure>
      {expected === null ? null : (
        <Figure label="Expected time to a block" note={`by these miners alone, at difficulty ${difficulty(now.work?.difficulty)}`}>
          {longTime(expected)}
        </Figure>
      )}
      <Figure label="Newest work" note={now.work?.height ? `for block ${count(now.work.height)}` : null}>
        {workAge === null ? 'none yet' : ago(workAge + age.value)}
      </Figure>
      <Figure label="Running for" note={`Adit ${now.version}`}>
        {duration(now.uptime_secs + age.value)}
      </Figure>
    </dl>
  );
}

function last<T>(values: T[]): T | undefined {
  return values[values.length - 1];
}

function Plots() {
  const past = history.value;
  if (past === null) return <p class="empty">The past is being loaded.</p>;
  const shown = marks.value.filter((mark) => mark.at >= (past.at[0] ?? 0));
  const rtts = past.rtt_ms.some((value) => value !== null);
  const shares = past.accepted.reduce((sum, value) => sum + value, 0);
  const refused = past.rejected.reduce((sum, value) => sum + value, 0);
  return (
    <>
      <Plot
        key={`rate${past.span}`}
        title="Hash rate"
        words={`Now ${hashrate(last(past.measured_hps) ?? 0)} proved by shares of the last ten minutes.`}
        at={past.at}
        marks={shown}
        format={hashrate}
        lines={[
          { label: 'proved', colour: '--accent', values: past.measured_hps },
          { label: 'declared', colour: '--second', values: past.declared_hps, dashed: true },
        ]}
      />
      <Plot
        key={`shares${past.span}`}
        title="Shares"
        words={`${plural(shares, 'share')} accepted and ${count(refused)} refused in this time.`}
        at={past.at}
        marks={shown}
        format={count}
        lines={[
          { label: 'accepted', colour: '--accent', values: past.accepted, bars: true },
          { label: 'refused', colour: '--bad', values: past.rejected },
        ]}
      />
      {rtts ? (
        <Plot
          key={`rtt${past.span}`}
          title="Round trip to the pool"
          words={`Now ${Number((last(past.rtt_ms) ?? 0).toFixed(1))} ms.`}
          at={past.at}
          marks={shown}
          format={(value) => `${Number(value.toPrecision(3))} ms`}
          lines={[{ label: 'round trip', colour: '--accent', values: past.rtt_ms }]}
        />
      ) : null}
    </>
  );
}

export function Overview() {
  const now = status.value;
  if (now === null) return null;
  const side = mainSide(now);
  const newest = marks.value.slice(-8).reverse();
  return (
    <>
      <Figures now={now} />
      <section aria-labelledby="plots">
        <h2 id="plots">Over time</h2>
        <div class="choices" role="group" aria-label="How far back">
          {SPANS.map(([name, words]) => (
            <button key={name} type="button" aria-pressed={span.value === name} onClick={() => show(name)}>
              {words}
            </button>
          ))}
        </div>
        <Plots />
      </section>
      {side === null ? null : (
        <section aria-labelledby="refused">
          <h2 id="refused">Refused shares</h2>
          <Rejections all={side.shares_rejected_by_reason} accepted={side.shares_accepted} />
        </section>
      )}
      <section aria-labelledby="happened">
        <h2 id="happened">What happened last</h2>
        <Marks marks={newest} now={now.at} empty="Nothing yet." />
      </section>
    </>
  );
}
