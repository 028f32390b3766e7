/**
 * The SQLite tests on other versions of Node without the package sqlite3: on `node:sqlite`. On the last version, also
 * with both drivers in one process.
 *
 *     npm run test:nodes [-- [--all] VERSION...]
 *
 * With --all: everything that `npm test` runs, with the package sqlite3.
 *
 * The versions come from the npm registry into a temporary folder, which is kept for later runs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { readOrExit } from './script-options.ts';

/** The first version whose `node:sqlite` is used, and the newest of each supported line. */
const VERSIONS = ['22.16.0', '22', '24', '26'];
const STORAGE = [
  'test/adapters/storage/storage-sqlite.test.ts',
  'test/adapters/storage/storage-sqlite-bulk.test.ts',
  'test/adapters/storage/storage-sqlite-file.test.ts',
  'test/adapters/storage/storage-sqlite-faults.test.ts',
];
const TESTS = [
  ...STORAGE,
  'test/adapters/storage/storage-sqlite-commit-log.test.ts',
  'test/adapters/storage/storage-sqlite-commit-halves.test.ts',
  'test/adapters/storage/storage-sqlite-commit-records.test.ts',
  'test/adapters/storage/storage-sqlite-groups.test.ts',
  'test/adapters/storage/storage-sqlite-lists.test.ts',
  'test/adapters/storage/storage-sqlite-driver.test.ts',
  'test/adapters/storage/storage-damaged-rows.test.ts',
  'test/adapters/storage/storage-lookups.test.ts',
  'test/faults/sqlite.test.ts',
  'test/faults/small-disk.test.ts',
  'test/faults/store.test.ts',
  'test/moving/backup.test.ts',
  'test/moving/commit-log-beside-store.test.ts',
  'test/moving/migrate.test.ts',
  'test/moving/restore-steps.test.ts',
  'test/apps/doctor/doctor.test.ts',
  'test/apps/doctor/doctor-faults.test.ts',
];
const WITHOUT_SQLITE3 = pathToFileURL(join(import.meta.dirname, 'without-sqlite3.mjs')).href;

/** The executable of that Node. */
function nodeOf(version: string): string {
  const folder = join(tmpdir(), 'agentcom-nodes', version);
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const program = join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder, `${name}@${version}`], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`npm could not install ${name}@${version}`);
  return program;
}

/** Whether all passed. */
function testsOn(program: string, tests: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const received = spawnSync(program, ['-p', '`Node ${process.versions.node}, SQLite ${process.versions.sqlite}`'], { encoding: 'utf8' });
  process.stdout.write(`# ${received.stdout.trim()}${env['NODE_OPTIONS'] === undefined ? ', with sqlite3 too' : ''}\n`);
  const path = `${dirname(program)}${delimiter}${process.env['PATH']}`;
  const { status } = spawnSync(program, ['--import=tsx', join(import.meta.dirname, 'run-tests.ts'), ...tests], {
    stdio: 'inherit',
    env: { ...process.env, ...env, PATH: path },
  });
  return status === 0;
}

const { values, positionals } = readOrExit(() =>
  parseArgs({ options: { all: { type: 'boolean', default: false } }, allowPositionals: true }),
);
const programs = (positionals.length > 0 ? positionals : VERSIONS).map(nodeOf);
const [tests, options] = values.all ? [[], {}] : [TESTS, { NODE_OPTIONS: `--import=${WITHOUT_SQLITE3}` }];
const green = programs.map((program) => testsOn(program, tests, options));
const last = values.all ? undefined : programs.at(-1);
if (last !== undefined) green.push(testsOn(last, STORAGE, {}));
process.exitCode = green.every(Boolean) ? 0 : 1;
