/**
 * The packed package is complete: installed into an empty folder, it runs the same config text, its contract suites
 * can test a third-party runner, and the code on the pages compiles. `npm run test:packed`; building and compiling
 * take a minute, so it is separate from the ordinary tests.
 */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { ROOT } from '../architecture/cruise.ts';
import { program, shell } from '../apps/pages/newcomer.ts';
import { blocksOf, fileOf } from '../apps/pages/page-blocks.ts';
import { freePort } from '../apps/app-world.ts';
import { apiIsReported, entriesResolve, isSmall, passesPublint } from './package-checks.ts';
import { firstSteps, ownPlugin } from './first-steps.ts';
import { complaintsIn } from './complaints.ts';
import { installed, json } from './installed.ts';

/** Third-party code exactly as its authors write it; shipped to be copied. Each with its test and the cases that must have run. */
const EXAMPLES = [
  [
    'storage-timed',
    'timed.test.mjs',
    ['Storage', 'TaskStore', 'AgentStore', 'EventFeed'].map((contract) => `${contract} contract, timed sqlite: `),
  ],
  [
    'my-runner',
    'my-runner.test.mjs',
    ['reports one result, before the end', 'reads the result after a flood of output'].map(
      (title) => `WakeRunner contract, my agent: ${title}`,
    ),
  ],
] as const;
const AS_JAVASCRIPT: ts.CompilerOptions = {
  allowJs: true,
  types: ['node'],
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
};
/** A page in a browser, in a project without the types of Node. */
const IN_A_BROWSER: ts.CompilerOptions = {
  types: [],
  strict: true,
  noEmit: true,
  lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
};
const GUIDE = 'docs/wake-runners.md';
/** Third parties have no tap; they use Node's own test runner. */
const UNDER_NODE = 'node --test --test-reporter=tap';
/** Pages whose TypeScript blocks are whole files. */
const PAGES_WITH_CODE = ['README.md', GUIDE, 'docs/configuration.md', 'docs/storage-adapters.md', 'docs/client.md'];

