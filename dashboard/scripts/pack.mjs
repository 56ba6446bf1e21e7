// Compresses what vite built into dist/, which is committed and built into the program; with --check, says whether dist/ holds the
// same already. What is compared is the content: another zlib may compress it otherwise.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const MOST = 120 * 1000; // Bytes of all files, compressed.
const root = new URL('..', import.meta.url).pathname;
const built = join(root, 'build');
const dist = join(root, 'dist');

function filesIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

/** The licenses of what is in the page: packages that package.json names as dependencies, and what those bring. */
function licenses() {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const names = [...Object.keys(dependencies), '@preact/signals-core'].sort();
  const parts = names.map((name) => {
    const folder = join(root, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no license file`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
  return `This page is made with the following.\n\n${parts.join(`\n${'-'.repeat(72)}\n\n`)}`;
}

/** Compressed, and not more than the page may have. */
function packed(contents) {
  const all = new Map([...contents].map(([name, content]) => [name, gzipSync(content, { level: 9 })]));
  const total = [...all.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  if (total > MOST) throw new Error(`the page has ${total} bytes compressed, which is more than ${MOST}`);
  console.log(`dashboard: ${all.size} files, ${total} bytes compressed`);
  return all;
}

const wanted = new Map(filesIn(built).map((name) => [name, readFileSync(join(built, name))]));
if (!wanted.has('index.html')) throw new Error('vite build comes first');
wanted.set('licenses.txt', Buffer.from(licenses()));

const files = packed(wanted);

if (process.argv.includes('--check')) {
  const names = [...wanted.keys()].map((name) => `${name}.gz`).sort();
  const there = filesIn(dist);
  const same =
    JSON.stringify(names) === JSON.stringify(there) &&
    [...wanted].every(([name, content]) => gunzipSync(readFileSync(join(dist, `${name}.gz`))).equals(content));
  if (!same) {
    console.error(`dashboard/dist is not what the sources make: ./dev ui renews it\n  made: ${names.join(' ')}\n  there: ${there.join(' ')}`);
    process.exit(1);
  }
  console.log('dashboard/dist is what the sources make');
} else {
  rmSync(dist, { recursive: true, force: true });
  for (const [name, bytes] of files) {
    const path = join(dist, `${name}.gz`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  console.log('dashboard/dist is renewed');
}
