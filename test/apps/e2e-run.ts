/** The tests that run whole programs, on a combination of storage and transport; judged also by what the hubs report about themselves. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../architecture/cruise.ts';
import { filesUnder } from '../architecture/tree.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { REPORT_FILE, type Combination } from './adapters-under-test.ts';

/** Tests that run whole programs on adapters of their own choice, and why. */
export const ON_THEIR_OWN: Readonly<Record<string, string>> = {
  'test/apps/process/memory.test.ts': 'what a hub reports that stores nothing',
  'test/postgres/postgres.test.ts': 'what can happen only to a hub on a server',
  'test/postgres/postgres-silent.test.ts': 'what can happen only to a hub on a server',
  'test/faults/small-disk.test.ts': 'fills the disk that holds the SQLite file',
  'test/moving/backup.test.ts': 'copies and restores SQLite’s file',
};

/** Every other test file that creates a world of programs, or asks which combination it runs on. */
export async function e2eFiles(): Promise<readonly string[]> {
  const tests = (await filesUnder('test')).filter((file) => file.endsWith('.test.ts') && !(file in ON_THEIR_OWN));
  const texts = await Promise.all(tests.map((file) => readFile(join(ROOT, file), 'utf8')));
  return tests.filter((_, index) => /\b(makeWorld|adaptersAsked)\(/.test(texts[index] ?? '')).sort();
}

/** Files run in parallel: each runs many programs, and the times that a test waits for must suffice on a busy machine too. */
const JOBS = 2;

/** How often a hub reported each combination. */
export type Reported = ReadonlyMap<string, number>;

export const named = ({ storage, transport }: Combination): string => `${storage} and ${transport}`;

/** Lines reported by hubs, counted. */
export function countReported(lines: string): Reported {
  const counts = new Map<string, number>();
  for (const line of lines.split('\n').filter((one) => one !== '')) {
    const name = named(JSON.parse(line) as Combination);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** What is wrong with a run on `combination` in which the hubs reported this. */
export function faultsOf(reported: Reported, combination: Combination): readonly string[] {
  if (reported.size === 0) return ['no hub reported its adapters'];
  const others = [...reported].filter(([name]) => name !== named(combination));
  return others.map(([name, times]) => `${times} hubs ran on ${name}, not on ${named(combination)}`);
}

/**
 * Runs the files with `npm test`, with its own server if Postgres is requested and none is named; returns its exit code and what the hubs
 * reported.
 */
export async function e2eRun(
  combination: Combination,
  files: readonly string[],
): Promise<{ readonly exitCode: number; readonly reported: Reported }> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-e2e-'));
  const reportFile = join(folder, 'reported.jsonl');
  await writeFile(reportFile, '');
  const server = combination.storage === 'postgres' ? await postgresServer([]) : null;
  try {
    const env = {
      AGENTCOM_STORAGE: combination.storage,
      AGENTCOM_TRANSPORT: combination.transport,
      ...(server === null ? {} : { AGENTCOM_TEST_DATABASE_URL: server.url }),
      [REPORT_FILE]: reportFile,
    };
    const tests = spawn('npm', ['test', '--silent', '--', `--jobs=${JOBS}`, ...files], {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    });
    const [code] = (await once(tests, 'exit')) as [number | null];
    return { exitCode: code ?? 1, reported: countReported(await readFile(reportFile, 'utf8')) };
  } finally {
    await server?.end();
    await rm(folder, { recursive: true });
  }
}
