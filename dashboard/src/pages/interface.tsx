import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get } from '../api';

interface Document {
  paths: Record<string, { get: { summary: string; parameters?: { name: string; description: string }[] } }>;
}

/** The monitor's routes, out of its own description. */
export function Interface() {
  const document = useSignal<Document | null>(null);
  useEffect(() => {
    get<Document>('/api-docs/openapi.json').then(
      (loaded) => (document.value = loaded),
      () => undefined,
    );
  }, []);
  if (document.value === null) return <p role="status">Asking for the description …</p>;
  return (
    <>
      <p>
        Everything here is a GET, and read only. <a href="/api-docs/openapi.json">openapi.json</a> has every field.
      </p>
      <dl class="routes">
        {Object.entries(document.value.paths).map(([path, route]) => (
          <div key={path}>
            <dt>{path.includes('{') ? <code>{path}</code> : <a href={path}>{path}</a>}</dt>
            <dd>
              {route.get.summary}
              {(route.get.parameters ?? []).map((parameter) => (
                <span key={parameter.name} class="note">
                  <code>{parameter.name}</code> {parameter.description}
                </span>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}
