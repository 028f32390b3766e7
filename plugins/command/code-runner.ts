/** Which arguments are not text to the program that gets them, but a program itself. */
import { basename } from 'node:path';

const SHELLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'fish', 'ash', 'busybox']);
/** A bundle of a shell's flags with `c`: what follows is its program. */
const SHELL_COMMAND = /^-[a-z]*c[a-z]*$/i;
/** What is behind these flags is a program, as a further argument, as `--flag=…` or, of one letter, as `-f…`. */
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
/** Their flags that take no word and may stand before such a flag of one letter: `python -uc`, `perl -lne`, `script -qc`. */
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
/** Their first word that is no option is a program. `takes`: options that take the next word; `unless`: the program stands elsewhere. */
const FIRST_WORD: Readonly<Record<string, { readonly takes: RegExp; readonly unless?: RegExp }>> = {
  awk: { takes: /^-[Fv]$/, unless: /^(?:-[feE]|--(?:file|exec|source))/ },
  sed: { takes: /^-l$/, unless: /^(?:-[nErsuz]*[ef]|--(?:expression|file))/ },
  xargs: { takes: /^-[adEILnPs]$/ },
};
/** They join all that follows into the command line of a shell, here or elsewhere. */
const JOINING = new Set(['ssh', 'eval', 'watch', 'tmux', 'parallel']);
const ALSO_CALLED: Readonly<Record<string, string>> = { gawk: 'awk', mawk: 'awk', nawk: 'awk', gsed: 'sed' };

/** The program that would run this argument as a program; null for none. Of wrappers (`env`, `sudo`, `docker run`) any word may be one. */
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

/** The first word that is no option, behind `-c`; and what a shell that is started itself takes for its script. */
function isShellProgram(argv: readonly string[], shell: number, index: number): boolean {
  const before = argv.slice(shell + 1, index);
  const flag = before.findIndex((word) => SHELL_COMMAND.test(word));
  if (flag === -1 && shell > 0) return false;
  // `-o` takes a word, such as `pipefail`.
  const isOption = (word: string, place: number, words: readonly string[]): boolean =>
    /^[-+]/.test(word) || /^[-+]o$/.test(words[place - 1] ?? '');
  const isBusybox = basename(argv[shell] ?? '') === 'busybox';
  const options = flag === -1 ? before.slice(isBusybox ? 1 : 0) : before.slice(flag + 1);
  return options.every(isOption);
}

/** Whether the word at `flag` is a flag of this program that takes code, and `index` is what it takes. */
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

/** Whether the last of these words is the first of them that is no option. */
function isFirstWord(words: readonly string[], program: string): boolean {
  const rule = FIRST_WORD[program];
  if (rule === undefined) return false;
  const before = words.slice(0, -1);
  if (before.some((word) => rule.unless?.test(word) === true)) return false;
  return before.every((word, place) => word.startsWith('-') || rule.takes.test(before[place - 1] ?? ''));
}
