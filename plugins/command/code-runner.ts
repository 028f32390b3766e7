/** Finds arguments that their program would execute as code. */
import { basename } from 'node:path';

const SHELLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'fish', 'ash', 'busybox']);
/** A bundle of shell flags with `c`: the next argument is a program. */
const SHELL_COMMAND = /^-[a-z]*c[a-z]*$/i;
/** Flags followed by code: as the next argument, as `--flag=…` or, for single letters, as `-f…`. */
const CODE_FLAGS: Readonly<Record<string, readonly string[]>> = {
  python: ['-c'],
  node: ['-e', '--eval', '-p', '--print', '-pe'],
  bun: ['-e', '--eval', '-p', '--print'],
  deno: ['eval'],
  perl: ['-e', '-E'],
  ruby: ['-e'],
  php: ['-r'],
  lua: ['-e'],
  osascript: ['-e'],
  pwsh: ['-c', '-Command', '-EncodedCommand'],
  powershell: ['-c', '-Command', '-EncodedCommand'],
  cmd: ['/c', '/k'],
  su: ['-c', '--command', '--session-command'],
  runuser: ['-c', '--command', '--session-command'],
  script: ['-c', '--command'],
  flock: ['-c', '--command'],
  env: ['-S', '--split-string'],
  npx: ['-c', '--call'],
  npm: ['-c', '--call'],
  awk: ['-e', '--source'],
  sed: ['-e', '--expression'],
};
/** Flags without a value that may precede such a flag in one bundle: `python -uc`, `perl -lne`, `script -qc`. */
const BUNDLED: Readonly<Record<string, string>> = {
  python: 'bBdEiIOPqRsSuvVx',
  perl: 'acilnpsStTuUwWX0-9',
  ruby: 'aclnpsSvwWy0-9',
  php: 'nq',
  lua: 'iEvW',
  su: 'flmpP',
  runuser: 'flmpP',
  script: 'aefq',
  flock: 'sxnoFu',
  env: 'iv0',
  sed: 'nErsuz',
};
/**
 * Programs whose first non-option argument is code. `takes`: options with a value; `unless`: the code is given
 * elsewhere.
 */
const FIRST_WORD: Readonly<Record<string, { readonly takes: RegExp; readonly unless?: RegExp }>> = {
  awk: { takes: /^-[Fv]$/, unless: /^(?:-[feE]|--(?:file|exec|source))/ },
  sed: { takes: /^-l$/, unless: /^(?:-[nErsuz]*[ef]|--(?:expression|file))/ },
  xargs: { takes: /^-[adEILnPs]$/ },
};
/** Programs that join all further arguments into a shell command line, here or elsewhere. */
const JOINING = new Set(['ssh', 'eval', 'watch', 'tmux', 'parallel']);
const ALSO_CALLED: Readonly<Record<string, string>> = { gawk: 'awk', mawk: 'awk', nawk: 'awk', gsed: 'sed' };

/**
 * The program that would execute this argument as code; null if none. For wrappers (`env`, `sudo`, `docker run`) any
 * word may be the program.
 */
export function codeRunner(argv: readonly string[], index: number): string | null {
  for (let at = 0; at < index; at += 1) {
    const name = basename(argv[at] ?? '').replace(/\.exe$/i, '');
    if (JOINING.has(name) || (SHELLS.has(name) && isShellProgram(argv, at, index))) return name;
    const known = ALSO_CALLED[name] ?? name.replace(/[\d.]+$/, '');
    const words = argv.slice(at + 1, index + 1);
    if (words.some((_, offset) => isCode(argv, at + 1 + offset, index, known)) || isFirstWord(words, known)) return name;
  }
  return null;
}

/** The first non-option argument after `-c`, or the script argument of a shell that is the program itself. */
function isShellProgram(argv: readonly string[], shell: number, index: number): boolean {
  const before = argv.slice(shell + 1, index);
  const flag = before.findIndex((word) => SHELL_COMMAND.test(word));
  if (flag === -1 && shell > 0) return false;
  // `-o` takes a value, such as `pipefail`.
  const isOption = (word: string, place: number, words: readonly string[]): boolean =>
    /^[-+]/.test(word) || /^[-+]o$/.test(words[place - 1] ?? '');
  const isBusybox = basename(argv[shell] ?? '') === 'busybox';
  const options = flag === -1 ? before.slice(isBusybox ? 1 : 0) : before.slice(flag + 1);
  return options.every(isOption);
}

/** Whether the word at `flag` is a flag of this program that takes code, and `index` is that code. */
function isCode(argv: readonly string[], flag: number, index: number, program: string): boolean {
  const word = argv[flag] ?? '';
  const flags = CODE_FLAGS[program] ?? [];
  const letters = flags.filter((each) => /^-\w$/.test(each)).map((each) => each.slice(1));
  const before = BUNDLED[program] === undefined ? '' : `[${BUNDLED[program]}]*`;
  const bundle = letters.length === 0 ? null : new RegExp(`^-${before}[${letters.join('')}](.*)$`, 's').exec(word);
  if (flag === index)
    return (bundle?.[1] ?? '') !== '' || flags.some((each) => word.startsWith(each.startsWith('--') ? `${each}=` : each) && word !== each);
  return flag === index - 1 && (flags.includes(word) || bundle?.[1] === '');
}

/** Whether the last of these words is the first one that is not an option. */
function isFirstWord(words: readonly string[], program: string): boolean {
  const rule = FIRST_WORD[program];
  if (rule === undefined) return false;
  const before = words.slice(0, -1);
  if (before.some((word) => rule.unless?.test(word) === true)) return false;
  return before.every((word, place) => word.startsWith('-') || rule.takes.test(before[place - 1] ?? ''));
}
