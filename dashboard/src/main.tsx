import { computed, signal } from '@preact/signals';
import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Connections } from './pages/connections';
import { Health } from './pages/health';
import { Interface } from './pages/interface';
import { Miners } from './pages/miners';
import { Overview } from './pages/overview';
import { Pair } from './pages/pair';
import { Work } from './pages/work';
import { start, status, summary } from './state';
import './style.css';

const PAGES = [
  { path: 'overview', title: 'Overview', page: Overview },
  { path: 'miners', title: 'Miners', page: Miners },
  { path: 'connections', title: 'Connections', page: Connections },
  { path: 'work', title: 'Work and blocks', page: Work },
  { path: 'pair', title: 'Pair', page: Pair },
  { path: 'health', title: 'Health', page: Health },
  { path: 'api', title: 'API', page: Interface },
];

const path = signal(location.hash);
window.addEventListener('hashchange', () => (path.value = location.hash));
const current = computed(() => PAGES.find((page) => `#/${page.path}` === path.value) ?? PAGES[0]!);

const ROLES: Record<string, string> = {
  pool: 'pool',
  'jd-server': 'job declarator server',
  'jd-client': 'job declarator client',
  translator: 'translator',
  template: 'template provider',
};

function App() {
  const { title, page: Page } = current.value;
  const heading = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  const now = status.value;
  const role = now === null ? '' : (ROLES[now.role] ?? now.role);
  useEffect(() => {
    document.title = role === '' ? 'Adit' : `${title} · Adit ${role}`;
  }, [title, role]);
  useEffect(() => {
    // So that a screen reader, and the keyboard, go on at the new page.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [title]);
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => (event.preventDefault(), heading.current?.focus())}>
        To the content
      </a>
      <header>
        <p class="brand">
          Adit <span>{role}</span>
        </p>
        <nav aria-label="Pages">
          <ul>
            {PAGES.map((page) => (
              <li key={page.path}>
                <a href={`#/${page.path}`} aria-current={page === current.value ? 'page' : undefined}>
                  {page.title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      </header>
      <p class={`sentence ${summary.value.tone}`} role="status" id="sentence">
        {summary.value.text}
      </p>
      <main id="content">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        <Page />
      </main>
      <footer>
        <p>
          {now === null ? '' : `Adit ${now.version} on ${now.host_name}. `}
          <a href="/licenses.txt">Licenses of what this page is made of</a>
        </p>
      </footer>
    </>
  );
}

start();
const root = document.getElementById('app')!;
root.textContent = '';
render(<App />, root);