t.test('the packed package', async (t) => {
  const { folder, tarball } = await installed(t);
  t.jobs = 3; // Each waits more than it computes.

  void t.test('passes publint', { buffered: true }, (t) => passesPublint(t, tarball));
  void t.test('has entries that resolve for every kind of import, with their types', { buffered: true }, (t) => entriesResolve(t, tarball));
  void t.test('exports exactly what its API reports list', { buffered: true }, (t) => apiIsReported(t, folder));
  void t.test('is small', { buffered: true }, (t) => isSmall(t, folder, tarball));
  void t.test('takes a newcomer from an empty folder to a result', { buffered: true }, (t) => firstSteps(t, folder));
  void t.test('runs a TypeScript plugin in its own folder', { buffered: true }, (t) => ownPlugin(t, folder));

  void t.test('runs hub, sidecar and commands with the config of this repository', { buffered: true }, async (t) => {
    const port = await freePort();
    const place = { cwd: folder, env: { AGENTCOM_PORT: String(port), AGENTCOM_HUB_URL: `ws://127.0.0.1:${port}/ws` } };
    await cp(join(ROOT, 'agentcom.config.ts'), join(folder, 'agentcom.config.ts'));
    await cp(join(ROOT, 'examples'), join(folder, 'examples'), { recursive: true });

    t.equal(await program(t, 'npx agentcom hub --config agentcom.config.ts', place), `agentcom hub ready http://127.0.0.1:${port}`);
    t.equal(await program(t, 'npx agentcom sidecar --config agentcom.config.ts', place), 'agentcom sidecar ready worker-1');
    const dashboard = await fetch(`http://127.0.0.1:${port}/dashboard`);
    t.match(
      [dashboard.status, await dashboard.text()],
      [200, /<script type="module"[^>]* src="\/dashboard\/app\.js">/],
      'with its dashboard',
    );
    const submitted = await shell(
      'npx agentcom submit "count" --wait --needs code --metadata \'{"files":["package.json"]}\' --json',
      place,
    );
    t.equal(submitted.code, 0, submitted.err);
    const last = submitted.out.trim().split('\n').at(-1) ?? '';
    t.match(JSON.parse(last), { task: { status: 'completed', assigned_to: 'worker-1', result: { output: { total: { files: 1 } } } } });
    const help = await shell('npx agentcom --help', place);
    t.match(help, { code: 0, out: /Usage: agentcom .*\n {2}submit /s });
  });

  void t.test('checks third-party runners against their contract', { buffered: true }, async (t) => {
    const target = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 };
    for (const name of ['coder', 'coder.test', 'scribe', 'scribe.test']) {
      const built = ts.transpile(fileOf(GUIDE, `${name}.ts`), target).replace(/'(\.\/\w+)\.ts'/g, "'$1.mjs'");
      await writeFile(join(folder, `${name}.mjs`), built);
    }
    const { code, out } = await shell(`${UNDER_NODE} coder.test.mjs scribe.test.mjs`, { cwd: folder });
    t.equal(code, 0, out);
    for (const name of ['coder', 'scribe']) t.match(out, new RegExp(`^ *ok \\d+ - WakeRunner contract, ${name}: `, 'm'));
    t.match(out, /^# skipped 0$/m);
  });

  for (const [name, test, cases] of EXAMPLES) {
    void t.test(`checks ${name}, a separate package, against the contracts`, { buffered: true }, async (t) => {
      const own = join(folder, name);
      await cp(join(folder, 'node_modules/agentcom/examples', name), own, { recursive: true });
      const { code, out, err } = await shell(`${UNDER_NODE} ${test}`, { cwd: own });
      t.equal(code, 0, `${out}${err}`);
      for (const title of cases) t.match(out, new RegExp(`^ *ok \\d+ - ${title}`, 'm'));
      t.match(out, /^# pass \d{2,3}$/m, 'many contract cases');
      t.match(out, /^# skipped 0$/m, 'and nothing was skipped');
      const program = ts.createProgram({ rootNames: [join(own, test)], options: AS_JAVASCRIPT });
      const isItsOwn = ({ file }: ts.Diagnostic): boolean => file?.fileName.startsWith(own) === true;
      const complaints = ts.getPreEmitDiagnostics(program).filter(isItsOwn);
      t.strictSame(
        complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
        [],
        'its types are right',
      );
    });
  }

  void t.test('has a client that compiles without the types of Node', { buffered: true }, async (t) => {
    const page = join(folder, 'page.ts');
    await writeFile(
      page,
      "import { hubClient } from 'agentcom/client';\nexport const hub = hubClient({ url: 'https://hub.example.com', token: 'x' });\n",
    );
    const complaints = ts.getPreEmitDiagnostics(ts.createProgram({ rootNames: [page], options: IN_A_BROWSER }));
    t.strictSame(
      complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
      [],
    );
  });

  void t.test('compiles the code on the pages, and has types for every entry', { buffered: true }, async (t) => {
    const { exports } = await json<{ exports: Record<string, unknown> }>(join(ROOT, 'package.json'));
    const entries = Object.keys(exports).filter((entry) => entry !== './package.json');
    const uses = entries.map((entry, index) => `import * as entry${index} from '${entry.replace(/^\./, 'agentcom')}';`);
    const all = entries.map((_, index) => `entry${index}`).join(', ');
    const files: Readonly<Record<string, string>> = {
      ...codeOfPages(),
      'entries.ts': `${uses.join('\n')}\nexport const entries = [${all}];\n`,
      'misspelt-option.ts': fileOf('README.md', 'agentcom.config.ts').replace('agentId', 'agentID'),
      'misspelt-part.ts': fileOf('README.md', 'json-lines-agent.ts').replace('onLine:', 'onLien:'),
    };
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const complaints = complaintsIn(folder, Object.keys(files));
    t.match(complaints, [/^misspelt-option\.ts: .*'agentID' does not exist/s, /^misspelt-part\.ts: .*'onLien' does not exist/s]);
    t.equal(complaints.length, 2, 'and nothing else');
    const imported = await shell(
      `node --input-type=module -e "${uses.join(' ')} console.log([${all}].every((entry) => Object.keys(entry).length > 0))"`,
      {
        cwd: folder,
      },
    );
    t.match(imported, { code: 0, out: 'true\n' }, 'and each can be imported');
  });
});

/** The TypeScript of the pages, each block a file under its path: the files of one page can import each other. */
function codeOfPages(): Readonly<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const page of PAGES_WITH_CODE) {
    for (const { language, file, text, line } of blocksOf(page)) {
      if (language !== 'ts') continue;
      const path = join(page.replace('.md', ''), file ?? `line-${line}.ts`);
      files[path in files ? path.replace('.ts', `-line-${line}.ts`) : path] = text;
    }
  }
  return files;
}
