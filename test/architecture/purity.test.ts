/**
 * Core compiles without Node and without a browser: it reaches the machine only through ports. The compiler refuses
 * what exists only in a platform; the linter refuses what the language itself brings along, such as `Date.now`.
 */
import { ESLint } from 'eslint';
import path from 'node:path';
import t from 'tap';
import ts from 'typescript';
import tseslint from 'typescript-eslint';
import { ROOT } from './cruise.ts';

/** Compiles each of `sources` as a file of core, with core's own tsconfig, and returns the compiler's errors. */
function complaints(sources: readonly string[]): readonly (readonly string[])[] {
  const configPath = path.join(ROOT, 'core/tsconfig.json');
  const config = ts.getParsedCommandLineOfConfigFile(configPath, undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
      throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'));
    },
  });
  if (config === undefined) throw new Error(`There is no config at ${configPath}.`);
  const planted = new Map(sources.map((source, index) => [path.join(ROOT, `core/domain/planted-${index}.ts`), source]));
  const host = ts.createCompilerHost(config.options);
  const { fileExists, getSourceFile, readFile } = host;
  host.fileExists = (file) => planted.has(file) || fileExists(file);
  host.readFile = (file) => planted.get(file) ?? readFile(file);
  host.getSourceFile = (file, ...rest) => {
    const source = planted.get(file);
    return source === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, source, ts.ScriptTarget.ES2023, true);
  };
  // In one program: none of them declares anything for the others.
  const program = ts.createProgram({ rootNames: [...planted.keys()], options: config.options, host });
  return [...planted.keys()].map((file) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(file))
      .map((diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')),
  );
}

t.test('the compiler rejects platform APIs in core', async (t) => {
  const planted: readonly (readonly [name: string, source: string])[] = [
    ['process', 'export const pid = process.pid;'],
    ['Buffer', "export const bytes = Buffer.from('a');"],
    ['setTimeout', 'export const timer = setTimeout(() => 1, 1);'],
    ['URL', "export const url = new URL('ws://a');"],
    ['console', "console.log('a');"],
    ['crypto', 'export const id = crypto.randomUUID();'],
    ['fetch', "export const page = fetch('http://a');"],
    ['AbortController', 'export const stop = new AbortController();'],
    ['node:fs', "export * from 'node:fs';"],
  ];
  const pure = "import { refuse } from './task/refusal.ts';\nexport const refused = refuse('unknown_task', null);";
  const [ofPure, ...ofPlanted] = complaints([pure, ...planted.map(([, source]) => source)]);
  t.strictSame(ofPure, []);
  for (const [index, [name]] of planted.entries()) {
    const lines = ofPlanted[index] ?? [];
    t.ok(
      lines.some((message) => message.includes(`'${name}'`)),
      `${name}: ${lines.join(' | ') || 'compiled'}`,
    );
  }
});

