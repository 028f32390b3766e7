/** The progress of long work: one line on standard error that is updated in place, on a terminal only. */
import type { CliEnvironment } from '../cli-environment.ts';
import { printable, shortened } from './printable.ts';

/** The least time between two updates of the line, milliseconds. */
const PROGRESS_EACH_MS = 100;
const COLUMNS_DEFAULT = 80;

export interface Progress {
  /** False without a terminal and with `--json`: then nothing is shown. */
  readonly isShown: boolean;
  /** Replaces the line if an update is due or `isNow`. */
  at(text: string, isNow?: boolean): void;
  /** Clears the line. May be called twice. */
  end(): void;
}

export function progressOn({ stderr }: Pick<CliEnvironment, 'stderr'>, isJson: boolean): Progress {
  const isShown = stderr.isTTY === true && !isJson;
  let [shownMs, hasLine] = [-Infinity, false];
  return {
    isShown,
    at(text, isNow = false) {
      if (!isShown || (!isNow && performance.now() - shownMs < PROGRESS_EACH_MS)) return;
      stderr.write(`\r${shortened(printable(text), (stderr.columns ?? COLUMNS_DEFAULT) - 1)}\u001b[K`);
      [shownMs, hasLine] = [performance.now(), true];
    },
    end() {
      if (hasLine) stderr.write('\r\u001b[K');
      hasLine = false;
    },
  };
}

/** `Copying 1200 of 5000 rows, 24 %` */
export const progressText = (doing: string, done: number, of: number, unit: string): string =>
  `${doing} ${done} of ${of} ${unit}, ${of === 0 ? 100 : Math.min(100, Math.floor((100 * done) / of))} %`;
