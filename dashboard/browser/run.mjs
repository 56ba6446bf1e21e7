// Holds the page against a live `adit demo` in Chromium: every page, both colour schemes, three widths and 320 px; no finding of axe,
// nothing on the console, no request to elsewhere; hostile names stay text; the token; keyboard; alerts and warnings; the pool is
// stopped and comes back.
//
//   node browser/run.mjs ADIT CHROMIUM [--pictures FOLDER]
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { freePort, Process, until } from './adit.mjs';

const [adit, browserPath, ...rest] = process.argv.slice(2);
if (!browserPath) throw new Error('usage: node browser/run.mjs ADIT CHROMIUM [--pictures FOLDER]');
const pictures = rest[0] === '--pictures' ? rest[1] : null;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const PAGES = ['overview', 'miners', 'connections', 'work', 'pair', 'health', 'api'];
const WIDTHS = [
  [1440, 900],
  [768, 1024],
  [390, 844],
];
const HOSTILE = '"><img src=x onerror=document.title=1>.<b>rig';

const failures = [];
let checks = 0;
function expect(right, what) {
  checks += 1;
  if (right) return;
  failures.push(what);
  console.error(`FAILED: ${what}`);
}

/** A page that complains of whatever a user would not see. */
async function openPage(browser, options) {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol !== 'data:' && hostname !== '127.0.0.1') complaints.push(`request to ${hostname}`);
  });
  return { context, page, complaints };
}

async function audit(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  for (const violation of found.violations) {
    const where_ = violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(' | ');
    expect(false, `${where}: axe ${violation.id}: ${violation.help}: ${where_}`);
  }
  expect(found.passes.length > 5, `${where}: axe looked at hardly anything`);
}

async function fits(page, where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(content <= window, `${where}: ${content} px wide in a window of ${window}`);
}

const heading = (page) => page.textContent('h1');
const sentence = (page) => page.textContent('#sentence');

async function everyPage(browser, base, role, schemes, widths) {
  for (const colorScheme of schemes) {
    for (const [width, height] of widths) {
      const { context, page, complaints } = await openPage(browser, { colorScheme, viewport: { width, height } });
      await page.goto(base);
      await until('the page knows how it goes', async () => !(await sentence(page)).startsWith('Asking'));
      for (const name of PAGES) {
        const where = `${role} ${name} ${colorScheme} ${width}`;
        await page.goto(`${base}#/${name}`);
        await page.waitForTimeout(300);
        await fits(page, where);
        await audit(page, where);
        if (pictures !== null) await picture(page, role, name, colorScheme, width);
      }
      expect(complaints.length === 0, `${role} ${colorScheme} ${width}: ${complaints.join('; ')}`);
      await context.close();
    }
  }
}

/** Those that the documents show. */
const SHOWN = new Map([
  ['translator overview light 1440', 'overview'],
  ['translator overview dark 390', 'overview-dark-narrow'],
  ['pool pair light 1440', 'pair'],
]);
async function picture(page, role, name, colorScheme, width) {
  const shown = SHOWN.get(`${role} ${name} ${colorScheme} ${width}`);
  if (shown === undefined) return;
  await page.evaluate(() => scrollTo(0, 0));
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${shown}.png`) });
}

/** What the pool's pages say of its work and its clients, and the translator's of what it is not told. */
async function workAndClients(browser, poolPage, base) {
  const { context, page, complaints } = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  const says = async (words) => (await page.textContent('main')).includes(words);
  await page.goto(`${poolPage}#/work`);
  await until('the pool shows whom the coinbase pays', async () => /bcrt1[a-z0-9]{30,}/.test(await page.textContent('table')));
  expect(await says(' sat'), 'Work lacks the fees');
  expect(await says('of a reward of '), 'Work lacks the reward');
  await page.goto(`${poolPage}#/overview`);
  await until('the pool expects a block', () => says('Expected time to a block'));
  await page.goto(`${poolPage}#/miners`);
  await until('the pool shows what its client calls itself', () => says('adit translator '));
  await page.goto(`${poolPage}#/connections`);
  await until('the pool draws who is connected', async () => (await page.$$('.diagram line')).length >= 1);
  await page.goto(`${base}#/work`);
  await until('the translator says that it is not told', () => says('A translator is not told'));
  expect(complaints.length === 0, `work and clients: ${complaints.join('; ')}`);
  await context.close();
}