t.test('the dashboard compiles against the browser, not Node', (t) => {
  const folder = path.join(ROOT, 'apps/dashboard');
  const { config } = ts.readConfigFile(path.join(folder, 'tsconfig.json'), (file) => ts.sys.readFile(file)) as { readonly config: unknown };
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
  const browserFiles = fileNames.filter((file) => !file.endsWith('vite.config.ts'));
  t.ok(browserFiles.length > 20, `${browserFiles.length} files`);
  // The result is cached for the next run, which checks only what has changed.
  const incremental = { incremental: true, noEmit: true, tsBuildInfoFile: path.join(ROOT, '.built/dashboard.tsbuildinfo') };
  const program = ts.createIncrementalProgram({ rootNames: browserFiles, options: { ...options, ...incremental, types: [] } });
  // Its own files only: the others are compiled elsewhere.
  const lines = [...program.getSyntacticDiagnostics(), ...program.getSemanticDiagnostics()]
    .filter(({ file }) => file === undefined || browserFiles.includes(file.fileName))
    .map(
      ({ file, messageText }) => `${path.relative(folder, file?.fileName ?? '')}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
  program.emit();
  t.strictSame(lines, []);
  t.end();
});

// The planted text is in no project; the rules below need no types.
const eslint = new ESLint({ cwd: ROOT, overrideConfig: [tseslint.configs.disableTypeChecked as never] });

/** The rules that the linter reports for `source` as the file at `place`. */
async function broken(place: string, source: string): Promise<readonly string[]> {
  const [result] = await eslint.lintText(source, { filePath: path.join(ROOT, place) });
  if (result === undefined) throw new Error(`ESLint ignores ${place}.`);
  return result.messages.map((message) => message.ruleId ?? message.message);
}

t.test('the linter rejects ambient time and randomness in core', async (t) => {
  const planted: readonly (readonly [rule: string, source: string])[] = [
    ['no-restricted-properties', 'export const now = Date.now();'],
    ['no-restricted-syntax', 'export const now = new Date();'],
    ['no-restricted-syntax', 'export const now = Date();'],
    ['no-restricted-properties', 'export const chance = Math.random();'],
    ['no-restricted-globals', 'export const timer = setTimeout(() => 1, 1);'],
    ['no-restricted-globals', 'export const home = process.cwd();'],
    ['no-restricted-globals', 'export const startMs = performance.now();'],
    ['no-restricted-syntax', "export const found = 'process' in globalThis;"],
    ['no-restricted-syntax', 'declare const injectable: () => never;\n@injectable()\nexport class Wired {}'],
  ];
  for (const [rule, source] of planted) {
    t.strictSame(await broken('core/domain/planted.ts', source), [rule], source);
    t.notOk((await broken('adapters/planted/planted.ts', source)).includes(rule), `an adapter may: ${source}`);
  }
  t.strictSame(await broken('core/domain/planted.ts', 'export const at = (nowMs: number): Date => new Date(nowMs);'), []);
  const typeOnly = 'export type Signal = typeof globalThis extends { AbortSignal: infer T } ? T : never;';
  t.strictSame(await broken('core/domain/planted.ts', typeOnly), []);
});

t.test('the linter rejects swallowed errors, any, and tests that do not run', async (t) => {
  const planted: readonly (readonly [rule: string, place: string, source: string])[] = [
    [
      'agentcom/no-swallowed-errors',
      'apps/planted.ts',
      'try {\n  eval2();\n} catch {\n  // never mind\n}\ndeclare const eval2: () => void;',
    ],
    ['agentcom/no-swallowed-errors', 'apps/planted.ts', 'export const done = Promise.reject(new Error()).catch(() => undefined);'],
    ['agentcom/no-swallowed-errors', 'apps/planted.ts', 'export const done = Promise.reject(new Error()).catch(() => {});'],
    ['@typescript-eslint/no-explicit-any', 'apps/planted.ts', 'export type Loose = any;'],
    ['@typescript-eslint/consistent-type-imports', 'apps/planted.ts', "import { A } from './a.ts';\nexport type B = A;"],
    ['agentcom/no-skipped-tests', 'test/planted.test.ts', "import t from 'tap';\nt.only('one', () => 1);"],
    ['agentcom/no-skipped-tests', 'test/planted.test.ts', "import t from 'tap';\nt.skip('one', () => 1);"],
    ['agentcom/no-skipped-tests', 'test/planted.test.ts', "import t from 'tap';\nt.test('one', { skip: 'later' }, () => 1);"],
  ];
  for (const [rule, place, source] of planted) t.strictSame(await broken(place, source), [rule], source);
  const byCapability =
    "import t from 'tap';\ndeclare const durable: boolean;\nt.test('one', { skip: durable ? false : 'forgets' }, () => 1);";
  t.strictSame(await broken('test/planted.test.ts', byCapability), []);
  const inIf = "import t from 'tap';\ndeclare const durable: boolean;\nif (!durable) t.pass('kept', { skip: 'forgets' });";
  t.strictSame(await broken('test/planted.test.ts', inIf), []);
});
