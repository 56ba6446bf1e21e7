import type { AnsweredBlock, Coinbase, CoinbaseOutput, Node, Upstream } from '../api';
import { ago, bitcoin, count, plural, satoshi } from '../format';
import { Figure, Marks, Table, Time } from '../parts';
import { age, marks, status } from '../state';
import { answer, clockWords, mainSide } from '../words';

/** A script that no address pays: as much of it as came. */
function script(output: CoinbaseOutput): string {
  return output.script_hex.length < 2 * output.script_size ? `${output.script_hex}… (${plural(output.script_size, 'byte')})` : output.script_hex;
}

function Paid({ coinbase, role }: { coinbase: Coinbase | null; role: string }) {
  if (coinbase === null) {
    const why =
      role === 'translator'
        ? 'A translator is not told: the pool makes the coinbase.'
        : role === 'template'
          ? 'Those who take templates from here decide it.'
          : role === 'jd-server'
            ? 'Each declared job has its own: the miners choose it, and the pool’s part is checked.'
            : 'No work has come yet.';
    return <p class="empty">{why}</p>;
  }
  const rest = coinbase.total - coinbase.outputs.length;
  return (
    <>
      <Table<CoinbaseOutput>
        label="Outputs of the coinbase"
        rows={coinbase.outputs}
        keyOf={(output, i) => `${output.script_hex} ${i}`}
        empty="Nobody: it has no output that pays."
        columns={[
          {
            title: 'To',
            cell: (output) =>
              output.address === null ? (
                <span class="name">
                  the script <code>{script(output)}</code>
                </span>
              ) : (
                <code class="name">{output.address}</code>
              ),
          },
          { title: 'Amount', number: true, cell: (output) => bitcoin(output.value_sat) },
        ]}
      />
      {rest > 0 ? <p class="note">{plural(rest, 'more output is', 'more outputs are')} not shown.</p> : null}
      {coinbase.own_payouts > 0 ? (
        <p>
          Beside that, blocks of {plural(coinbase.own_payouts, 'miner', 'miners')} pay {coinbase.own_payouts === 1 ? 'its own address' : 'their own addresses'}, as their
          names ask for.
        </p>
      ) : null}
    </>
  );
}

export function Work() {
  const now = status.value;
  if (now === null) return null;
  const { work } = now;
  const workAge = now.health.work_age_seconds;
  const blocks = marks.value.filter((mark) => mark.kind === 'block').slice(-20).reverse();
  return (
    <>
      <dl class="figures">
        <Figure label="Block being worked on">{work?.height ? count(work.height) : 'not known here'}</Figure>
        <Figure label="Newest work" note={work ? `${plural(work.pieces, now.role === 'translator' ? 'job' : 'template')} so far` : null}>
          {workAge === null ? 'none yet' : ago(workAge + age.value)}
        </Figure>
        <Figure label="Fees of the newest template" note={work?.reward_sat == null ? null : `of a reward of ${bitcoin(work.reward_sat)}`}>
          {work?.fees_sat == null ? 'not known here' : satoshi(work.fees_sat)}
        </Figure>
        <Figure label="Blocks found">{count(mainSide(now)?.blocks_found ?? 0)}</Figure>
        {work && now.role !== 'translator' ? (
          <>
            <Figure label="Accepted by the chain">{count(work.blocks_accepted)}</Figure>
            <Figure label="Refused by the chain" note="late ones among them">
              {count(work.blocks_rejected)}
            </Figure>
            <Figure label="Not answered yet">{count(work.blocks_unanswered)}</Figure>
          </>
        ) : null}
      </dl>
      <section aria-labelledby="paid">
        <h2 id="paid">Whom the coinbase pays</h2>
        <Paid coinbase={work?.coinbase ?? null} role={now.role} />
      </section>
      {work && work.nodes.length > 0 ? (
        <section aria-labelledby="nodes">
          <h2 id="nodes">Nodes</h2>
          <Table<Node>
            label="Nodes"
            rows={work.nodes}
            keyOf={(node, i) => `${node.name} ${i}`}
            empty=""
            columns={[
              { title: 'Node', cell: (node) => <strong class="name">{node.name}</strong> },
              { title: 'State', cell: (node) => `${node.state}${node.in_use ? ', in use' : ''}${node.message ? `: ${node.message}` : ''}` },
              { title: 'Height', number: true, cell: (node) => (node.height === 0 ? 'none yet' : count(node.height)) },
              {
                title: 'Clock',
                number: true,
                cell: (node) => clockWords(node.clock_ahead_seconds),
              },
            ]}
          />
        </section>
      ) : null}
      {now.upstreams && now.upstreams.length > 0 ? (
        <section aria-labelledby="pools">
          <h2 id="pools">Pool</h2>
          <Table<Upstream>
            label="Upstreams"
            rows={now.upstreams}
            keyOf={(upstream, i) => `${upstream.url} ${i}`}
            empty=""
            columns={[
              { title: 'URL', cell: (upstream) => <span class="name">{upstream.url || 'none was tried yet'}</span> },
              { title: 'State', cell: (upstream) => (upstream.ready ? 'connected' : upstream.error ? `not connected: ${upstream.error}` : 'not connected') },
              { title: 'Connected', number: true, cell: (upstream) => plural(upstream.connects, 'time') },
              { title: 'Switched', number: true, cell: (upstream) => plural(upstream.fallbacks, 'time') },
            ]}
          />
        </section>
      ) : null}
      <section aria-labelledby="found">
        <h2 id="found">Blocks found</h2>
        {work && work.blocks.length > 0 ? (
          <Table<AnsweredBlock>
            label="The chain's answers to the newest blocks"
            rows={work.blocks}
            keyOf={(block) => block.hash}
            empty=""
            columns={[
              { title: 'Answered', cell: (block) => <Time at={block.at} now={now.at} /> },
              { title: 'Height', number: true, cell: (block) => count(block.height) },
              { title: "The chain's answer", cell: answer },
              { title: 'Block', cell: (block) => <code class="name">{block.hash}</code> },
            ]}
          />
        ) : null}
        <Marks marks={blocks} now={now.at} empty="None while this page remembers: it remembers the newest happenings." />
      </section>
    </>
  );
}
