/** The script that runs the whole-program tests on a combination: its options, what it runs, and that it detects a silent fallback. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../architecture/cruise.ts';
import { requireCombination } from './adapters-under-test.ts';
import { countReported, e2eFiles, faultsOf, ON_THEIR_OWN } from './e2e-run.ts';
import { shell } from './pages/newcomer.ts';

t.test('a hub on other adapters is a fault, and so is a run in which no hub reports its own', (t) => {
  const combination = { storage: 'postgres', transport: 'uws' };
  const line = (storage: string, transport: string): string => `${JSON.stringify({ storage, transport })}\n`;
  t.strictSame(faultsOf(countReported(line('postgres', 'uws').repeat(3)), combination), []);
  t.strictSame(faultsOf(countReported(''), combination), ['no hub reported its adapters']);
  const mixed = line('postgres', 'uws') + line('sqlite', 'uws') + line('sqlite', 'uws') + line('postgres', 'ws');
  t.strictSame(faultsOf(countReported(mixed), combination), [
    '2 hubs ran on sqlite and uws, not on postgres and uws',
    '1 hubs ran on postgres and ws, not on postgres and uws',
  ]);
  t.doesNotThrow(() => requireCombination({ ...combination, status: 'ok' }, combination));
  for (const reported of [{ ...combination, storage: 'sqlite' }, { ...combination, transport: 'ws' }, { status: 'ok' }])
    t.throws(() => requireCombination(reported, combination), /The hub runs on .*, not on postgres and uws/);
  t.end();
});

t.test('it runs every end-to-end test except those that choose their own adapters', async (t) => {
  const files = await e2eFiles();
  for (const file of [
    'test/durability/kills.test.ts',
    'test/durability/cuts.test.ts',
    'test/apps/version1/version1.test.ts',
    'test/apps/pages/quickstart.test.ts',
  ])
    t.ok(files.includes(file), file);
  for (const file of Object.keys(ON_THEIR_OWN)) {
    t.ok(existsSync(join(ROOT, file)), `${file} is there`);
    t.notOk(files.includes(file), `${file} is left out`);
  }
});

t.test('the command line lists the valid choices', async (t) => {
  const run = (args: string) => shell(`npm run --silent test:e2e -- ${args}`, { cwd: ROOT });
  const [help, wrong, missing, unknown] = await Promise.all([
    run('--help'),
    run('--storage mysql --transport ws'),
    run('--storage sqlite'),
    run('--storage sqlite --transport ws test/apps/nothing.test.ts'),
  ]);
  t.match(help, { code: 0, out: /--storage <name>[\s\S]*"sqlite"[\s\S]*"postgres"[\s\S]*--transport <name>/ });
  t.match(wrong, { code: 1, err: /'--storage <name>' argument 'mysql' is invalid\. Allowed choices are sqlite, postgres/ });
  t.match(missing, { code: 1, err: /required option '--transport <name>' not specified/ });
  t.match(unknown, {
    code: 1,
    err: /not a whole-program test: test\/apps\/nothing\.test\.ts[\s\S]*test\/durability\/kills\.test\.ts/,
  });
});

t.test('it runs a test, and says what its hubs reported', async (t) => {
  const ran = await shell('npm run --silent test:e2e -- --storage sqlite --transport ws test/apps/process/signals.test.ts', { cwd: ROOT });
  t.match(ran, { code: 0, out: /\/health of \d+ hubs: they run on sqlite and ws/ });
});

t.test('a process with an embedded Postgres server ends with its own exit code', async (t) => {
  for (const code of [0, 7]) {
    const program = `
      import { embeddedPostgres } from './apps/quickstart/embedded-postgres.ts';
      await embeddedPostgres({ dataDir: '/nowhere', port: 1, password: 'p', say: () => undefined });
      process.exitCode = ${code};`;
    const ended = await shell(`node --conditions=agentcom-source --import=tsx --input-type=module -e "${program}"`, { cwd: ROOT });
    t.match(ended, { code, err: '' });
  }
});
