/**
 * Each block of README.md and docs is run or compiled by a test, or has a comment with the reason why not: `<!-- not
 * run: REASON -->`. The commands of the docs are run here, against a hub with the config of the README; their JSON is
 * parsed, and config fragments are compiled.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { frameParser } from '../../../core/protocol/frame-parser.ts';
import { hubSchemas } from '../../../core/protocol/hub-frames.ts';
import { v2Schemas } from '../../../core/protocol/sidecar-frames.ts';
import { ROOT } from '../../architecture/cruise.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { freePort } from '../app-world.ts';
import { program, shell, temporaryFolder, type Place } from './newcomer.ts';
import { blocksOf, fileOf, type Block } from './page-blocks.ts';
import { complaintsOf } from './page-compiler.ts';

const README = 'README.md';
const PAGES = [README, ...readdirSync(join(ROOT, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : []))];

/** Tests that run all blocks of a language on a page. Each names its page. */
const RUN_BY: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  [README]: { sh: 'test/apps/pages/readme.test.ts', ts: 'test/apps/pages/readme.test.ts' },
  'docs/getting-started.md': { sh: 'test/packed/first-steps.ts', js: 'test/packed/first-steps.ts' },
  'docs/client.md': { ts: 'test/apps/pages/client-page.test.ts' },
  'docs/worker.md': { ts: 'test/apps/pages/worker-page.test.ts' },
  'docs/http-api.md': { sh: 'test/apps/pages/http-page.test.ts' },
  'docs/storage-adapters.md': { ts: 'test/apps/pages/storage-page.test.ts' },
  'docs/configuration.md': { ts: 'test/packed/packed.ts' },
  'docs/wake-runners.md': { ts: 'test/packed/packed.ts' },
};
/** Pages whose TypeScript is compiled here: whole examples, or a line of a config. */
const COMPILED = ['docs/agents.md', 'docs/http-api.md'];
const HERE = ['sh', 'json'];
/** Drawings and output; a block with a command is not a drawing. */
const isPicture = ({ language, text }: Block): boolean =>
  ['', 'text'].includes(language) && !/^\s*(npm|npx|node|agentcom|curl|docker|pip) /m.test(text);

t.test('every block is run, compiled, a picture, or marked with why it is not run', async (t) => {
  for (const page of PAGES) {
    for (const block of blocksOf(page)) {
      const { language, line, notRun } = block;
      const by = RUN_BY[page]?.[language];
      const isRun = by !== undefined || HERE.includes(language) || (language === 'ts' && COMPILED.includes(page));
      const place = `${page}:${line}`;
      if (by !== undefined) t.equal(notRun, null, `${place} is run by ${by}: remove its comment`);
      else t.ok(notRun !== null || isRun || isPicture(block), `${place}: run it in a test, or put <!-- not run: REASON --> above it`);
    }
  }
  for (const [page, tests] of Object.entries(RUN_BY))
    for (const test of Object.values(tests)) t.ok(readFileSync(join(ROOT, test), 'utf8').includes(page), `${test} is about ${page}`);
});

t.test('a new command block that nothing runs is detected', async (t) => {
  const text = 'npx agentcom hub\n';
  const block: Block = { language: 'text', file: null, text, line: 1, notRun: null };
  t.notOk(isPicture(block), 'commands are not a picture');
  t.ok(isPicture({ ...block, text: 'hub ──► sidecar\n' }));
  t.notOk(isPicture({ ...block, language: 'yaml', text: 'a: 1\n' }));
});

t.test('JSON on the pages is valid, and protocol frames match their schema', async (t) => {
  const parsers = [frameParser(v2Schemas), frameParser(hubSchemas)];
  for (const page of PAGES) {
    for (const { language, text, line } of blocksOf(page)) {
      if (language !== 'json') continue;
      const isLines = text.split('\n').every((one) => one === '' || /^\{.*\}$/.test(one));
      for (const part of isLines ? text.trimEnd().split('\n') : [text]) t.doesNotThrow(() => void JSON.parse(part), `${page}:${line}`);
      if (page !== 'docs/protocol.md') continue;
      const full = text.replaceAll('"…"', '"0123456789"');
      t.ok(
        parsers.some((parse) => parse(full).kind === 'frame'),
        `${page}:${line} is a frame`,
      );
    }
  }
});

