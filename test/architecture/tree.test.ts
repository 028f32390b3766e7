/** What a reader of this tree may rely on, as far as a tool can check it. */
import { readFile, access } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { ERROR_CODES } from '../../core/errors/codes.ts';
import { ROOT } from './cruise.ts';
import { filesUnder, sourceFiles } from './tree.ts';

const LINES_MAX = 400;
const LINES_OF_HALF = 130;
/** A file over `LINES_MAX` says why in a comment near its top that starts with these words. */
const LONG_ON_PURPOSE = /^\s*(\/\*\*|\*|\/\/)\s*Long on purpose: \S/m;
const TOP_LINES = 20;

const read = (file: string): Promise<string> => readFile(path.join(ROOT, file), 'utf8');
const linesOf = (text: string): number => text.split('\n').length - 1;

const exists = (file: string): Promise<boolean> =>
  access(path.join(ROOT, file)).then(
    () => true,
    () => false,
  );

/** Pages for people, at the root and in docs. */
async function pages(): Promise<readonly string[]> {
  const inDocs = (await filesUnder('docs')).filter((file) => file.endsWith('.md'));
  return ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...inDocs];
}

t.test('files are short enough to grasp', async (t) => {
  const lengths: number[] = [];
  for (const file of await sourceFiles()) {
    const text = await read(file);
    const lines = linesOf(text);
    lengths.push(lines);
    if (lines <= LINES_MAX) continue;
    const top = text.split('\n').slice(0, TOP_LINES).join('\n');
    t.match(top, LONG_ON_PURPOSE, `${file} has ${lines} lines and says why`);
  }
  lengths.sort((a, b) => a - b);
  const median = lengths[Math.floor(lengths.length / 2)] ?? 0;
  t.ok(
    lengths.length > 0 && median < LINES_OF_HALF,
    `half of ${lengths.length} files have under ${LINES_OF_HALF} lines: the middle one has ${median}`,
  );
});

/** Adapters that run no contract, and why. */
const WITHOUT_CONTRACT: ReadonlyMap<string, string> = new Map([
  ['archive-files', 'nothing reads through its port: its test reads the files'],
  ['env-process', 'read while the config is evaluated, before there is anything to put behind a port'],
  ['http', 'the HTTP face of the hub: its contract is the protocol page, route by route'],
]);

/** A test together with the files next to it that prepare its environment. */
async function withPlaces(test: string): Promise<string> {
  const text = await read(test);
  const places = [...text.matchAll(/from '\.\/([a-z-]+\.ts)'/g)].map(([, file = '']) => path.join(path.dirname(test), file));
  return [text, ...(await Promise.all(places.map(read)))].join('\n');
}

t.test('every adapter is tested against the contract of its port', async (t) => {
  const inFolders = (await filesUnder('adapters')).map((file) => file.split('/')).filter((parts) => parts.length > 2);
  // Code shared by adapters is not an adapter; it is tested through each of them.
  const folders = new Set(inFolders.map((parts) => parts[1] ?? '').filter((folder) => folder !== 'kit'));
  const tests = (await filesUnder('test/adapters')).filter((file) => file.endsWith('.test.ts'));
  const texts = await Promise.all(tests.map(withPlaces));
  for (const folder of folders) {
    const own = texts.filter((text) => text.includes(`adapters/${folder}/`));
    t.ok(own.length > 0, `adapters/${folder} is imported by a test in test/adapters`);
    if (WITHOUT_CONTRACT.has(folder)) continue;
    const runs = own.some((text) => /from '[./]*\/product\/contracts\/[a-z/-]+\.contract\.ts'/.test(text));
    t.ok(runs, `adapters/${folder} runs a contract there`);
  }
  for (const folder of WITHOUT_CONTRACT.keys()) t.ok(folders.has(folder), `${folder} is still an adapter without a port`);
  t.ok(folders.size > WITHOUT_CONTRACT.size, 'there are adapters');
});

