/** A profile as a picture: each bar is a function, as wide as the time in it and in its callees, on top of its caller. */
import { escaped } from './growth.ts';

/** What `node --cpu-prof` writes. */
export interface CpuProfile {
  readonly nodes: readonly CpuNode[];
  readonly samples: readonly number[];
  /** Microseconds of the machine's monotonic clock. */
  readonly startTime: number;
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

interface CpuNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface Bar {
  readonly name: string;
  totalUs: number;
  readonly over: Map<string, Bar>;
}

const WIDTH = 1_200;
const BAR = 16;
/** A thinner bar is not drawn, in pixels. */
const THINNEST = 1.5;
const CHARACTER = 6.2;
const NOT_WORK = new Set(['(idle)', '(program)']);

/** `nameOf` returns the label of a bar; bars with the same name on the same bar are merged. */
export function flameGraph(profile: CpuProfile, nameOf: (frame: CpuNode['callFrame']) => string): string {
  const root: Bar = { name: 'all work', totalUs: 0, over: new Map() };
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const callers = new Map(profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const selfUs = new Map<number, number>();
  for (const [n, id] of profile.samples.entries()) selfUs.set(id, (selfUs.get(id) ?? 0) + (profile.timeDeltas[n] ?? 0));
  for (const [id, us] of selfUs) {
    const stack: string[] = [];
    for (let at: number | undefined = id; at !== undefined; at = callers.get(at)) {
      const frame = nodes.get(at)?.callFrame;
      if (frame !== undefined && frame.functionName !== '(root)') stack.unshift(nameOf(frame));
    }
    if (!NOT_WORK.has(stack[0] ?? '')) pile(root, stack, us);
  }
  const bars: string[] = [];
  const height = draw(bars, root, { x: 0, depth: 0, pixelsPerUs: WIDTH / Math.max(1, root.totalUs), allUs: root.totalUs });
  const flipped = (height + 1) * BAR;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 ${-flipped} ${WIDTH} ${flipped + BAR}" font-family="monospace" font-size="10">`,
    ...bars,
    '</svg>\n',
  ].join('\n');
}

function pile(root: Bar, stack: readonly string[], us: number): void {
  let bar = root;
  bar.totalUs += us;
  for (const name of stack) {
    let next = bar.over.get(name);
    if (next === undefined) bar.over.set(name, (next = { name, totalUs: 0, over: new Map() }));
    next.totalUs += us;
    bar = next;
  }
}

/** Returns the depth of the highest bar that was drawn. */
function draw(
  bars: string[],
  bar: Bar,
  { x, depth, pixelsPerUs, allUs }: { readonly x: number; readonly depth: number; readonly pixelsPerUs: number; readonly allUs: number },
): number {
  const width = bar.totalUs * pixelsPerUs;
  if (width < THINNEST) return depth - 1;
  const label = bar.name.slice(0, Math.floor(width / CHARACTER));
  const percent = ((bar.totalUs / allUs) * 100).toFixed(1);
  const hue = 15 + ([...bar.name].reduce((sum, character) => sum + character.charCodeAt(0), 0) % 40);
  bars.push(
    `<g><title>${escaped(bar.name)}: ${percent} %, ${Math.round(bar.totalUs / 1_000)} ms</title>` +
      `<rect x="${x.toFixed(1)}" y="${-depth * BAR}" width="${width.toFixed(1)}" height="${BAR - 1}" fill="hsl(${hue} 80% 62%)"/>` +
      `<text x="${(x + 2).toFixed(1)}" y="${-depth * BAR + 11}">${label.length < 3 ? '' : escaped(label)}</text></g>`,
  );
  let highest = depth;
  let at = x;
  for (const next of [...bar.over.values()].sort((a, b) => b.totalUs - a.totalUs)) {
    highest = Math.max(highest, draw(bars, next, { x: at, depth: depth + 1, pixelsPerUs, allUs }));
    at += next.totalUs * pixelsPerUs;
  }
  return highest;
}
