/** Uses the whole terminal for one page, and restores it when the page is left: the alternate screen, no cursor, keys as they are pressed. */
import type { CliEnvironment } from '../cli-environment.ts';

const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;

export interface TerminalScreen {
  size(): { readonly columns: number; readonly rows: number };
  /** The lines must be safe for a terminal, which cuts those that are too wide. */
  draw(lines: readonly string[]): void;
  /** May be called twice. */
  leave(): void;
}

/** `onKey`: what was typed; Ctrl-C is `\u0003`, not a signal. */
export function enterScreen(
  { stdout, stdin }: Pick<CliEnvironment, 'stdout' | 'stdin'>,
  { onKey, onResize }: { readonly onKey: (key: string) => void; readonly onResize: () => void },
): TerminalScreen {
  const input = stdin as CliEnvironment['stdin'] & { setRawMode?(isRaw: boolean): unknown };
  const onData = (typed: Buffer | string): void => onKey(String(typed));
  let isLeft = false;
  const leave = (): void => {
    if (isLeft) return;
    isLeft = true;
    stdout.off?.('resize', onResize);
    input.off('data', onData).pause();
    input.setRawMode?.(false);
    process.off('exit', leave);
    stdout.write(LEAVE);
  };
  // Also restores the terminal after an uncaught error.
  process.on('exit', leave);
  stdout.write(ENTER);
  input.setRawMode?.(true);
  input.on('data', onData).resume();
  stdout.on?.('resize', onResize);
  return {
    size: () => ({ columns: stdout.columns ?? COLUMNS_DEFAULT, rows: stdout.rows ?? ROWS_DEFAULT }),
    draw(lines) {
      if (!isLeft) stdout.write(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join('\r\n')}${CLEAR_BELOW}`);
    },
    leave,
  };
}