async function hostileNames(browser, base, address) {
  const miner = new Process(adit, ['miner', `stratum+tcp://${address}`, '--user', HOSTILE, '--threads', '1']);
  const { context, page, complaints } = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  await page.goto(`${base}#/miners`);
  await until('the hostile miner is listed', async () => (await page.textContent('main')).includes(HOSTILE));
  expect((await page.$$('main img, main b')).length === 0, 'a name became markup');
  expect((await page.title()).includes('Adit'), 'a name ran as a script');
  await page.fill('input[type=search]', 'nobody has that');
  await until('the search finds nothing', async () => (await page.textContent('main')).includes('No miner has that'));
  await page.fill('input[type=search]', 'onerror');
  await until('the search finds it', async () => (await page.$$('tbody tr')).length === 1);
  expect(complaints.length === 0, `hostile names: ${complaints.join('; ')}`);
  await miner.stop();
  await page.fill('input[type=search]', '');
  await until('the miner leaves the list', async () => !(await page.textContent('main')).includes(HOSTILE));
  await context.close();
}

async function keyboard(browser, base) {
  const { context, page } = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  await page.goto(base);
  await page.waitForSelector('nav a');
  await page.keyboard.press('Tab');
  expect((await page.evaluate(() => document.activeElement.textContent)) === 'To the content', 'the first stop is no skip link');
  await page.keyboard.press('Enter');
  expect((await page.evaluate(() => document.activeElement.tagName)) === 'H1', 'the skip link leads nowhere');
  await page.focus('nav a[href="#/miners"]');
  await page.keyboard.press('Enter');
  await until('the keyboard opens a page', async () => (await heading(page)) === 'Miners');
  // It is given once the page is painted.
  await until('a new page gets the focus', async () => (await page.evaluate(() => document.activeElement.tagName)) === 'H1');
  await context.close();
}

/** 10,000 miners: the page shows a part of them. */
async function manyMiners(browser, base) {
  const { context, page } = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  await page.route('**/api/v1/miners*', (route) => {
    const query = new URL(route.request().url()).searchParams;
    const offset = Number(query.get('offset'));
    const items = Array.from({ length: Math.min(100, Number(query.get('limit'))) }, (_, i) => ({
      kind: 'worker',
      client_id: 1,
      channel_id: null,
      name: `rig${offset + i}`,
      address: '10.0.0.1:1',
      client_kind: 'miner',
      vendor: null,
      hardware_version: null,
      firmware: null,
      user_agent: 'x',
      hashrate_hps: 1e12,
      declared_hps: null,
      shares_accepted: 1,
      shares_rejected: 0,
      shares_rejected_by_reason: null,
      best_difficulty: null,
      last_share_seconds: 1,
    }));
    return route.fulfill({ json: { offset, limit: items.length, listed: 10_000, total: 10_000, items } });
  });
  await page.goto(`${base}#/miners`);
  await until('the rows are there', async () => (await page.$$('tbody tr')).length > 10);
  expect((await page.evaluate(() => document.querySelectorAll('*').length)) <= 2000, 'more than 2,000 elements');
  await page.click('text=Next');
  await until('the next page is there', async () => (await page.textContent('tbody')).includes('rig50'));
  await context.close();
}

const TRANSLATOR = (more) => `downstream_address = "127.0.0.1"
downstream_extranonce2_size = 4
threads = 1
monitoring_cache_refresh_secs = 1
${more}
[downstream_difficulty_config]
min_individual_miner_hashrate = 1_000_000.0
shares_per_minute = 60.0
enable_vardiff = true
`;

