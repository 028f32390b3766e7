/** The code blocks of a page, in order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../architecture/cruise.ts';
import { transformSync } from 'esbuild';

export interface Block {
  /** `ts`, `sh`, `json`; empty if the page does not say. */
  readonly language: string;
  /** The name of the file, as the page gives it after the language; null for commands, pictures and fragments. */
  readonly file: string | null;
  readonly text: string;
  /** Of the line that opens it, counting from 1. */
  readonly line: number;
  /** Why no test runs it, from the comment `<!-- not run: … -->` above it; null without one. */
  readonly notRun: string | null;
}

/** `page` is relative to the root: `README.md`, `docs/cli.md`. */
export const readPage = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

export function blocksOf(page: string): readonly Block[] {
  const blocks: Block[] = [];
  let open: (Pick<Block, 'line' | 'notRun'> & { readonly info: string; readonly text: string[] }) | null = null;
  const lines = readPage(page).split('\n');
  for (const [index, line] of lines.entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.text.push(line);
    else if (open === null) {
      const notRun = /^<!-- not run: (.+) -->$/.exec(lines[index - 1] ?? '')?.[1] ?? null;
      open = { info: fence[1] ?? '', line: index + 1, text: [], notRun };
    } else {
      const [language = '', file = null] = open.info.split(' ');
      blocks.push({ language, file, text: `${open.text.join('\n')}\n`, line: open.line, notRun: open.notRun });
      open = null;
    }
  }
  return blocks;
}

/** The block of the page that is this file; the first one, if there are several. */
export function fileOf(page: string, name: string): string {
  const block = blocksOf(page).find(({ file }) => file === name);
  if (block === undefined) throw new Error(`${page} has no block for ${name}.`);
  return block.text;
}

/** The TypeScript blocks that are files. */
export const filesOf = (page: string): readonly { readonly name: string; readonly text: string }[] =>
  blocksOf(page).flatMap(({ language, file, text }) => (language === 'ts' && file !== null ? [{ name: file, text }] : []));

/** The JavaScript of an example, with its imports of other examples as `.mjs`. */
export const asModule = (text: string): string => transformSync(text, { loader: 'ts' }).code.replace(/"(\.\/[\w-]+)\.ts"/g, '"$1.mjs"');
