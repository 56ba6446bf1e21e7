// Runs adit's roles for the browser tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** A process whose output is kept, and waited for. */
export class Process {
  constructor(program, args) {
    this.lines = [];
    this.waiting = [];
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = once(this.child, 'exit');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        this.waiting = this.waiting.filter((wait) => !wait(line));
      });
    }
    this.child.on('exit', () => {
      for (const wait of this.waiting) wait(null);
      this.waiting = [];
    });
  }

  /** The first match of `pattern` in a line, of what came already or comes within a minute. */
  line(pattern, patience = 60_000) {
    for (const line of this.lines) {
      const match = pattern.exec(line);
      if (match) return Promise.resolve(match);
    }
    return new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`${why} while waiting for ${pattern}:\n${this.lines.slice(-20).join('\n')}`));
      const timer = setTimeout(() => fail('time ran out'), patience);
      this.waiting.push((line) => {
        if (line === null) {
          clearTimeout(timer);
          fail('the process ended');
          return true;
        }
        const match = pattern.exec(line);
        if (!match) return false;
        clearTimeout(timer);
        resolve(match);
        return true;
      });
    });
  }

  async stop(signal = 'SIGINT') {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill(signal);
      const timer = setTimeout(() => this.child.kill('SIGKILL'), 20_000);
      await this.ended;
      clearTimeout(timer);
    }
  }
}

export async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Asks `condition` until what it gives is true. */
export async function until(what, condition, patience = 90_000) {
  const end = Date.now() + patience;
  let last;
  while (Date.now() < end) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`time ran out: ${what} (last: ${last})`);
}
