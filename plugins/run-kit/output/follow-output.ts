/** Parses what a program writes to one of its streams, while it runs and at its end. */
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { StopSignal, WakeEvent } from '../../../core/ports/wake-runner.ts';
import { lineFollower, type FollowedLines } from './line-follower.ts';
import type { DroppedLine } from './line-splitter.ts';
import { RUN_STREAMS_BYTES_MAX, runFiles } from '../process/run-files.ts';
import { isMomentary, wait } from '../events/wait.ts';
import { tooMuchOutput } from '../process/watch-run.ts';
import type { Emit } from '../events/wake-events.ts';

/** Poll interval for the file, because file watchers miss lines. */
const OUTPUT_POLL_MS = 100;
/** After how many lines timers, sockets and the other runs have their turn: a flood of short lines would leave them none for seconds. */
const LINES_PER_TURN = 1_024;
/** How often a read that fails for such a reason is tried: a minute in total. */
const READ_TRIES_MAX = 600;

/** Events that a program's output can produce. */
export type ParsedEvent = Extract<WakeEvent, { readonly type: 'started' | 'progress' | 'output' | 'usage' | 'completed' | 'failed' }>;

/** Parses one line of standard output. A line that yields no event is reported as output, a sign of life. */
export type LineParser = (line: string) => ParsedEvent | readonly ParsedEvent[] | undefined;

/** A `LineParser` that may first persist something. */
export type AsyncLineParser = (line: string) => ReturnType<LineParser> | Promise<ReturnType<LineParser>>;

/** Which stream of a run to follow, and how far. */
export interface FollowOutputOptions {
  readonly runId: string;
  readonly runDir: string;
  readonly onLine: AsyncLineParser;
  readonly emit: Emit;
  /** False: only shown, so that the run continues although the file cannot be read any more or is too long. Default true. */
  readonly isNeeded?: boolean | undefined;
  /** Default `stdout`. */
  readonly stream?: 'stdout' | 'stderr' | undefined;
  /** Longer lines are dropped. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
  /** The rest of a longer stream is not read, and the run fails. Default `RUN_STREAMS_BYTES_MAX`. */
  readonly streamBytesMax?: number | undefined;
  /** Called for each dropped line, in order. */
  readonly onDropped?: ((line: DroppedLine) => void) | undefined;
  /** Called when the program has emptied the file, before the lines that it wrote since. */
  readonly onRewritten?: (() => void) | undefined;
  /** Aborted when polling has ended. */
  readonly detachSignal: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
}

/** Follows one output stream of a run. */
export interface OutputFollower {
  /** Starts following. Idempotent. */
  begin(): void;
  /**
   * Resolves when everything written so far was reported; false if a part could not be read, which was emitted as a failure. Call once,
   * when the program has ended.
   */
  finish(): Promise<boolean>;
}

/**
 * Emits the parsed events of each line from the first on, and everything else as output. Only complete lines are
 * parsed; the last line of a program that has ended needs no newline. Never throws: if `onLine` throws or the file
 * cannot be read, the agent counts as `failed` and nothing more is read.
 */
export function followOutput(options: FollowOutputOptions): OutputFollower {
  const { runId, runDir, onLine, emit, isNeeded = true, stream = 'stdout', detachSignal, clock, log } = options;
  const { streamBytesMax = RUN_STREAMS_BYTES_MAX } = options;
  const file = lineFollower({ path: runFiles(runDir)[stream], lineBytesMax: options.lineBytesMax });
  const ended = new AbortController();
  const stopped = AbortSignal.any([ended.signal, detachSignal]);
  let polling: Promise<void> | null = null;
  let hasFailed = false;
  let failedReads = 0;
  /** The file was there: if it no longer is, what the program writes cannot be read any more. */
  let wasThere = false;

  const process = async ({ lines, dropped }: Pick<FollowedLines, 'lines' | 'dropped'>): Promise<void> => {
    if (dropped.length > 0)
      log.warn('dropped a line of output that was too long or held too many values', { runId, lines: dropped.length });
    let next = 0;
    for (const line of dropped) {
      await emitLines(lines.slice(next, line.at), { onLine, stream, emit });
      options.onDropped?.(line);
      next = line.at;
    }
    await emitLines(lines.slice(next), { onLine, stream, emit });
  };
  /** Reads what is there now. `isOver`: nothing more will come. */
  const readToEnd = async (isOver: boolean): Promise<void> => {
    for (let isAtEnd = false; !isAtEnd;) {
      const read = await file.read();
      wasThere = true;
      if (read.isRewritten) {
        log.warn('an agent emptied the file of its own output, as "> /dev/stdout" does in a shell (">> /dev/stdout" does not)', {
          runId,
          stream,
        });
        options.onRewritten?.();
      }
      await process(read);
      isAtEnd = read.isAtEnd;
      // Nobody limits the output of a run that has ended, and reading all of it could take arbitrarily long.
      if (file.position() > streamBytesMax) {
        hasFailed = true;
        return isNeeded ? await emit(tooMuchOutput(streamBytesMax)) : undefined;
      }
    }
    if (isOver) await process(file.end());
  };
  const readNow = async (isOver = false): Promise<void> => {
    if (hasFailed) return;
    try {
      await readToEnd(isOver);
      failedReads = 0;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A run that died before its files were created.
      if (code === 'ENOENT' && !wasThere) return;
      failedReads += 1;
      if (isMomentary(error) && failedReads < READ_TRIES_MAX) {
        if (failedReads === 1)
          log.warn('cannot read the output of an agent at the moment; trying again', { runId, stream, error: messageOf(error) });
        if (!isOver) return;
        await wait(clock, OUTPUT_POLL_MS, detachSignal);
        return detachSignal.aborted ? undefined : await readNow(true);
      }
      hasFailed = true;
      log.error('cannot read the output of an agent', { runId, error });
      if (!isNeeded) return;
      await emit({
        type: 'failed',
        phase: 'agent',
        message: `The runner cannot read the output of the agent: ${messageOf(error)}`,
        retryable: true,
      });
    }
  };
  const poll = async (): Promise<void> => {
    while (!stopped.aborted && !hasFailed) {
      await readNow();
      await wait(clock, OUTPUT_POLL_MS, stopped);
    }
  };

  return {
    begin() {
      polling ??= poll();
    },
    async finish() {
      ended.abort();
      await polling;
      await readNow(true);
      return !hasFailed || !isNeeded;
    },
  };
}

const NO_EVENTS: readonly never[] = [];

/** Lines that yield no event are emitted together as output: they show that the program is alive. */
async function emitLines(
  lines: readonly string[],
  { onLine, stream, emit }: { readonly onLine: AsyncLineParser; readonly stream: 'stdout' | 'stderr'; readonly emit: Emit },
): Promise<void> {
  let unparsed: string[] = [];
  const flushUnparsed = async (): Promise<void> => {
    if (unparsed.length > 0) await emit({ type: 'output', stream, text: unparsed.join('\n') });
    unparsed = [];
  };
  for (const [index, line] of lines.entries()) {
    if (index > 0 && index % LINES_PER_TURN === 0) await setImmediate();
    // One written in JavaScript may also return null.
    const parsed = (await onLine(line)) ?? NO_EVENTS;
    if (Array.isArray(parsed) && parsed.length === 0) {
      unparsed.push(line);
      continue;
    }
    await flushUnparsed();
    for (const event of [parsed].flat()) await emit(event);
  }
  await flushUnparsed();
}
