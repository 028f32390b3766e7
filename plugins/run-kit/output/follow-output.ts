/** Hears what a program says on one of its streams: while it runs, and at its end to the last line. */
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { StopSignal, WakeEvent } from '../../../core/ports/wake-runner.ts';
import { lineFollower, type FollowedLines } from './line-follower.ts';
import type { DroppedLine } from './line-splitter.ts';
import { RUN_STREAMS_BYTES_MAX, runFiles } from '../process/run-files.ts';
import { wait } from '../events/wait.ts';
import { tooMuchOutput } from '../process/watch-run.ts';
import type { Emit } from '../events/wake-events.ts';

/** Between two looks at the file: watchers of files miss lines. */
const LOOK_AT_OUTPUT_MS = 100;

/** What a program can say of itself. */
export type SaidEvent = Extract<WakeEvent, { readonly type: 'started' | 'progress' | 'output' | 'usage' | 'completed' | 'failed' }>;

/** Reads one line of standard output: what it says. A line that says nothing counts as output, a sign of life. */
export type Hear = (line: string) => SaidEvent | readonly SaidEvent[] | undefined;

/** As `Hear`, for what has to be written down before it is told. */
export type HearInTime = (line: string) => ReturnType<Hear> | Promise<ReturnType<Hear>>;

export interface FollowOutputOptions {
  readonly runId: string;
  readonly runDir: string;
  readonly hear: HearInTime;
  readonly emit: Emit;
  /** Default `stdout`. */
  readonly stream?: 'stdout' | 'stderr' | undefined;
  /** Longer lines are left out. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
  /** Of a longer stream the rest is not heard, and the run counts as failed. Default `RUN_STREAMS_BYTES_MAX`. */
  readonly streamBytesMax?: number | undefined;
  /** Told of each line that was left out, between the lines that it stood between. */
  readonly onDropped?: ((line: DroppedLine) => void) | undefined;
  /** Aborted when nobody listens any more. */
  readonly left: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
}

export interface OutputFollower {
  /** Begins to listen. May be called again. */
  begin(): void;
  /** Answers when everything that was written by now was told. To be called once, when the program has ended. */
  finish(): Promise<void>;
}

/**
 * Tells what `hear` makes of each line, from the first on, and the rest as output. Only whole lines count; the last one of a program that has ended
 * needs no end of its own. Does not throw: when `hear` does, or
 * the file cannot be read, the agent counts as `failed` and nothing more is heard.
 */
export function followOutput(options: FollowOutputOptions): OutputFollower {
  const { runId, runDir, hear, emit, stream = 'stdout', streamBytesMax = RUN_STREAMS_BYTES_MAX, left, clock, log } = options;
  const file = lineFollower({ path: runFiles(runDir)[stream], lineBytesMax: options.lineBytesMax });
  const ended = new AbortController();
  const enough = AbortSignal.any([ended.signal, left]);
  let listening: Promise<void> | null = null;
  let isDeaf = false;

  const take = async ({ lines, dropped }: Pick<FollowedLines, 'lines' | 'dropped'>): Promise<void> => {
    if (dropped.length > 0)
      log.warn('a line of output was too long, or held too many values, and is left out', { runId, lines: dropped.length });
    let told = 0;
    for (const line of dropped) {
      await tellLines(lines.slice(told, line.at), { hear, stream, emit });
      options.onDropped?.(line);
      told = line.at;
    }
    await tellLines(lines.slice(told), { hear, stream, emit });
  };
  /** Tells what is there now. `isOver`: nothing more comes. */
  const catchUp = async (isOver: boolean): Promise<void> => {
    for (let isAtEnd = false; !isAtEnd;) {
      const read = await file.read();
      await take(read);
      isAtEnd = read.isAtEnd;
      // Nobody measures a run that has ended, and to read it all would take as long as its agent likes.
      if (file.position() > streamBytesMax) {
        isDeaf = true;
        return await emit(tooMuchOutput(streamBytesMax));
      }
    }
    if (isOver) await take(file.end());
  };
  const hearNow = async (isOver = false): Promise<void> => {
    if (isDeaf) return;
    try {
      await catchUp(isOver);
    } catch (error) {
      // A run that died before its files were made has said nothing.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      isDeaf = true;
      log.error('cannot read what an agent says', { runId, error });
      await emit({
        type: 'failed',
        phase: 'agent',
        message: `The runner cannot read what the agent says: ${messageOf(error)}`,
        retryable: true,
      });
    }
  };
  const listen = async (): Promise<void> => {
    while (!enough.aborted && !isDeaf) {
      await hearNow();
      await wait(clock, LOOK_AT_OUTPUT_MS, enough);
    }
  };

  return {
    begin() {
      listening ??= listen();
    },
    async finish() {
      ended.abort();
      await listening;
      await hearNow(true);
    },
  };
}

/** Lines that say nothing are told as output, together: they show that the program lives. */
async function tellLines(
  lines: readonly string[],
  { hear, stream, emit }: { readonly hear: HearInTime; readonly stream: 'stdout' | 'stderr'; readonly emit: Emit },
): Promise<void> {
  let unsaid: string[] = [];
  const tellUnsaid = async (): Promise<void> => {
    if (unsaid.length > 0) await emit({ type: 'output', stream, text: unsaid.join('\n') });
    unsaid = [];
  };
  for (const line of lines) {
    const said = [(await hear(line)) ?? []].flat();
    if (said.length === 0) unsaid.push(line);
    else await tellUnsaid();
    for (const event of said) await emit(event);
  }
  await tellUnsaid();
}
