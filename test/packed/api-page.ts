/** The pages of docs/api: what each entry of the package exports, with its doc comments. */
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import type ts from 'typescript';
import { ROOT } from '../architecture/cruise.ts';
import type { ApiEntry, ApiItem } from './api-entries.ts';
import type { GeneratedFile } from './api-report.ts';

/** Where the pages are. */
export const PAGES = join(ROOT, 'docs/api');

const NOTICE = '<!-- Generated from the doc comments by `npm run api -- --write`. -->';

export async function apiPage({ entry, about, exported, named }: ApiEntry): Promise<GeneratedFile> {
  const ours = exported.filter(({ nodes }) => nodes.length > 0);
  const foreign = exported.filter(({ nodes }) => nodes.length === 0).map(({ name }) => `\`${name}\``);
  const sections = [
    ['Functions, classes and constants', ours.filter(({ isValue }) => isValue)],
    ['Types', ours.filter(({ isValue }) => !isValue)],
    ['Not exported, but referred to', named],
  ] as const;
  const filled = sections.filter(([, items]) => items.length > 0);
  const anchorOf = anchors(filled.flatMap(([title, items]) => [title, ...items.map(({ name }) => name)]));
  const text = [
    `# ${entry}`,
    NOTICE,
    about,
    ...(foreign.length === 0 ? [] : [`Also exports ${foreign.join(', ')} of other packages.`]),
    ...filled.map(([title, items]) => `**${title}:** ${items.map(({ name }) => `[\`${name}\`](#${anchorOf(name)})`).join(' · ')}`),
    ...filled.flatMap(([title, items]) => [`## ${title}`, ...items.flatMap(itemOf)]),
  ].join('\n\n');
  const config = await resolveConfig(join(ROOT, 'package.json'));
  return { file: `${fileOf(entry)}.md`, text: await format(text, { ...config, parser: 'markdown', printWidth: 120 }) };
}

/** The index of the pages: docs/api.md. */
export function apiIndex(entries: readonly ApiEntry[]): GeneratedFile {
  const rows = entries.map(({ entry, about }) => `| [\`${entry}\`](api/${fileOf(entry)}.md) | ${firstSentence(about)} |`);
  const text = ['# API reference', '', NOTICE, '', 'What each entry of the package exports.', '', '| import | |', '|---|---|', ...rows, ''];
  return { file: '../api.md', text: text.join('\n') };
}

const fileOf = (entry: string): string => entry.replace(/^.*\//, '');

/** The first sentence of the first paragraph. */
const firstSentence = (about: string): string => /^[\s\S]*?\.(?=\s|$)/.exec(about.split('\n\n')[0] ?? '')?.[0].replaceAll('\n', ' ') ?? '';

/** The anchor that GitHub generates for each of these headings. Names that differ only in case are numbered. */
function anchors(headings: readonly string[]): (heading: string) => string {
  const found = new Map<string, string>();
  const used = new Map<string, number>();
  for (const heading of headings) {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-');
    const times = used.get(anchor) ?? 0;
    used.set(anchor, times + 1);
    found.set(heading, times === 0 ? anchor : `${anchor}-${times}`);
  }
  return (heading) => found.get(heading) ?? '';
}

const itemOf = ({ name, comment, nodes }: ApiItem): readonly string[] => [
  `### ${name}`,
  comment,
  ['```ts', ...nodes.map(signatureOf), '```'].join('\n'),
];

/** Its declaration, with the comments of its members, without file paths. */
const signatureOf = (node: ts.Node): string =>
  node
    .getText()
    .replace(/^export /, '')
    .replace(/^declare /, '')
    .replaceAll(/import\(["'][^"']*["']\)\./g, '');
