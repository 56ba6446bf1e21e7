import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Alerts, type Checks, get, type Warning } from '../api';
import { count, duration } from '../format';
import { Figure, Marks, Time } from '../parts';
import { age, marks, status } from '../state';
import { alertWords, checkFindings, findings, stateWords } from '../words';

const alerts = signal<Alerts | null>(null);
const checks = signal<Checks | null>(null);
const warnings = signal<Warning[] | null>(null);
const failure = signal('');

/** What one of them fails to answer does not hide what the other says. */
async function load(): Promise<void> {
  const [active, made, logged] = await Promise.allSettled([
    get<Alerts>('/api/v1/alerts'),
    get<Checks>('/api/v1/doctor'),
    get<{ warnings: Warning[] }>('/api/v1/warnings'),
  ]);
  if (active.status === 'fulfilled') alerts.value = active.value;
  if (made.status === 'fulfilled') checks.value = made.value;
  if (logged.status === 'fulfilled') warnings.value = logged.value.warnings;
  const failed = [active, made, logged].find((one) => one.status === 'rejected');
  failure.value = failed === undefined ? '' : failed.reason instanceof Error ? failed.reason.message : String(failed.reason);
}

function ActiveAlerts({ answer, now }: { answer: Alerts; now: number }) {
  return (
    <>
      {answer.alerts.length === 0 ? <p class="empty">None now.</p> : null}
      <ul class="plain">
        {answer.alerts.map((alert) => (
          <li key={`${alert.kind} ${alert.about}`} class={alert.muted ? undefined : 'warn'}>
            <strong>{alertWords(alert.kind)}</strong>: {alert.text}, for {duration(now - alert.since)}, since <Time at={alert.since} now={now} />
            {alert.muted ? ' (muted)' : ''}
          </li>
        ))}
      </ul>
      <p class="note">
        {answer.told ? 'A webhook is told of them' : 'Nobody is told of them: [alerts] in the configuration names a webhook'}
        {answer.muted.length === 0 ? '.' : `; muted: ${answer.muted.map((kind) => alertWords(kind).toLowerCase()).join(', ')}.`}
      </p>
    </>
  );
}

function MadeChecks({ made, now }: { made: Checks; now: number }) {
  if (made.at === null) return <p class="empty">The role looks at itself for the first time a few seconds after its start.</p>;
  return (
    <>
      <ul class="plain">
        {checkFindings(made.checks).map(({ tone, words, name, message, cure }) => (
          <li key={`${name} ${message}`} class={tone}>
            <strong>{words}</strong>, {name}: {message}
            {cure === null ? null : <span class="note">What to do: {cure}</span>}
          </li>
        ))}
      </ul>
      <p class="note">
        Of <Time at={made.at} now={now} />. <code>adit doctor</code> looks at more: it also asks nodes, relays and pools.
      </p>
    </>
  );
}

function Warnings({ list, now }: { list: Warning[]; now: number }) {
  if (list.length === 0) return <p class="empty">None since the start.</p>;
  return (
    <ul class="plain">
      {list.map((warning) => (
        <li key={warning.event} class={warning.level === 'error' ? 'bad' : undefined}>
          <Time at={warning.at} now={now} /> {warning.message ?? ''} <code>{warning.event}</code>
          {warning.count > 1 ? ` ${count(warning.count)} times` : ''}
          {warning.fields === '' ? null : <span class="note name">{warning.fields}</span>}
        </li>
      ))}
    </ul>
  );
}

export function Health() {
  const now = status.value;
  // With each status: alerts are looked for when the role is.
  useEffect(() => void load(), [now?.at, now?.health.state]);
  if (now === null) return null;
  const { health } = now;
  const changes = marks.value.filter((mark) => mark.kind !== 'tip' && mark.kind !== 'block').slice(-20).reverse();
  return (
    <>
      <dl class="figures">
        <Figure label="State" note={health.message}>
          {stateWords(health.state)}
        </Figure>
        <Figure label="For">{duration(now.at - health.since + age.value)}</Figure>
        <Figure label="Connections not healthy">{count(now.connections?.degraded ?? 0)}</Figure>
        <Figure label="By a relay">{count(now.connections?.relayed ?? 0)}</Figure>
      </dl>
      <section aria-labelledby="checks">
        <h2 id="checks">What to look at</h2>
        <ul class="plain">
          {findings(now).map(({ tone, text }) => (
            <li key={text} class={tone}>
              {text}
            </li>
          ))}
        </ul>
      </section>
      <section aria-labelledby="alerts">
        <h2 id="alerts">Alerts</h2>
        {alerts.value === null ? null : <ActiveAlerts answer={alerts.value} now={now.at} />}
      </section>
      <section aria-labelledby="doctor">
        <h2 id="doctor">Checks</h2>
        {checks.value === null ? null : <MadeChecks made={checks.value} now={now.at} />}
      </section>
      <section aria-labelledby="warnings">
        <h2 id="warnings">Last warnings</h2>
        {warnings.value === null ? null : <Warnings list={warnings.value} now={now.at} />}
      </section>
      {failure.value === '' ? null : <p role="alert">{failure.value}</p>}
      <section aria-labelledby="changes">
        <h2 id="changes">Changes</h2>
        <Marks marks={changes} now={now.at} empty="None." />
      </section>
    </>
  );
}
