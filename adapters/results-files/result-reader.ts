/**
 * Reads a result file, waiting until it is complete. Agents may write it in pieces or abandon it half written: a file
 * that does not parse is read again until it was unchanged for a while, or until a total time is up, and only then
 * counts as invalid. An agent that may still be running is given more time.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../core/ports/clock.ts';
import { NOT_REGULAR, readResult, RESULT_FILE_BYTES_MAX, unfinishedLeftMs, type Unfinished } from '../../core/protocol/agent-files.ts';
import { readBytes, withRegularFile, type FileFacts } from './regular-file.ts';

export type ResultFound =
  | { readonly kind: 'missing' }
  /** Does not parse yet; read again in `retryMs`. */
  | { readonly kind: 'waiting'; readonly retryMs: number }
  | { readonly kind: 'object'; readonly stamp: string; readonly value: Readonly<Record<string, unknown>>; readonly replaced: boolean }
  | {
      readonly kind: 'invalid';
      readonly stamp: string;
      readonly reason: 'result_invalid' | 'result_too_large';
      readonly message: string;
    };

export interface ResultReader {
  /**
   * Tracks since when the last file seen has been unchanged; a rename does not reset that. `overSinceMs`: monotonic time
   * since which the run has been over; null while its agent may be running.
   */
  read(path: string, overSinceMs: number | null): Promise<ResultFound>;
}

/** Maximum interval between two reads of an incomplete file. */
const REREAD_MS = 500;

export function resultReader(clock: Clock, stillMs: number): ResultReader {
  let unfinished: (Unfinished & { readonly stamp: string; readonly why: string }) | null = null;

  /** A file that does not parse: still being written, or invalid. */
  function decide(stamp: string, why: string, overSinceMs: number | null): ResultFound {
    const nowMs = clock.monotonicMs();
    if (unfinished?.stamp !== stamp) unfinished = { stamp, why, sinceMs: nowMs, firstMs: unfinished?.firstMs ?? nowMs };
    const leftMs = unfinishedLeftMs(unfinished, overSinceMs, stillMs, nowMs);
    if (leftMs > 0) return { kind: 'waiting', retryMs: Math.min(leftMs, REREAD_MS) };
    return { kind: 'invalid', stamp, reason: 'result_invalid', message: `The result ${why}.` };
  }

  async function readText(file: FileFacts, overSinceMs: number | null): Promise<ResultFound> {
    const { stamp, sizeBytes } = file;
    if (sizeBytes > RESULT_FILE_BYTES_MAX) {
      const message = `The result has ${sizeBytes} bytes; at most ${RESULT_FILE_BYTES_MAX} are read. Write less, or store it elsewhere and put its location into the result.`;
      return { kind: 'invalid', stamp, reason: 'result_too_large', message };
    }
    // Parse an unchanged file again only before deciding that it is invalid.
    const same = unfinished?.stamp === stamp ? decide(stamp, unfinished.why, overSinceMs) : null;
    if (same?.kind === 'waiting') return same;
    const bytes = await readBytes(file.handle, 0, sizeBytes);
    const read = readResult(bytes.toString('utf8'));
    if (read.kind === 'unreadable') return decide(stamp, read.why, overSinceMs);
    unfinished = null;
    return { kind: 'object', stamp, value: read.value, replaced: read.replaced || !isUtf8(bytes) };
  }

  return {
    async read(path, overSinceMs) {
      const found = await withRegularFile(path, (file) => readText(file, overSinceMs));
      switch (found.kind) {
        case 'file':
          return found.value;
        case 'unreadable':
          return decide(found.why, `cannot be read: ${found.why}`, overSinceMs);
        case 'not_regular':
          return decide(NOT_REGULAR, NOT_REGULAR, overSinceMs);
        case 'missing':
          unfinished = null;
          return found;
      }
    },
  };
}
