/**
 * The tests, compiled once and then run by tap under plain node: under a loader each of the 200 files would take two seconds of
 * the processor before its first assertion.
 *
 *     npm test -- [OPTION...] [test/core/hub/load/one-batch.test.ts | test/core...]
 *
 * A folder means whatever ends in `.test.ts` under it; no word at all means all of `test`, without the folders of
 * `npm run test:integration` and `npm run test:faults`. What the tests write is in memory where there is room for it, which takes a third
 * less of the processor than a disk; TMPDIR puts it elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compileTree } from './compile-tree.ts';
import { compiledIn, TREE_VARIABLE } from './tree-layout.ts';

const LEAN_TESTS = join(import.meta.dirname, 'lean-tests.mjs');
/** The options of node that the tests have, of who runs them; NODE_OPTIONS is that of tap itself. */
const OWN_OPTIONS = 'AGENTCOM_TEST_NODE_OPTIONS';

/** What has a command of its own: over half of the time of all tests. */
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Readonly<Record<string, string>> };
const APART = ['test:integration', 'test:faults'].flatMap((command) => scripts[command]?.match(/(?<= )test\/[a-z/]+(?= |$)/g) ?? []);

/** Of Linux. */
const MEMORY = '/dev/shm';
const NEEDED_BYTES = 4 * 2 ** 30;
/** For everybody, as /tmp is: a database server runs as a user of its own. */
const OPEN_TO_ALL = 0o1777;

function folderInMemory(): string | null {
  if (process.env['TMPDIR'] !== undefined || !existsSync(MEMORY)) return null;
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize < NEEDED_BYTES) return null;
  // Short: the paths of sockets have few characters.
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
// Into a file or a pipe: a line for each file of tests, and at the end once more what failed.
const intoFile = process.stdout.isTTY !== true && !given.some((word) => /^(-R|--reporter)/.test(word));
const report = intoFile ? ['--reporter=base'] : [];
const own = process.env['NODE_OPTIONS'];
const env = {
  ...process.env,
  // Else the reporter draws its progress, which moves the cursor.
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
