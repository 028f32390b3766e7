/** A chart over time. With a sentence for users who cannot see it. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { minuteText } from './moments.tsx';
import { isDark } from './theme.ts';

export interface Series {
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** A custom property of the styles, such as `--status-completed`. */
  readonly color: string;
  readonly kind: 'bars' | 'line';
  /** Shows each value: where many are missing, a line alone would not be seen. */
  readonly points?: boolean;
}

const HEIGHT_PX = 180;
/** So that a label has at most one decimal. */
const TIME_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 36_000];
/** Nothing is completed by halves. */
const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000];
const AXIS_FONT = '12px system-ui, sans-serif';

export function TimeChart({ times, series, unit, summary }: TimeChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const dark = isDark.value;
  const data: uPlot.AlignedData = [times as number[], ...series.map(({ values }) => values as (number | null)[])];
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const color = (name: string): string => resolved(element, name);
    const axis = { stroke: color('--muted'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: AXIS_FONT };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT_PX,
        padding: [8, 20, 0, 0],
        cursor: { y: false, points: { size: 6 } },
        legend: { live: true, markers: { width: 0, fill: (_self, at) => color(series[at - 1]?.color ?? '--muted') } },
        scales: { y: { range: (_self, _min, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [
          { ...axis, space: 80, size: 28, values: (_self, ticks) => ticks.map((tick) => minuteText(tick * 1_000)) },
          {
            ...axis,
            size: 46,
            incrs: unit === '' ? WHOLE_STEPS : TIME_STEPS,
            values: (_self, ticks) => ticks.map((tick) => `${short(tick)}${unit}`),
          },
        ],
        series: [
          { value: '{HH}:{mm}:{ss}' },
          ...series.map(({ label, color: name, kind, points }): uPlot.Series => ({
            label,
            stroke: color(name),
            width: kind === 'bars' ? 0 : 2,
            spanGaps: true,
            points: { show: points === true, size: 5 },
            value: (_self, value: number | null) => (value === null ? '–' : `${short(value)}${unit}`),
            ...(kind === 'bars' && uPlot.paths.bars !== undefined
              ? { fill: color(name), paths: uPlot.paths.bars({ size: [0.8, 12] }) }
              : {}),
          })),
        ],
      },
      latest.current,
      element,
    );
    chart.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [dark]);

  useEffect(() => chart.current?.setData(data), [times, series]);

  return (
    <figure class="chart">
      <div ref={box} aria-hidden="true" />
      <figcaption>{summary}</figcaption>
    </figure>
  );
}

interface TimeChartProps {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  /** Behind each number, such as ` s`. */
  readonly unit: string;
  readonly summary: string;
}

const short = (value: number): string => (value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1));

/** A canvas needs the color itself: a custom property with two themes in it means nothing to it. */
function resolved(element: HTMLElement, name: string): string {
  const before = element.style.color;
  element.style.color = `var(${name})`;
  const color = getComputedStyle(element).color;
  element.style.color = before;
  return color;
}
