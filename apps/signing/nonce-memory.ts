/**
 * Remembers the nonces under which tasks ran here until their signatures expire: a signature is for one task. In memory and, so that a restart
 * forgets none, in a file to which each use appends a line.
 */
import { open, type FileHandle } from 'node:fs/promises';
import writeFileAtomic from 'write-file-atomic';
import { readRegularFile, retriedWhileHeld, unlessMissing } from '../../adapters/kit/platform-files.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { NonceAnswer, NonceUse } from '../../core/ports/trust/task-signatures.ts';
import { SIGNATURE_CLOCK_MS } from '../../core/protocol/signed/task-claims.ts';

/** How many are remembered. When one has to be dropped, signatures that are not newer are refused from then on. */
export const NONCES_MAX = 100_000;
/**
 * The file is rewritten once it has this many lines more than twice those in use. Also how many uses there are between two checks for expired
 * nonces.
 */
const SPARE_LINES = 1_000;

/**
 * `NONCE TASK ISSUED_AT EXPIRES_AT`, or `- - ISSUED_AT UNTIL`: signatures issued up to that time are forgotten, while the clock is not past
 * `UNTIL`; 0: always. Milliseconds.
 */
const LINE = /^([A-Za-z0-9_-]+) (task-[0-9a-f]{16,64}|-) ([0-9]{1,16}) ([0-9]{1,16})$/;

interface Times {
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}
interface Remembered extends Times {
  readonly taskId: string;
}

const NONE_EXPIRED: Times = { issuedAtMs: -1, expiresAtMs: -1 };
const newestOf = (one: Times, other: Times): Times => ({
  issuedAtMs: Math.max(one.issuedAtMs, other.issuedAtMs),
  expiresAtMs: Math.max(one.expiresAtMs, other.expiresAtMs),
});

export interface NonceMemory {
  /** Rejects with `AC_JOURNAL_CORRUPT` for a file that this program has not written. */
  open(): Promise<void>;
  remember(use: NonceUse, nowMs: number): Promise<NonceAnswer>;
  close(): Promise<void>;
}

/** `file` null: in memory only. */
export function nonceMemory(file: string | null, noncesMax: number = NONCES_MAX): NonceMemory {
  /** In the order of their use. */
  const nonces = new Map<string, Remembered>();
  let forgottenUntilMs = -1;
  /** The newest of the times of those that were dropped because they had expired. They are valid again if the clock goes back. */
  let expired = NONE_EXPIRED;
  let lines = 0;
  let uses = 0;
  let handle: FileHandle | null = null;

  const lineOf = (nonce: string, { taskId, issuedAtMs, expiresAtMs }: Remembered): string =>
    `${nonce} ${taskId} ${issuedAtMs} ${expiresAtMs}\n`;

  function take(nonce: string, use: Remembered): void {
    nonces.set(nonce, use);
    if (nonces.size <= noncesMax) return;
    const [oldest] = nonces;
    if (oldest === undefined) return;
    forgottenUntilMs = Math.max(forgottenUntilMs, oldest[1].issuedAtMs);
    nonces.delete(oldest[0]);
  }

  /** Expired nonces need not be remembered while their signatures are refused. */
  function dropExpired(nowMs: number): void {
    for (const [nonce, use] of nonces) {
      if (use.expiresAtMs + 2 * SIGNATURE_CLOCK_MS >= nowMs) continue;
      expired = newestOf(expired, use);
      nonces.delete(nonce);
    }
  }

  const isForgotten = (issuedAtMs: number, nowMs: number): boolean =>
    issuedAtMs <= forgottenUntilMs || (issuedAtMs <= expired.issuedAtMs && nowMs <= expired.expiresAtMs + SIGNATURE_CLOCK_MS);

  async function load(path: string): Promise<void> {
    const text = await unlessMissing(async () => readRegularFile(path).toString('utf8'), '');
    // What follows the last line end was never acknowledged.
    const found = text.split('\n').slice(0, -1);
    for (const [place, line] of found.entries()) {
      const [, nonce = '', taskId = '', issuedAt, expiresAt] = LINE.exec(line) ?? [];
      if (nonce === '')
        throw new AgentcomError(
          'AC_JOURNAL_CORRUPT',
          `Cannot read ${path}: line ${place + 1} is damaged. Restore it from a backup. If you remove it, tasks whose signatures are still valid may run again.`,
        );
      const times = { issuedAtMs: Number(issuedAt), expiresAtMs: Number(expiresAt) };
      if (taskId !== '-') take(nonce, { taskId, ...times });
      else if (times.expiresAtMs === 0) forgottenUntilMs = Math.max(forgottenUntilMs, times.issuedAtMs);
      else expired = newestOf(expired, times);
    }
  }

  /** Writes everything remembered into a new file, and continues there. */
  async function rewrite(path: string): Promise<void> {
    const floor = forgottenUntilMs < 0 ? '' : `- - ${forgottenUntilMs} 0\n`;
    const gone = expired === NONE_EXPIRED ? '' : `- - ${expired.issuedAtMs} ${expired.expiresAtMs}\n`;
    // Closed first, because Windows cannot replace an open file.
    await handle?.close();
    handle = null;
    const text = floor + gone + [...nonces].map(([nonce, use]) => lineOf(nonce, use)).join('');
    await retriedWhileHeld(() => writeFileAtomic(path, text, { mode: 0o600 }));
    lines = nonces.size;
    handle = await open(path, 'a', 0o600);
  }

  async function append(path: string, line: string): Promise<void> {
    if (handle === null || lines > 2 * nonces.size + SPARE_LINES) await rewrite(path);
    try {
      await handle?.appendFile(line);
      await handle?.datasync();
      lines += 1;
    } catch (thrown) {
      // Part of the line may have been written: the next use begins with a new file.
      await Promise.allSettled([handle?.close()]);
      handle = null;
      throw new Error(`cannot write ${path}: ${messageOf(thrown)}`, { cause: thrown });
    }
  }

  return {
    async open() {
      if (file === null || handle !== null) return;
      await load(file);
      await rewrite(file);
    },
    async remember({ nonce, taskId, issuedAtMs, expiresAtMs }, nowMs) {
      const known = nonces.get(nonce);
      if (known !== undefined) return known.taskId === taskId ? 'remembered' : 'other_task';
      if (isForgotten(issuedAtMs, nowMs)) return 'forgotten';
      uses += 1;
      if (nonces.size >= noncesMax || uses % SPARE_LINES === 0) dropExpired(nowMs);
      const use: Remembered = { taskId, issuedAtMs, expiresAtMs };
      if (file !== null) await append(file, lineOf(nonce, use));
      take(nonce, use);
      return 'remembered';
    },
    async close() {
      await handle?.close();
      handle = null;
    },
  };
}