t.test('every contract is run', async (t) => {
  const contracts = (await filesUnder('test/product/contracts')).filter((file) => file.endsWith('.contract.ts'));
  const sources = (await filesUnder('test')).filter((file) => file.endsWith('.ts'));
  const texts = await Promise.all(sources.map(read));
  const unrun = contracts.filter((contract) => !texts.some((text) => text.includes(`/${path.basename(contract)}'`)));
  t.strictSame(unrun, []);
});

/** This many files in one folder can be taken in at a glance; more need subfolders. */
const FILES_OF_FOLDER_MAX = 20;

t.test('no folder has too many files at one level', async (t) => {
  const counts = new Map<string, number>();
  for (const file of await sourceFiles()) counts.set(path.dirname(file), (counts.get(path.dirname(file)) ?? 0) + 1);
  t.strictSame(
    [...counts].filter(([, count]) => count > FILES_OF_FOLDER_MAX),
    [],
  );
});

/** One part that several folders have: two databases, two transports, the runners, the programs. Every other name occurs once. */
const PARTS: readonly (readonly [where: RegExp, names: readonly string[]])[] = [
  [
    /^adapters\/storage-knex\//,
    ['connection', 'connections', 'engine', 'failures', 'inspection', 'schema', 'statements', 'transaction'].map((name) => `${name}.ts`),
  ],
  [/^adapters\/storage-(knex|memory)\//, ['old-rows.ts']],
  [/^adapters\/transport-(ws|uws)\//, ['listener.ts', 'peer-connection.ts', 'settings.ts']],
  [/^plugins\//, ['check.ts', 'dialect.ts', 'options.ts', 'program-usage.ts', 'start.ts']],
  [/^adapters\/storage-knex\/postgres\//, ['options.ts']],
  [/^apps\/(hub|sidecar)\/modules\//, ['adapters.module.ts']],
  [/./, ['index.ts', 'main.ts']],
];

t.test('files with the same name are the same part of different folders', async (t) => {
  const byName = new Map<string, string[]>();
  for (const file of await sourceFiles()) {
    const name = path.basename(file);
    if (PARTS.some(([where, names]) => where.test(file) && names.includes(name))) continue;
    byName.set(name, [...(byName.get(name) ?? []), file]);
  }
  t.strictSame(
    [...byName.values()].filter((files) => files.length > 1),
    [],
  );
});

t.test('files are named for their job in kebab case', async (t) => {
  const vague = /(^|[/.-])(utils?|commons?|helpers?|misc)([/.-]|$)/;
  const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9-]+)*$/;
  const files = await sourceFiles();
  t.strictSame(
    files.filter((file) => vague.test(file) || !kebab.test(path.basename(file))),
    [],
  );
});

t.test('no file mentions the machine it was written on', async (t) => {
  const locks = ['package-lock.json', 'test/bench/peers/package-lock.json'];
  const named = [...locks, 'package.json', 'agentcom.config.ts', '.ci/run', 'eslint.config.mjs', '.dependency-cruiser.cjs'];
  const files = [...(await sourceFiles()), ...(await pages()), ...named].filter((file) => file !== 'test/architecture/tree.test.ts');
  const foreign = /\/(work|home|Users|root)\/[a-z]|registry\.(npmjs|yarnpkg|npmmirror)\b|"resolved": /;
  const knowing: string[] = [];
  for (const file of files) {
    const found = foreign.exec(await read(file));
    if (found !== null) knowing.push(`${file}: ${found[0]}`);
  }
  t.strictSame(knowing, []);
});

t.test('the platform is a parameter, so that a test can pass another one', async (t) => {
  const inPlace: string[] = [];
  for (const file of await sourceFiles()) {
    if (!/^(core|adapters|plugins|apps)\//.test(file)) continue;
    for (const [index, line] of (await read(file)).split('\n').entries()) {
      const isComment = /^\s*(\*|\/[/*])/.test(line);
      // As the default of a parameter or option, or as the first argument of a call.
      if (!isComment && /(?<!(: string|platform) = |\w\()process\.platform/.test(line)) inPlace.push(`${file}:${index + 1}`);
    }
  }
  t.strictSame(inPlace, []);
});

t.test('exactly the defined error codes are used', async (t) => {
  const used = new Set<string>();
  for (const file of await sourceFiles()) {
    if (file === 'core/errors/codes.ts' || file.startsWith('test/')) continue;
    for (const [code] of (await read(file)).matchAll(/\bAC_[A-Z]+(?:_[A-Z]+)*\b/g)) used.add(code);
  }
  t.strictSame([...used].sort(), Object.keys(ERROR_CODES).sort());
});

t.test('the entries of the package exist', async (t) => {
  const manifest = JSON.parse(await read('package.json')) as {
    readonly bin: Readonly<Record<string, string>>;
    readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
    readonly files: readonly string[];
  };
  for (const [entry, target] of Object.entries(manifest.exports)) {
    const source = typeof target === 'string' ? target : target['agentcom-source'];
    t.ok(source !== undefined && (await exists(source)), `${entry} is ${source}`);
    if (typeof target === 'string') continue;
    const built = source?.replace(/^\.\//, './dist/').replace(/\.ts$/, '');
    t.strictSame([target['types'], target['default']], [`${built}.d.ts`, `${built}.js`], `${entry} is built from its source`);
  }
  for (const file of Object.values(manifest.bin)) t.ok(await exists(file), file);
  // A leading "!" leaves out a part of what is named before it.
  for (const file of manifest.files) t.ok(file === 'dist' || (await exists(file.replace(/^!/, ''))), `${file}, to be packed`);
});

t.test('every link in the pages resolves', async (t) => {
  const broken: string[] = [];
  for (const page of await pages()) {
    const text = (await read(page)).replace(/^```.*?^```/gms, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?|mailto):/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const place = file === '' ? page : path.join(path.dirname(page), file);
      if (!(await exists(place))) broken.push(`${page} → ${target}`);
      else if (anchor !== undefined && place.endsWith('.md') && !headings(await read(place)).has(anchor))
        broken.push(`${page} → ${target}: no such heading`);
    }
  }
  t.strictSame(broken, []);
});

/** The anchors of a page's headings, as GitHub generates them: a second one of the same name ends in `-1`. */
function headings(text: string): ReadonlySet<string> {
  const found = new Map<string, number>();
  for (const [, title = ''] of text.matchAll(/^#+ (.+)$/gm)) {
    const anchor = title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    found.set(anchor, (found.get(anchor) ?? 0) + 1);
  }
  return new Set([...found].flatMap(([anchor, times]) => [anchor, ...Array.from({ length: times - 1 }, (_, n) => `${anchor}-${n + 1}`)]));
}

t.test('a test and its child processes start without the loaders of the test runner', (t) => {
  const options = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].filter((option) => option.includes('tapjs'));
  t.strictSame(options, [], 'they would take a tenth of a second of each process: see test/rig/lean-tests.mjs');
  t.end();
});

t.test('the test READMEs name existing files', async (t) => {
  const files = [...(await sourceFiles()), ...(await filesUnder('test'))];
  const readmes = files.filter((file) => file.endsWith('/README.md'));
  for (const readme of readmes) {
    const named = new Set(
      [...(await read(readme)).matchAll(/`((?:[\w.-]+\/)*[\w-]+(?:\.[\w-]+)*\.(?:ts|mjs|sh))`/g)].map(([, name = '']) => name),
    );
    const missing = [...named].filter((name) => !files.some((file) => `/${file}`.endsWith(`/${name}`)));
    t.strictSame(missing, [], readme);
  }
  t.ok(readmes.length > 4);
});
