/**
 * What the entries of a package export, read from its declarations. (API Extractor brings its own compiler, which is
 * too old for this code.)
 */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../architecture/cruise.ts';

/** An exported declaration, or one that an exported one refers to. */
export interface ApiItem {
  /** The name under which it is exported, or declared. */
  readonly name: string;
  /** The name under which it is declared. */
  readonly declaredAs: string;
  /** Several for an overloaded function; empty if another package declares it. */
  readonly nodes: readonly ts.Node[];
  /** Its doc comment, as Markdown; empty if there is none. */
  readonly comment: string;
  /** Whether programs can use it as a value: a function, a class or a constant. */
  readonly isValue: boolean;
}

export interface ApiEntry {
  /** The import path, such as `agentcom/client`. */
  readonly entry: string;
  /** The comment at the top of the file. */
  readonly about: string;
  readonly exported: readonly ApiItem[];
  /** Declarations of this package that the exports refer to and that the entry does not export, with what they refer to in turn. */
  readonly named: readonly ApiItem[];
}

/** `folder`, absolute and without symbolic links, contains the package's package.json and what its `types` name. */
export function apiEntries(folder: string): readonly ApiEntry[] {
  const { name, exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    exports: Readonly<Record<string, { readonly types?: string; readonly 'agentcom-source'?: string }>>;
  };
  const entries = Object.entries(exports).flatMap(([path, { types, 'agentcom-source': source }]) =>
    types === undefined || source === undefined
      ? []
      : [{ entry: path.replace(/^\./, name), file: join(folder, types), source: join(ROOT, source) }],
  );
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    noEmit: true,
  };
  const program = ts.createProgram(
    entries.map(({ file }) => file),
    options,
  );
  return entries.map(({ entry, file, source }) => ({
    ...new EntryReader(program, folder, entry, file).read(),
    // Read from the source, since the compiler drops the comment together with an import below it.
    about: commentAtTop(readFileSync(source, 'utf8')),
  }));
}

/** Sorted by name, whatever the machine's language. */
const byName = (one: ts.Symbol, other: ts.Symbol): number => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0);

class EntryReader {
  readonly #program: ts.Program;
  readonly #checker: ts.TypeChecker;
  readonly #folder: string;
  readonly #entry: string;
  readonly #file: string;
  /** What the entry contains, by symbol: two exports may be the same one. */
  readonly #found = new Set<ts.Symbol>();

  constructor(program: ts.Program, folder: string, entry: string, file: string) {
    this.#program = program;
    this.#checker = program.getTypeChecker();
    this.#folder = folder;
    this.#entry = entry;
    this.#file = file;
  }

  read(): Omit<ApiEntry, 'about'> {
    const source = this.#program.getSourceFile(this.#file);
    const module = source === undefined ? undefined : this.#checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${this.#file} of ${this.#entry} is missing, or exports nothing`);
    const exported = [...this.#checker.getExportsOfModule(module)].sort(byName);
    const targets = exported.map((symbol) => [symbol.name, this.#target(symbol)] as const);
    for (const [, target] of targets) this.#found.add(target);
    return {
      entry: this.#entry,
      exported: targets.map(([name, target]) => this.#item(name, target)),
      named: this.#namedBy(targets.map(([, target]) => target)).map((target) => this.#item(target.name, target)),
    };
  }

  #item(name: string, target: ts.Symbol): ApiItem {
    const declarations = target.declarations ?? [];
    return {
      name,
      declaredAs: target.name,
      nodes: declarations.every((declaration) => this.#isOurs(declaration)) ? declarations.map(statementOf) : [],
      comment: ts.displayPartsToString(target.getDocumentationComment(this.#checker)),
      isValue: (target.flags & ts.SymbolFlags.Value) !== 0,
    };
  }

  /** What an export stands for. */
  #target(symbol: ts.Symbol): ts.Symbol {
    return symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
  }

  #isOurs(declaration: ts.Declaration): boolean {
    const { fileName } = declaration.getSourceFile();
    return fileName.startsWith(`${this.#folder}/`) && !relative(this.#folder, fileName).includes('node_modules');
  }

  #namedBy(targets: readonly ts.Symbol[]): readonly ts.Symbol[] {
    const found: ts.Symbol[] = [];
    const waiting = [...targets];
    for (let symbol = waiting.shift(); symbol !== undefined; symbol = waiting.shift()) {
      for (const declaration of symbol.declarations ?? []) {
        if (!this.#isOurs(declaration)) continue;
        const visit = (node: ts.Node): void => {
          if (ts.isIdentifier(node)) {
            const at = this.#checker.getSymbolAtLocation(node);
            const target = at === undefined ? undefined : this.#target(at);
            if (target !== undefined && this.#isNamed(target)) {
              this.#found.add(target);
              found.push(target);
              waiting.push(target);
            }
          }
          ts.forEachChild(node, visit);
        };
        visit(declaration);
      }
    }
    return found.sort(byName);
  }

  /** A top-level declaration in one of our files that was not found yet. */
  #isNamed(symbol: ts.Symbol): boolean {
    if (this.#found.has(symbol)) return false;
    const [declaration] = symbol.declarations ?? [];
    return declaration !== undefined && this.#isOurs(declaration) && isAtTop(declaration);
  }
}

const isAtTop = (declaration: ts.Declaration): boolean => {
  const { parent } = statementOf(declaration);
  return parent !== undefined && ts.isSourceFile(parent);
};

/** For a constant, its whole statement. */
const statementOf = (declaration: ts.Declaration): ts.Node =>
  ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;

/** Without the stars at the start of its lines; empty if there is none. */
function commentAtTop(source: string): string {
  const [, comment = ''] = /^(?:\/\/.*\n)*\/\*\*([\s\S]*?)\*\//.exec(source) ?? [];
  return comment
    .split('\n')
    .map((line) => line.replace(/^ *\* ?/, ''))
    .join('\n')
    .trim();
}
