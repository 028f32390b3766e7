/** What the agents of a task say and print, live while it runs, and afterwards for as long as the hub keeps it. */
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { OUTPUT_STREAMS, type OutputStream } from '../../../core/domain/assignment/output-stream.ts';
import type { TaskDetail } from '../../client/types.ts';
import { hasEnded } from '../hub/task-actions.ts';
import { OutputWindow } from '../lists/output-window.ts';
import { attempt, say } from '../parts/messages.tsx';
import { durationText, nowMs } from '../parts/moments.tsx';
import { Panel } from '../parts/notices.tsx';
import { LineText } from '../parts/untrusted-text.tsx';
import { outputRows } from './output-rows.tsx';

/** So close to the end counts as at the end, pixels. */
const AT_END_PX = 24;

export function TaskOutput({ task }: { readonly task: TaskDetail }): JSX.Element | null {
  const output = useMemo(() => new OutputWindow(task.id), [task.id]);
  const isOver = hasEnded(task.status);
  const wasAssigned = task.generation > 0;
  const [needle, setNeedle] = useState('');
  const [stream, setStream] = useState<OutputStream | 'all'>('all');
  void output.version.value;

  useEffect(() => {
    if (!wasAssigned) return;
    // A hidden page holds no connection open: a browser has only a few for each hub.
    const seen = (): void => (document.hidden ? output.pause() : output.follow());
    seen();
    document.addEventListener('visibilitychange', seen);
    return () => {
      document.removeEventListener('visibilitychange', seen);
      output.pause();
    };
  }, [output, isOver, wasAssigned]);

  const { rows, lines, text } = useMemo(
    () => outputRows(output.chunks, { needle, stream, isFromStart: !output.hasEarlier }),
    [output.version.value, needle, stream],
  );
  if (!wasAssigned) return null;
  const isEmpty = output.chunks.length === 0;
  return (
    <Panel
      title="Output"
      id="output"
      beside={isEmpty ? undefined : <Tools {...{ output, task, needle, setNeedle, stream, setStream, text }} />}
    >
      {isEmpty ? (
        <p class="muted">{emptyText(output, task)}</p>
      ) : (
        <OutputLog output={output} rows={rows} isFiltered={needle !== '' || stream !== 'all'} />
      )}
      <p class="output-state muted" role="status">
        {output.error !== null && (
          <>
            <LineText text={output.error.message} /> {output.following === 'retrying' && 'Trying again… '}
          </>
        )}
        {needle !== '' &&
          `${lines.toLocaleString('en')} ${lines === 1 ? 'line' : 'lines'} with this text${output.hasEarlier || output.hasLater ? ' in the part that is loaded' : ''}.`}
      </p>
    </Panel>
  );
}

function emptyText({ following, error, kept }: OutputWindow, task: TaskDetail): string {
  if (kept === null) return error === null ? 'Loading…' : '';
  if (kept.bytes === 0) return 'This hub stores no output (its limits.outputBytes is 0).';
  if (!hasEnded(task.status)) return 'No output yet.';
  if (following !== 'ended') return 'Loading…';
  if (nowMs.value - task.updated_at > kept.ms) return `None is kept: this hub removes output after ${durationText(kept.ms)}.`;
  return 'Its agents printed nothing.';
}

interface ToolsProps {
  readonly output: OutputWindow;
  readonly task: TaskDetail;
  readonly needle: string;
  readonly setNeedle: (needle: string) => void;
  readonly stream: OutputStream | 'all';
  readonly setStream: (stream: OutputStream | 'all') => void;
  /** What is shown. */
  readonly text: string;
}

