/** Finds a program the way the system does. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

/** Which program to look for, and where. */
export interface FindProgramOptions {
  /** A plain name is searched on PATH; a relative path with a slash is resolved against `cwd`. */
  readonly program: string;
  /** Absolute. */
  readonly cwd: string;
  /** The agent's PATH, not ours. */
  readonly path: string | undefined;
}

/** Where a program is; `file` is absolute. */
export type FoundProgram =
  | { readonly kind: 'found'; readonly file: string }
  | { readonly kind: 'not_executable'; readonly file: string }
  | { readonly kind: 'missing' };

/** The first executable on PATH wins, as for the system. */
export async function findProgram(options: FindProgramOptions): Promise<FoundProgram> {
  const { program, cwd, path = '' } = options;
  const places = isPath(program) ? [cwd] : path.split(delimiter).filter((folder) => folder !== '');
  let denied: string | null = null;
  for (const place of places) {
    const file = isAbsolute(program) ? program : resolve(cwd, join(place, program));
    const found = await statusOf(file);
    if (found === 'executable') return { kind: 'found', file };
    if (found === 'not_executable') denied ??= file;
  }
  return denied === null ? { kind: 'missing' } : { kind: 'not_executable', file: denied };
}

/** How much of a PATH is shown. */
const SHOWN_CHARACTERS = 48;

/** The beginning of a PATH, as a sentence; a whole PATH would drown out the rest of the message. */
export function shownPath(path: string | undefined): string {
  if (path === undefined) return 'PATH is not set.';
  if (path.length <= SHOWN_CHARACTERS) return `PATH: ${path}`;
  return `PATH: ${path.slice(0, SHOWN_CHARACTERS)}… (${path.length} characters)`;
}

/** Whether the system treats it as a path instead of searching PATH. */
export const isPath = (program: string): boolean => program.includes('/');

async function statusOf(file: string): Promise<'executable' | 'not_executable' | 'missing'> {
  try {
    if (!(await stat(file)).isFile()) return 'not_executable';
  } catch {
    return 'missing'; // Whatever the reason, the system cannot start it either.
  }
  return access(file, constants.X_OK).then(
    () => 'executable',
    () => 'not_executable',
  );
}
