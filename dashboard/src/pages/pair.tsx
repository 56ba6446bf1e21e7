import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { encode } from 'uqr';
import { type Entrance, get } from '../api';
import { Copy } from '../parts';
import { entranceWords, onlyThisMachine, snippets } from '../snippets';

/** A QR code as a drawing: dark on light in both schemes, as readers want it. */
export function Qr({ text }: { text: string }) {
  const code = encode(text, { ecc: 'L', border: 2 });
  const path: string[] = [];
  code.data.forEach((row, y) => row.forEach((dark, x) => dark && path.push(`M${x} ${y}h1v1h-1z`)));
  return (
    <svg class="qr" viewBox={`0 0 ${code.size} ${code.size}`} role="img" aria-label="The URL as a QR code" shape-rendering="crispEdges">
      <rect width={code.size} height={code.size} fill="#fff" />
      <path d={path.join('')} fill="#000" />
    </svg>
  );
}

export function Pair() {
  const answer = useSignal<{ entrances: Entrance[]; host_name: string } | null>(null);
  const failure = useSignal('');
  useEffect(() => {
    const load = (): void => {
      get<{ entrances: Entrance[]; host_name: string }>('/api/v1/entrances').then(
        (loaded) => {
          // A text that is being copied is not to be drawn anew.
          if (JSON.stringify(loaded) !== JSON.stringify(answer.value)) answer.value = loaded;
        },
        (error: unknown) => (failure.value = String(error)),
      );
    };
    load();
    const again = setInterval(load, 5000);
    return () => clearInterval(again);
  }, []);
  if (answer.value === null) return <p role="status">{failure.value || 'Asking for the addresses …'}</p>;
  const { entrances, host_name } = answer.value;
  if (entrances.length === 0) return <p class="empty">This role is not reached by others, or its addresses are not known yet.</p>;
  return (
    <>
      <p>
        Miners and translators connect to one of these.
        {host_name === '' ? null : (
          <>
            {' '}
            This machine is called <strong>{host_name}</strong>: on many networks <code>{host_name}.local</code> reaches it, but few
            mining devices look such names up. Addresses of a network may change: a fixed one in the router helps.
          </>
        )}
      </p>
      {entrances.map((entrance, i) => (
        <section key={entrance.url} class="entrance" aria-labelledby={`entrance${i}`}>
          <h2 id={`entrance${i}`}>{entranceWords(entrance)}</h2>
          {onlyThisMachine(entrance.host) ? <p class="warn">It is reached from this machine alone: its listen address is a loopback one.</p> : null}
          <div class="pairing">
            <Qr text={entrance.url} />
            <div>
              <Copy label="URL" text={entrance.url} />
              <dl class="apart">
                <dt>{entrance.transport === 'iroh' ? 'Endpoint id' : 'Host'}</dt>
                <dd class="name">{entrance.host}</dd>
                {entrance.port === null ? null : (
                  <>
                    <dt>Port</dt>
                    <dd>{entrance.port}</dd>
                  </>
                )}
                {entrance.authority === null ? null : (
                  <>
                    <dt>Authority key</dt>
                    <dd class="name">{entrance.authority}</dd>
                  </>
                )}
              </dl>
            </div>
          </div>
          {snippets(entrance).map((snippet) => (
            <details key={snippet.title}>
              <summary>{snippet.title}</summary>
              <p>{snippet.where}:</p>
              <Copy label={snippet.title} text={snippet.text} />
            </details>
          ))}
        </section>
      ))}
    </>
  );
}
