// One plot over time. The canvas is for the eye; what it shows is said in words too.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Mark } from './api';
import { withGaps } from './state';

export interface Line {
  label: string;
  /** A custom property of the style sheet. */
  colour: string;
  values: (number | null)[];
  dashed?: boolean;
  bars?: boolean;
}

interface Props {
  title: string;
  words: string;
  at: number[];
  lines: Line[];
  marks: Mark[];
  format: (value: number) => string;
}

const HEIGHT = 190;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || '#888';
}

const MARK_COLOURS: Record<Mark['kind'], string> = {
  tip: '--line',
  block: '--good',
  upstream: '--warn',
  path: '--warn',
  state: '--bad',
};

function drawMarks(plot: uPlot, marks: Mark[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = 1;
  ctx.globalAlpha = 0.6;
  ctx.setLineDash([]);
  for (const mark of marks) {
    const x = plot.valToPos(mark.at, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = colour(MARK_COLOURS[mark.kind]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

export function Plot(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const data: uPlot.AlignedData = withGaps(props.at, props.lines.map((line) => line.values));

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const make = (): void => {
      plot.current?.destroy();
      const axis = {
        stroke: () => colour('--muted'),
        grid: { stroke: () => colour('--line'), width: 1 },
        ticks: { stroke: () => colour('--line'), width: 1 },
      };
      plot.current = new uPlot(
        {
          width: Math.max(200, element.clientWidth),
          height: HEIGHT,
          cursor: { y: false },
          legend: { show: true, live: true },
          scales: { y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
          axes: [axis, { ...axis, size: 74, values: (_u, all) => all.map((value) => latest.current.format(value)) }],
          series: [
            {},
            ...props.lines.map((line) => ({
              label: line.label,
              stroke: () => colour(line.colour),
              width: 2,
              ...(line.dashed ? { dash: [6, 4] } : {}),
              ...(line.bars && uPlot.paths.bars ? { paths: uPlot.paths.bars({ size: [0.9, 8] }), fill: () => colour(line.colour) } : {}),
              points: { show: false },
              value: (_u: uPlot, value: number | null) => (value === null ? '–' : latest.current.format(value)),
            })),
          ],
          hooks: { drawClear: [(u) => drawMarks(u, latest.current.marks)] },
        },
        data,
        element,
      );
    };
    make();
    const resized = new ResizeObserver(() => {
      plot.current?.setSize({ width: Math.max(200, element.clientWidth), height: HEIGHT });
    });
    resized.observe(element);
    const scheme = window.matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', make);
    return () => {
      scheme.removeEventListener('change', make);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);

  useEffect(() => plot.current?.setData(data), [props.at, props.lines]);

  return (
    <figure class="plot">
      <figcaption>
        <h3>{props.title}</h3>
        <p>{props.words}</p>
      </figcaption>
      <div ref={box} aria-hidden="true" />
    </figure>
  );
}

/** A small line without axes, of the last values. */
export function Sparkline({ values }: { values: number[] }) {
  const top = Math.max(...values, 1);
  const points = values.map((value, i) => `${((i * 78) / Math.max(1, values.length - 1) + 1).toFixed(1)},${(19 - (value * 18) / top).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 80 20" width="80" height="20" aria-hidden="true">
      {values.length > 1 ? <polyline points={points.join(' ')} /> : null}
    </svg>
  );
}
