/** Finds out whether an interpreter would be started with a script that is not there. */
import { existsSync } from 'node:fs';
import { basename, delimiter, extname, join, resolve } from 'node:path';
import { isPath } from '../run-kit/process/find-program.ts';

interface Interpreter {
  readonly name: RegExp;
  /** Extensions of its scripts. Words with others, or with none, may be commands of the interpreter. */
  readonly extensions: readonly string[];
  /** Options that neither contain code nor take the next word as their value. After any other, the script is not looked for. */
  readonly options: RegExp;
}

const NO_OPTIONS = /^$/;
const NODE_OPTIONS = /^--(?:import|require|env-file|env-file-if-exists|conditions|max-old-space-size)=/;
const SHELL: Interpreter = { name: /^(?:ba|da|z|k|a)?sh$/, extensions: ['.sh', '.bash', '.zsh', '.ksh'], options: /^-[eux]+$/ };
const OTHERS: readonly Interpreter[] = [
  { name: /^(?:node|tsx|bun)$/, extensions: ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'], options: NODE_OPTIONS },
  { name: /^python[\d.]*$/, extensions: ['.py', '.pyz'], options: /^-[BEIOsu]+$/ },
  { name: /^ruby$/, extensions: ['.rb'], options: NO_OPTIONS },
  { name: /^perl$/, extensions: ['.pl'], options: NO_OPTIONS },
  { name: /^php$/, extensions: ['.php'], options: NO_OPTIONS },
];

export interface StartedScript {
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** The agent's PATH. */
  readonly path: string | undefined;
}

/** The script as written in argv, if it surely is one and does not exist; otherwise null, also if the working directory does not exist. */
export function missingScript({ argv, cwd, path = '' }: StartedScript): string | null {
  const [program = '', ...words] = argv;
  const name = basename(program).replace(/\.exe$/i, '');
  const interpreter = [SHELL, ...OTHERS].find((each) => each.name.test(name));
  if (interpreter === undefined || !existsSync(cwd)) return null;
  const script = words.find((word) => !interpreter.options.test(word));
  if (script === undefined || script.includes('${TASK_') || !/^[^-+]/.test(script)) return null;
  if (!interpreter.extensions.includes(extname(script)) || existsSync(resolve(cwd, script))) return null;
  // A shell looks on PATH, too.
  const isOnPath =
    interpreter === SHELL && !isPath(script) && path.split(delimiter).some((folder) => existsSync(join(cwd, folder, script)));
  return isOnPath ? null : script;
}
