/** Output of agents as rows: where an attempt begins, what is missing, and the chunks of each stream, filtered and with the hits marked. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { OutputStream } from '../../../core/domain/assignment/output-stream.ts';
import type { OutputChunkJson } from '../../client/types.ts';
import { href } from '../hub/routing.ts';
import { timeText } from '../parts/moments.tsx';
import { LineText, marked } from '../parts/untrusted-text.tsx';

/** Hits that are marked; the lines of further ones are shown without. */
const HITS_MAX = 1_000;

export interface RowFilter {
  /** Empty: all lines. */
  readonly needle: string;
  readonly stream: OutputStream | 'all';
  /** Whether no older output is left out before the first chunk. */
  readonly isFromStart: boolean;
}

export interface OutputRows {
  readonly rows: readonly JSX.Element[];
  /** How many lines are shown. */
  readonly lines: number;
  /** What is shown, as it was printed. */
  readonly text: string;
}

export function outputRows(chunks: readonly OutputChunkJson[], { needle, stream, isFromStart }: RowFilter): OutputRows {
  const hit = needle === '' ? null : new RegExp(needle.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'giu');
  const rows: JSX.Element[] = [];
  const texts: string[] = [];
  const isFiltered = hit !== null || stream !== 'all';
  let [hitsLeft, lines] = [HITS_MAX, 0];
  let shownStream: OutputStream | null = null;
  let shownRun: string | null = null;
  for (const [at, chunk] of chunks.entries()) {
    const previous = chunks[at - 1];
    if (stream !== 'all' && chunk.stream !== stream) continue;
    const shown = hit === null ? chunk.text : linesWith(chunk.text, hit);
    if (shown === null) continue;
    const run = `${chunk.generation} ${chunk.agent_id}`;
    if (run !== shownRun) {
      rows.push(<RunHead key={`run ${chunk.n}`} chunk={chunk} />);
      shownStream = null;
      shownRun = run;
    }
    const missing = isFiltered ? null : missingBefore(chunk, previous, isFromStart);
    if (missing !== null) {
      rows.push(
        <p key={`missing ${chunk.n}`} class="output-missing">
          {missing}
        </p>,
      );
    }
    const found = hit === null ? null : withHits(shown, hit, hitsLeft);
    hitsLeft -= found?.hits ?? 0;
    rows.push(
      <div key={chunk.n} data-n={chunk.n} class={`output-chunk is-${chunk.stream}`} title={`${chunk.stream}, ${timeText(chunk.timestamp)}`}>
        <span class="output-stream">{chunk.stream === shownStream ? '' : chunk.stream}</span>
        <bdi class="output-text">{found === null ? <Marked text={shown} /> : found.nodes}</bdi>
      </div>,
    );
    shownStream = chunk.stream;
    texts.push(shown);
    lines += shown.split('\n').length;
  }
  return { rows, lines, text: texts.map((text) => `${text}\n`).join('') };
}

const RunHead = ({ chunk: { agent_id: agentId, generation } }: { readonly chunk: OutputChunkJson }): JSX.Element => (
  <p class="output-run">
    <a href={href(['agents', agentId])}>
      <LineText text={agentId} max={120} />
    </a>
    , generation {generation}
  </p>
);

/** Marked once, however often the rows around it change. */
const Marked = ({ text }: { readonly text: string }): JSX.Element => <>{useMemo(() => marked(text), [text])}</>;

/** Chunks are counted from 0 by each process of a sidecar; that of a run is another at most after its restart. */
function missingBefore(chunk: OutputChunkJson, previous: OutputChunkJson | undefined, isFromStart: boolean): string | null {
  if (chunk.dropped > 0) return `${chunk.dropped.toLocaleString('en')} characters are missing: they came too fast, or could not be sent.`;
  const isFirst = previous === undefined ? isFromStart : previous.generation !== chunk.generation;
  if (isFirst) return chunk.seq > 0 ? 'The output before this was removed, or did not arrive.' : null;
  const isSame = previous?.generation === chunk.generation && previous.agent_id === chunk.agent_id;
  return isSame && chunk.seq > previous.seq + 1 ? 'Some output is missing: it did not arrive.' : null;
}

function linesWith(text: string, hit: RegExp): string | null {
  const found = text.split('\n').filter((line) => line.search(hit) !== -1);
  return found.length === 0 ? null : found.join('\n');
}

function withHits(text: string, hit: RegExp, max: number): { readonly nodes: readonly (string | JSX.Element)[]; readonly hits: number } {
  const nodes: (string | JSX.Element)[] = [];
  let [from, hits] = [0, 0];
  for (const match of text.matchAll(hit)) {
    if (hits === max) break;
    hits += 1;
    nodes.push(...marked(text.slice(from, match.index)), <mark>{marked(match[0])}</mark>);
    from = match.index + match[0].length;
  }
  return { nodes: [...nodes, ...marked(text.slice(from))], hits };
}
