// What to type, or to paste, into which miner.
import type { Entrance } from './api';

export interface Snippet {
  title: string;
  where: string;
  text: string;
}

/** A name for the miner, as pools want it. */
const USER = 'YOUR_NAME.worker1';

function quoted(text: string): string {
  return JSON.stringify(text);
}

export function snippets(entrance: Entrance): Snippet[] {
  const adit: Snippet = {
    title: 'An Adit translator',
    where: 'Into its translator.toml',
    text: `[[upstreams]]\nurl = ${quoted(entrance.url)}\nuser_identity = "YOUR_NAME"\n`,
  };
  if (entrance.transport === 'iroh') return [adit];
  const host = entrance.host;
  const port = entrance.port ?? 0;
  if (entrance.transport === 'sv1') {
    return [
      {
        title: 'Bitaxe, NerdQAxe',
        where: 'Settings, Stratum: host, port, user apart',
        text: `Stratum host: ${host}\nStratum port: ${port}\nStratum user: ${USER}\n`,
      },
      { title: 'Braiins OS', where: 'Pools, URL and user name', text: `URL: ${entrance.url}\nUser: ${USER}\n` },
      { title: 'Antminer', where: 'Miner configuration, pool 1', text: `URL: ${entrance.url}\nWorker: ${USER}\nPassword: x\n` },
      { title: 'Another Adit', where: 'In a terminal: a CPU miner, for a try', text: `adit miner ${entrance.url} --user ${USER}\n` },
    ];
  }
  return [
    {
      title: 'Bitaxe with Stratum V2',
      where: 'Settings, Stratum: host, port, key apart',
      text: `Stratum host: ${host}\nStratum port: ${port}\nAuthority key: ${entrance.authority ?? ''}\nStratum user: ${USER}\n`,
    },
    { title: 'Braiins OS', where: 'Pools, URL and user name', text: `URL: ${entrance.url}\nUser: ${USER}\n` },
    adit,
  ];
}

/** What the entrance is, in words. */
export function entranceWords(entrance: Entrance): string {
  if (entrance.transport === 'sv1') return 'Stratum V1 miners on your network';
  if (entrance.transport === 'iroh') return 'From anywhere, over iroh: through routers, encrypted';
  return 'Stratum V2 over TCP, on your network';
}

export function onlyThisMachine(host: string): boolean {
  return host.startsWith('127.') || host === '::1' || host === 'localhost';
}
