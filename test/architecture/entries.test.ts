/** The author of an adapter needs only its entry: it exports every type that the port refers to, however deep. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { ROOT } from './cruise.ts';
import { filesUnder } from './tree.ts';

/** An entry, the root types of its adapters, and where these are declared. */
const ENTRIES: readonly { readonly entry: string; readonly roots: Readonly<Record<string, readonly string[]>> }[] = [
  { entry: 'adapters/storages.ts', roots: { 'core/config/config.ts': ['StorageChoice', 'StorageDeps'] } },
  { entry: 'adapters/transports.ts', roots: { 'core/config/config.ts': ['TransportChoice', 'TransportDeps'] } },
  { entry: 'plugins/plugin.ts', roots: { 'core/config/config.ts': ['WakeRunnerChoice', 'WakeRunnerDeps'] } },
];

/** From these files alone: types from packages are imported from there. */
async function programOf(files: readonly string[]): Promise<ts.Program> {
  const core = (await filesUnder('core')).filter((file) => file.endsWith('.ts'));
  const rootNames = [...core, ...files].map((file) => path.join(ROOT, file));
  const { ES2023: target } = ts.ScriptTarget;
  const { NodeNext: module } = ts.ModuleKind;
  return ts.createProgram({
    rootNames,
    options: { target, module, noResolve: true, noLib: true, types: [], allowImportingTsExtensions: true, noEmit: true },
  });
}

const resolved = (checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol =>
  (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);

function exportsOf(program: ts.Program, file: string): ReadonlyMap<string, ts.Symbol> {
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(path.join(ROOT, file));
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${file} exports nothing`);
  return new Map(checker.getExportsOfModule(module).map((symbol) => [symbol.name, resolved(checker, symbol)]));
}

/**
 * Every type of this tree that the declarations of `roots` refer to, directly or indirectly, each with the place that
 * first refers to it.
 */
function reachable(program: ts.Program, roots: readonly ts.Symbol[]): ReadonlyMap<ts.Symbol, string> {
  const checker = program.getTypeChecker();
  const found = new Map<ts.Symbol, string>(roots.map((root) => [root, 'the port']));
  for (const symbol of found.keys()) {
    const visit = (node: ts.Node): void => {
      const name = ts.isTypeReferenceNode(node) ? node.typeName : ts.isExpressionWithTypeArguments(node) ? node.expression : null;
      const named = name === null ? undefined : checker.getSymbolAtLocation(name);
      const type = named === undefined ? undefined : resolved(checker, named);
      const isOurs = type?.declarations?.some((one) => ts.isInterfaceDeclaration(one) || ts.isTypeAliasDeclaration(one)) === true;
      if (type !== undefined && isOurs && !found.has(type)) found.set(type, symbol.name);
      ts.forEachChild(node, visit);
    };
    for (const declaration of symbol.declarations ?? []) visit(declaration);
  }
  return found;
}

t.test('an author entry exports every type that its port names', async (t) => {
  const program = await programOf(ENTRIES.map(({ entry }) => entry));
  for (const { entry, roots } of ENTRIES) {
    const exported = new Set(exportsOf(program, entry).values());
    const symbols = Object.entries(roots).flatMap(([file, names]) => names.map((name) => exportsOf(program, file).get(name)));
    t.notOk(symbols.includes(undefined), `${entry}: its port is where it should be`);
    const types = reachable(
      program,
      symbols.filter((symbol) => symbol !== undefined),
    );
    t.ok(types.size > 5, `${entry}: ${types.size} types`);
    const missing = [...types].filter(([type]) => !exported.has(type)).map(([type, by]) => `${type.name}, which ${by} names`);
    t.strictSame(missing.sort(), [], `${entry} exports all of them`);
  }
});

t.test('every exported name of an entry has a doc comment', async (t) => {
  const { exports } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
    exports: Readonly<Record<string, { readonly 'agentcom-source'?: string }>>;
  };
  const entries = Object.values(exports).flatMap(({ 'agentcom-source': source }) =>
    source === undefined ? [] : [path.join(ROOT, source)],
  );
  const { ES2023: target } = ts.ScriptTarget;
  const { NodeNext: module } = ts.ModuleKind;
  const program = ts.createProgram({
    rootNames: entries,
    options: { target, module, noLib: true, types: [], allowImportingTsExtensions: true, noEmit: true },
  });
  const checker = program.getTypeChecker();
  const without = new Set<string>();
  let found = 0;
  for (const entry of entries) {
    for (const symbol of exportsOf(program, path.relative(ROOT, entry)).values()) {
      const file = symbol.declarations?.[0]?.getSourceFile().fileName ?? '';
      if (file.includes('node_modules')) continue;
      found += 1;
      if (symbol.getDocumentationComment(checker).length === 0) without.add(`${path.relative(ROOT, file)}: ${symbol.name}`);
    }
  }
  t.strictSame([...without], [], 'what it is for, its shape and units, and which codes it throws');
  t.ok(found > 300, `${found} names were found`);
});

t.test('ARCHITECTURE.md has a reason for each runtime dependency, and for nothing else', async (t) => {
  const { dependencies } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Readonly<Record<string, string>>;
  };
  const section = /^## Dependencies\n(.*?)^## /ms.exec(await readFile(path.join(ROOT, 'ARCHITECTURE.md'), 'utf8'))?.[1] ?? '';
  const named = [...section.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  t.strictSame(named.sort(), Object.keys(dependencies).sort());
});
