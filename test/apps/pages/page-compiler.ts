/** Compiles the TypeScript of a page, as strict as this tree, as if each block were a file beside the page. */
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../architecture/cruise.ts';
import { blocksOf } from './page-blocks.ts';

export interface PageFile {
  readonly name: string;
  readonly text: string;
  readonly complaints: readonly string[];
}

export function compiledPage(page: string): readonly PageFile[] {
  const named = blocksOf(page).flatMap(({ language, file, text }) => (language === 'ts' && file !== null ? [{ name: file, text }] : []));
  const pathOf = (name: string): string => join(ROOT, dirname(page), name);
  const texts = new Map(named.map(({ name, text }) => [pathOf(name), text]));
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
  return named.map(({ name, text }) => ({
    name,
    text,
    complaints: ts
      .getPreEmitDiagnostics(program, program.getSourceFile(pathOf(name)))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
  }));
}

/** The JavaScript of a block, and its imports of other blocks as `.mjs`. */
export const asModule = (text: string): string =>
  ts.transpile(text, { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 }).replace(/'(\.\/[\w-]+)\.ts'/g, "'$1.mjs'");