/** Where a role listens for others than this machine and its networks, the browser asks its user for the token, and gives it with all that the page loads. */
async function token(browser, folder) {
  const [pagePort, downPort] = [await freePort(), await freePort()];
  const data = join(folder, 'guarded');
  writeFileSync(
    join(folder, 'guarded.toml'),
    `${TRANSLATOR(`downstream_port = ${downPort}\ndata_dir = "${data}"\nmonitoring_address = "0.0.0.0:${pagePort}"`)}[[upstreams]]
url = "stratum2+tcp://127.0.0.1:${await freePort()}/9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"
user_identity = "test"
`,
  );
  const translator = new Process(adit, ['translator', '-c', join(folder, 'guarded.toml')]);
  try {
    await translator.line(/monitor\.token_asked_for/);
    const secret = readFileSync(join(data, 'monitoring.token'), 'utf8').trim();
    const base = `http://127.0.0.1:${pagePort}/`;

    const stranger = await browser.newContext();
    const refused = await (await stranger.newPage()).goto(base);
    expect(refused.status() === 401, `without the token the page is answered by ${refused.status()}`);
    expect((await refused.headerValue('www-authenticate')).startsWith('Basic '), 'the browser is not made to ask for the token');
    await stranger.close();

    const wrong = await browser.newContext({ httpCredentials: { username: '', password: `${secret.slice(1)}x` } });
    expect((await (await wrong.newPage()).goto(base)).status() === 401, 'a wrong token is taken');
    await wrong.close();

    // As it is given at the prompt; and in a bookmark, which the browser itself gives on to all that the page loads.
    for (const [how, options, address] of [
      ['prompt', { httpCredentials: { username: '', password: secret } }, base],
      ['bookmark', {}, `http://user:${secret}@127.0.0.1:${pagePort}/`],
    ]) {
      const { context, page, complaints } = await openPage(browser, options);
      const streams = [];
      page.on('response', (response) => {
        if (response.url().endsWith('/api/v1/events')) streams.push(response.status());
      });
      await page.goto(address);
      // The status comes by events alone, the alerts by a request.
      await until(`${how}: the events come`, async () => /^(Starting|Not mining)/.test(await sentence(page)));
      expect(streams.includes(200), `${how}: the events were answered by ${streams}`);
      await page.evaluate(() => (location.hash = '#/health'));
      await until(`${how}: the alerts come`, async () => (await page.textContent('main')).includes('Nobody is told of them'));
      await page.reload();
      await until(`${how}: a reload does not ask again`, async () => /^(Starting|Not mining)/.test(await sentence(page)));
      expect(complaints.length === 0, `${how}: ${complaints.join('; ')}`);
      await context.close();
    }
  } finally {
    await translator.stop('SIGKILL');
  }
}