function Tools({ output, task, needle, setNeedle, stream, setStream, text }: ToolsProps): JSX.Element {
  const isLive = output.following === 'live' && !hasEnded(task.status);
  return (
    <div class="output-tools">
      {isLive && (
        <span class="live is-live">
          <span class="live-dot" aria-hidden="true" />
          following
        </span>
      )}
      <input
        type="search"
        aria-label="Search the output"
        placeholder="Search…"
        maxLength={256}
        value={needle}
        onInput={(event) => setNeedle(event.currentTarget.value)}
      />
      <select aria-label="Stream" value={stream} onChange={(event) => setStream(event.currentTarget.value as OutputStream | 'all')}>
        <option value="all">all streams</option>
        {OUTPUT_STREAMS.map((each) => (
          <option key={each}>{each}</option>
        ))}
      </select>
      {/* Browsers give a clipboard only to pages that came over TLS or loopback. */}
      {'clipboard' in navigator && (
        <button
          type="button"
          class="small"
          title="Copies what is shown here"
          onClick={() => void attempt('The output is copied.', () => navigator.clipboard.writeText(text))}
        >
          Copy
        </button>
      )}
      <button
        type="button"
        class="small"
        title="All output that the hub keeps, as it was printed"
        onClick={() => void attempt('The output is downloaded.', async () => download(`${task.id}.log`, await output.readAll()))}
      >
        Download
      </button>
    </div>
  );
}

function download(name: string, parts: readonly string[]): void {
  const url = URL.createObjectURL(new Blob([...parts], { type: 'text/plain' }));
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 0);
}

interface OutputLogProps {
  readonly output: OutputWindow;
  readonly rows: readonly JSX.Element[];
  readonly isFiltered: boolean;
}

const firstChunk = (log: HTMLElement): HTMLElement | null => log.querySelector('[data-n]');

/** Stays at the end while the reader is there. */
function OutputLog({ output, rows, isFiltered }: OutputLogProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [isAtEnd, setAtEnd] = useState(true);
  /** The first chunk before older ones were put above it, and where it was. */
  const kept = useRef<{ readonly n: string | undefined; readonly top: number } | null>(null);
  const [isReading, setReading] = useState(false);

  const toEnd = (): void => {
    output.isReaderAtEnd = true;
    setAtEnd(true);
    if (output.hasLater) output.follow();
    if (box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  };
  const onScroll = (): void => {
    const element = box.current;
    if (element === null) return;
    const isNow = element.scrollHeight - element.scrollTop - element.clientHeight <= AT_END_PX;
    if (isNow === output.isReaderAtEnd) return;
    if (isNow) toEnd();
    else {
      output.isReaderAtEnd = false;
      setAtEnd(false);
    }
  };
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const before = kept.current;
    const isAbove = before !== null && firstChunk(element)?.dataset['n'] !== before.n;
    if (isAbove) {
      kept.current = null;
      const same = element.querySelector<HTMLElement>(`[data-n="${before.n}"]`);
      if (same !== null) element.scrollTop += same.offsetTop - before.top;
    } else if (output.isReaderAtEnd) element.scrollTop = element.scrollHeight;
  }, [rows]);

  const readEarlier = async (): Promise<void> => {
    output.isReaderAtEnd = false;
    setAtEnd(false);
    setReading(true);
    const first = box.current === null ? null : firstChunk(box.current);
    kept.current = first === null ? null : { n: first.dataset['n'], top: first.offsetTop };
    await output.readEarlier().catch((thrown: unknown) => say(thrown instanceof Error ? thrown.message : String(thrown), 'bad'));
    setReading(false);
  };
  return (
    <div class="output-frame">
      <div
        ref={box}
        class="output-log"
        role="log"
        aria-label="Output of the agents"
        aria-live={output.isFast ? 'off' : 'polite'}
        tabIndex={0}
        onScroll={onScroll}
      >
        {output.hasEarlier && (
          <button type="button" class="link output-earlier" disabled={isReading} onClick={() => void readEarlier()}>
            {isReading ? 'Loading…' : 'Load earlier output'}
          </button>
        )}
        {rows}
        {rows.length === 0 && isFiltered && <p class="output-none">No line of it matches.</p>}
      </div>
      {(!isAtEnd || output.hasLater) && (
        <button type="button" class="small output-jump" onClick={toEnd}>
          Jump to newest ↓
        </button>
      )}
    </div>
  );
}
