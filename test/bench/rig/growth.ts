/** How a cost grows with the number of existing items: the exponent, and a picture of it. */
import { isLessBetter, median, type Result } from './result.ts';

export interface Series {
  readonly name: string;
  readonly over: string;
  readonly points: readonly { readonly at: number; /** Milliseconds for one operation. */ readonly ms: number }[];
  /** 0: flat; 1: proportional. */
  readonly exponent: number;
}

/** From the results that are points of one, on the given storage. */
export function seriesIn(results: readonly Result[], storage: string): readonly Series[] {
  const points = new Map<string, { readonly name: string; readonly over: string; readonly at: number; readonly ms: number }[]>();
  for (const result of results) {
    if (result.series === undefined || result.storage !== storage) continue;
    const { name, over, at } = result.series;
    const figure = median(result.runs);
    // A median of 0 is below what could be measured; it says nothing about growth.
    if (figure <= 0) continue;
    const key = `${over}: ${name}, ${result.transport}`;
    const ms = isLessBetter(result.unit) ? (result.times?.p50Ms ?? figure) : 1_000 / figure;
    points.set(key, [...(points.get(key) ?? []), { name, over, at, ms }]);
  }
  return [...points.values()]
    .filter((of) => of.length >= 2)
    .map((of) => ({ name: of[0]?.name ?? '', over: of[0]?.over ?? '', points: of, exponent: exponentOf(of) }));
}

/** The slope of the straight line through the logarithms, by least squares. */
function exponentOf(points: Series['points']): number {
  const logs = points.map(({ at, ms }) => ({ x: Math.log(at), y: Math.log(ms) }));
  const mean = (of: (log: { readonly x: number; readonly y: number }) => number): number =>
    logs.reduce((sum, log) => sum + of(log), 0) / logs.length;
  const [meanX, meanY] = [mean(({ x }) => x), mean(({ y }) => y)];
  return mean(({ x, y }) => (x - meanX) * (y - meanY)) / mean(({ x }) => (x - meanX) ** 2);
}

const WIDTH = 940;
const HEIGHT = 460;
const LEFT = 70;
const RIGHT = 370;
const TOP = 40;
const BOTTOM = 50;
/** Readable on white and on black: the picture has no background. */
const GREY = '#808080';
const COLORS = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#17becf', '#a0695c', '#bcbd22', '#e377c2', '#6b8e9f'];
/** A second round of colors is drawn with dashes. */
const DASHES = '6 4';

/** A picture with both axes in powers of ten. */
export function plot(title: string, over: string, series: readonly Series[]): string {
  const all = series.flatMap(({ points }) => points);
  const [fromX, toX] = powersAround(all.map(({ at }) => at));
  const [fromY, toY] = powersAround(all.map(({ ms }) => ms));
  const x = (at: number): number => LEFT + ((Math.log10(at) - fromX) / (toX - fromX)) * (WIDTH - LEFT - RIGHT);
  const y = (ms: number): number => HEIGHT - BOTTOM - ((Math.log10(ms) - fromY) / (toY - fromY)) * (HEIGHT - TOP - BOTTOM);
  const powers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);
  const grid = [
    ...powers(fromX, toX).map(
      (power) =>
        line(x(10 ** power), TOP, x(10 ** power), HEIGHT - BOTTOM) + text(x(10 ** power), HEIGHT - BOTTOM + 18, inWords(power), 'middle'),
    ),
    ...powers(fromY, toY).map(
      (power) => line(LEFT, y(10 ** power), WIDTH - RIGHT, y(10 ** power)) + text(LEFT - 6, y(10 ** power) + 4, inWords(power), 'end'),
    ),
  ];
  const lines = series.map(({ name, points, exponent }, n) => {
    const color = COLORS[n % COLORS.length] ?? GREY;
    const dashes = n < COLORS.length ? '' : ` stroke-dasharray="${DASHES}"`;
    const path = points.map(({ at, ms }) => `${x(at).toFixed(1)},${y(ms).toFixed(1)}`).join(' ');
    const dots = points.map(({ at, ms }) => `<circle cx="${x(at).toFixed(1)}" cy="${y(ms).toFixed(1)}" r="3" fill="${color}"/>`).join('');
    const legend = text(WIDTH - RIGHT + 30, TOP + 12 + n * 20, `${name}: exponent ${exponent.toFixed(2)}`, 'start');
    const markY = TOP + 8 + n * 20;
    const mark = `<line x1="${WIDTH - RIGHT + 8}" y1="${markY}" x2="${WIDTH - RIGHT + 26}" y2="${markY}" stroke="${color}" stroke-width="3"${dashes}/>`;
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"${dashes}/>${dots}${mark}${legend}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="${GREY}">`,
    text(LEFT, 22, escaped(`${title} (milliseconds for one, both axes in powers of ten)`), 'start'),
    ...grid,
    ...lines,
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, escaped(over), 'middle'),
    '</svg>\n',
  ].join('\n');
}

const powersAround = (values: readonly number[]): readonly [number, number] => {
  const from = Math.floor(Math.log10(Math.min(...values)));
  return [from, Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))))];
};
const line = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${GREY}" stroke-opacity="0.3"/>`;
const text = (x: number, y: number, words: string, anchor: string): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words}</text>`;
const inWords = (power: number): string => (10 ** power).toLocaleString('en-US', { maximumFractionDigits: 6 });
/** Text escaped for SVG. */
export const escaped = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