t.test('the TypeScript on the pages compiles', async (t) => {
  const pieces = COMPILED.flatMap((page) =>
    blocksOf(page).flatMap(({ language, text, line }) => {
      if (language !== 'ts') return [];
      const isWhole = text.startsWith('import ');
      const within = `import { env } from 'agentcom';\nimport { command, webhook } from 'agentcom/runners';\nexport const used = [env, command, webhook];\nexport const piece = {\n${text}};\n`;
      return [{ name: `${page.replace(/\W/g, '-')}-${line}.ts`, text: isWhole ? text : within }];
    }),
  );
  t.ok(pieces.length >= 3);
  for (const { name, complaints } of complaintsOf(pieces)) t.strictSame(complaints, [], name);
});

/** The commands of these pages, in an order in which each finds what it needs. The last ones need a stopped hub. */
const WITH_HUB = [
  'docs/operating.md',
  'docs/dashboard.md',
  'docs/monitoring.md',
  'docs/migrating.md',
  'docs/cli.md',
  'docs/configuration.md',
  'docs/moving.md',
];
const isForStopped = ({ text }: Block): boolean => text.startsWith('agentcom restore ');
const commandsOf = (page: string): readonly Block[] =>
  blocksOf(page).filter(({ language, notRun }) => language === 'sh' && notRun === null);

t.test('the commands in docs do what they claim', async (t) => {
  const place = await machine(t);
  const run = async (t: Test, page: string, block: Block): Promise<void> => {
    const { code, out, err } = await shell(`set -e\n${block.text.replaceAll('/backups', place.cwd)}`, place);
    t.equal(code, 0, `${page}:${block.line}: ${out}${err}`);
  };
  const ran: string[] = [];
  await t.test('while the hub runs', async (t) => {
    t.match(await program(t, 'agentcom hub', place), /^agentcom hub ready /);
    t.match(await program(t, 'agentcom sidecar', place), /^agentcom sidecar ready /);
    for (const page of WITH_HUB)
      for (const block of commandsOf(page).filter((one) => !isForStopped(one))) {
        await run(t, page, block);
        ran.push(`${page}:${block.line}`);
      }
  });
  await t.test('while the hub is stopped', async (t) => {
    for (const page of WITH_HUB)
      for (const block of commandsOf(page).filter(isForStopped)) {
        await run(t, page, block);
        ran.push(`${page}:${block.line}`);
      }
  });
  const wanted = PAGES.filter((page) => RUN_BY[page]?.['sh'] === undefined).flatMap((page) =>
    commandsOf(page).map(({ line }) => `${page}:${line}`),
  );
  t.strictSame(ran.sort(), wanted.sort(), 'all that no other test runs');
});

/** A folder with the config and agent of the README, and the commands that a reader has. */
async function machine(t: Test): Promise<Place> {
  const [cwd, port] = [await temporaryFolder(t), await freePort()];
  builtTree().installIn(cwd);
  const config = fileOf(README, 'agentcom.config.ts')
    .replace('hub: {', `hub: {\n    listen: { port: ${port} },`)
    .replaceAll('4000', String(port))
    .replace("agentId: 'worker-1',", "agentId: 'worker-1', capabilities: ['code'],");
  writeFileSync(join(cwd, 'agentcom.config.ts'), config);
  writeFileSync(join(cwd, 'agent.sh'), fileOf(README, 'agent.sh'));
  writeFileSync(join(cwd, 'task.md'), 'Count the samples.\n');
  const bin = join(cwd, 'bin');
  mkdirSync(bin);
  const commands = {
    agentcom: `exec ${process.execPath} ${builtTree().bin} "$@"`,
    npx: '[ "$1" = agentcom ] && exec "$@"; echo "npx has only agentcom here" >&2; exit 64',
    npm: '[ "$1 $2 $3" = "run agentcom --" ] && shift 3 && exec agentcom "$@"; echo "npm has only that script here" >&2; exit 64',
  };
  for (const [name, text] of Object.entries(commands)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  // The environment of an agent, for `agentcom report`.
  const id = 'task-00000000000000aa';
  const results = join(cwd, `${id}.g1`);
  mkdirSync(results);
  const ofAgent = { AGENTCOM_TASK_ID: id, AGENTCOM_GENERATION: '1', AGENTCOM_RESULTS_DIR: results };
  return { cwd, env: { PATH: `${bin}:${process.env['PATH']}`, HOME: cwd, ...ofAgent } };
}

if (spawnSync('openssl', ['version']).status !== 0) throw new Error('The commands of docs/configuration.md need openssl. Install it.');
