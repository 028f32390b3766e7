/**
 * The tests, compiled once and then run by tap under plain node: under a loader each of the 200 files would take two
 * seconds of CPU time before its first assertion.
 *
 *     npm test -- [OPTION...] [test/core/hub/load/one-batch.test.ts | test/core...]
 *
 * A folder stands for every `.test.ts` file under it; without arguments, all of `test` runs except the folders of `npm
 * run test:integration` and `npm run test:faults`. Files that the tests write are in memory if there is room for them,
 * which takes a third less CPU time than a disk; TMPDIR puts them elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compileTree } from './compile-tree.ts';
import { compiledIn, TREE_VARIABLE } from './tree-layout.ts';

const LEAN_TESTS = join(import.meta.dirname, 'lean-tests.mjs');
/** The node options for the tests, from the caller's environment; NODE_OPTIONS applies to tap itself. */
const OWN_OPTIONS = 'AGENTCOM_TEST_NODE_OPTIONS';

/** Folders with a command of their own: over half of the total test time. */
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Readonly<Record<string, string>> };
const APART = ['test:integration', 'test:faults'].flatMap((command) => scripts[command]?.match(/(?<= )test\/[a-z/]+(?= |$)/g) ?? []);

/** Linux only. */
const MEMORY = '/dev/shm';
const NEEDED_BYTES = 4 * 2 ** 30;
/** World-writable, as /tmp is: a database server runs as another user. */
const OPEN_TO_ALL = 0o1777;

function folderInMemory(): string | null {
  if (process.env['TMPDIR'] !== undefined || !existsSync(MEMORY)) return null;
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize < NEEDED_BYTES) return null;
  // Short: socket paths are limited in length.
  const folder = mkdtempSync(join(MEMORY, 'ac-'));
  chmodSync(folder, OPEN_TO_ALL);
  return folder;
}

const tree = await compileTree();
const given = process.argv.slice(2);
const isTest = (word: string): boolean => /^(\.\/)?test(\/|$)/.test(word);
const place = (named: string): string =>
  compiledIn(relative(process.cwd(), tree), named.endsWith('.ts') ? named : join(named, '**/*.test.ts'));
const words = given.map((word) => (isTest(word) ? place(word) : word));
const ordinaryOf = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return path.endsWith('.test.ts') ? [place(path)] : [];
    if (APART.includes(path)) return [];
    return APART.some((apart) => apart.startsWith(`${path}/`)) ? ordinaryOf(path) : [place(path)];
  });
const tests = given.some(isTest) ? [] : ordinaryOf('test');
// For a file or a pipe: one line per test file, and the failures again at the end.
const intoFile = process.stdout.isTTY !== true && !given.some((word) => /^(-R|--reporter)/.test(word));
const report = intoFile ? ['--reporter=base'] : [];
const own = process.env['NODE_OPTIONS'];
const env = {
  ...process.env,
  // Otherwise the reporter draws its progress, which moves the cursor.
  ...(intoFile ? { CI: 'true' } : {}),
  ...(own === undefined ? {} : { [OWN_OPTIONS]: own }),
  [TREE_VARIABLE]: tree,
  NODE_OPTIONS: `${own ?? ''} --import=${pathToFileURL(LEAN_TESTS).href}`.trim(),
};
const folder = folderInMemory();
const placed = folder === null ? env : { ...env, TMPDIR: folder };
const { status, signal } = spawnSync('tap', [...report, ...words, ...tests], { stdio: 'inherit', env: placed });
if (folder !== null) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
if (signal !== null) process.kill(process.pid, signal);
process.exitCode = status ?? 1;
