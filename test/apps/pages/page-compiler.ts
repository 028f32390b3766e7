/** Compiles the TypeScript of pages as strictly as this tree, as if each block were a file next to its page. */
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../architecture/cruise.ts';
import { filesOf } from './page-blocks.ts';

export interface PageFile {
  readonly page: string;
  readonly name: string;
  readonly text: string;
  readonly complaints: readonly string[];
}

export function compiledPages(pages: readonly string[]): readonly PageFile[] {
  const named = pages.flatMap((page) => filesOf(page).map((file) => ({ page, path: join(ROOT, dirname(page), file.name), ...file })));
  if (new Set(named.map(({ path }) => path)).size < named.length)
    throw new Error(`Two of the files of ${pages.join(', ')} have one name. Rename one of them.`);
  return compiled(named);
}

/** For files that would be at the top of this tree. */
export const complaintsOf = (files: readonly { readonly name: string; readonly text: string }[]): readonly Omit<PageFile, 'page'>[] =>
  compiled(files.map((file) => ({ path: join(ROOT, file.name), ...file })));

/** All in one program: most of the time is spent on the types of the package and of node. */
function compiled<T extends { readonly path: string; readonly text: string }>(
  named: readonly T[],
): readonly (T & Pick<PageFile, 'complaints'>)[] {
  const texts = new Map(named.map(({ path, text }) => [path, text]));
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile, readFile } = host;
  host.fileExists = (file) => texts.has(file) || fileExists(file);
  host.readFile = (file) => texts.get(file) ?? readFile(file);
  host.getSourceFile = (file, ...rest) => {
    const text = texts.get(file);
    return text === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  };
  const program = ts.createProgram({ rootNames: [...texts.keys()], options, host });
  return named.map((file) => ({
    ...file,
    complaints: ts
      .getPreEmitDiagnostics(program, program.getSourceFile(file.path))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
  }));
}