/** A pool and a translator of our own, so that either can be stopped. */
async function stopsAndComesBack(browser, folder) {
  const told = [];
  const webhook = createServer((request, response) => {
    request.on('data', (piece) => told.push(String(piece)));
    request.on('end', () => response.end());
  }).listen(0, '127.0.0.1');
  await once(webhook, 'listening');
  const [poolPort, pagePort, downPort] = [await freePort(), await freePort(), await freePort()];
  const key = join(folder, 'authority.key');
  const made = new Process(adit, ['keys', 'authority', '--out', key]);
  const [authority] = await made.line(/\b[1-9A-HJ-NP-Za-km-z]{40,}\b/);
  writeFileSync(
    join(folder, 'pool.toml'),
    `listen_address = "127.0.0.1:${poolPort}"
authority_secret_key_file = "${key}"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
shares_per_minute = 60.0
share_batch_size = 1
server_id = 1
data_dir = "${join(folder, 'data')}"
threads = 1
[template_provider_type.Embedded]
nbits = "1e07ffff"
`,
  );
  writeFileSync(
    join(folder, 'translator.toml'),
    `${TRANSLATOR(`downstream_port = ${downPort}\ndata_dir = "${join(folder, 'translator')}"\nmonitoring_address = "127.0.0.1:${pagePort}"`)}
# No disk has so much room left: an alert that is there at once.
[alerts]
webhook = "http://127.0.0.1:${webhook.address().port}/"
disk_free_mib = 4_000_000_000
mute = ["miner_gone"]
[[upstreams]]
url = "stratum2+tcp://127.0.0.1:${poolPort}/${authority}"
user_identity = "test"
`,
  );
  const base = `http://127.0.0.1:${pagePort}/`;
  const startPool = () => new Process(adit, ['pool', '-c', join(folder, 'pool.toml')]);
  const startTranslator = () => new Process(adit, ['translator', '-c', join(folder, 'translator.toml')]);
  const processes = [];
  try {
    let pool = startPool();
    processes.push(pool);
    await pool.line(/pool\.listening/);
    let translator = startTranslator();
    processes.push(translator);
    await translator.line(/monitor\.listening/);

    const { context, page } = await openPage(browser, { viewport: { width: 1440, height: 900 } });
    await page.goto(base);
    await until('it is ready without a miner', async () => (await sentence(page)).startsWith('Ready: no miner is connected yet.'));
    const miner = new Process(adit, ['miner', `stratum+tcp://127.0.0.1:${downPort}`, '--user', 'test.rig', '--threads', '1']);
    processes.push(miner);
    await until('it mines', async () => /^Mining: 1 miner, .*H\/s, pool reached directly over TCP/.test(await sentence(page)));

    await pool.stop('SIGKILL');
    await until('the page says that the pool is gone', async () => (await sentence(page)).startsWith('Not mining: the pool is not connected'));
    await page.goto(`${base}#/health`);
    const health = () => page.textContent('main');
    expect((await health()).includes('Not connected to'), 'Health does not name the pool');
    await until('Health has the alert', async () => /Disk: the folder .* MiB left.*, for \d.*, since /.test(await health()));
    expect((await health()).includes('A webhook is told of them; muted: a miner is gone.'), 'Health does not say who is told, and of what not');
    expect(told.some((body) => body.includes('"kind":"disk"')), 'the webhook was not told');
    await until('Health has the checks', async () => /Failure, upstreams: \S+ is not reached: .*What to do: is it running/.test(await health()));
    await until('Health has the warning', async () => (await health()).includes('translator.upstream_'));
    pool = startPool();
    processes.push(pool);
    await until('the page says that the pool is back', async () => (await sentence(page)).startsWith('Mining:'));

    await translator.stop('SIGKILL');
    await until('the page says that Adit does not answer', async () => (await sentence(page)).startsWith('Adit has not answered for'));
    translator = startTranslator();
    processes.push(translator);
    await until('the page finds Adit again', async () => !(await sentence(page)).startsWith('Adit has not'));
    await context.close();
  } finally {
    for (const process of processes.reverse()) await process.stop('SIGKILL');
    webhook.close();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'adit-browser-'));
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
const demo = new Process(adit, ['demo']);
try {
  const [, poolPage] = await demo.line(/pool +open in a browser: (\S+)/);
  const [, page] = await demo.line(/translator +open in a browser: (\S+)/);
  const [, address] = await demo.line(/listening for Stratum V1 miners: (\S+)/);
  await demo.line(/shares accepted [1-9]/, 120_000);
  if (pictures !== null) await new Promise((resolve) => setTimeout(resolve, 60_000)); // So that the plots show something.
  const steps = [
    ['every page of the translator', () => everyPage(browser, page, 'translator', ['light', 'dark'], WIDTHS)],
    ['every page of the pool', () => everyPage(browser, poolPage, 'pool', ['light', 'dark'], [WIDTHS[0], [320, 640]])],
    ['hostile names', () => hostileNames(browser, page, address)],
    ['the work, and who mines', () => workAndClients(browser, poolPage, page)],
    ['the token', () => token(browser, folder)],
    ['keyboard', () => keyboard(browser, page)],
    ['10,000 miners', () => manyMiners(browser, page)],
    ['the pool and the translator stop and come back', () => stopsAndComesBack(browser, folder)],
  ];
  for (const [name, step] of steps) {
    const begun = Date.now();
    await step().catch((error) => expect(false, `${name}: ${error.message}`));
    console.log(`${name}: ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  }
} finally {
  await demo.stop();
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${checks} checks, ${failures.length} failures`);
process.exit(failures.length === 0 ? 0 : 1);
