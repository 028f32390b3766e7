/** Which tests prove which promise: a title begins with the tags, `R5 R9: …`, `R1, R2: …` or `I1 to I15: …`. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from '../cruise.ts';
import { filesUnder } from '../tree.ts';

export interface TaggedTest {
  readonly file: string;
  /** Substitutions at run time appear as `…`. */
  readonly title: string;
  readonly tags: readonly string[];
}

/** An identifier that is called with a text as its first argument. */
const CALL = /[\w.]+\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;
const TAG = /([RIJ])(\d+)(?: to [RIJ](\d+))?/g;
/** Tags and what may stand between them. */
const TAGS_ONLY = /^(?:[RIJ]\d+|to|and|[,\s])+$/;

/** Its titles are samples for this reader. */
const SAMPLES = 'test/architecture/promises.test.ts';

export async function taggedTests(): Promise<readonly TaggedTest[]> {
  const files = (await filesUnder('test')).filter((file) => /\.(test|contract)\.ts$/.test(file) && file !== SAMPLES);
  const lists = await Promise.all(files.map(async (file) => testsIn(file, await readFile(path.join(ROOT, file), 'utf8'))));
  return lists.flat();
}

export function testsIn(file: string, text: string): readonly TaggedTest[] {
  return [...text.matchAll(CALL)].flatMap(([, , raw = '']) => {
    const tags = tagsOf(raw);
    if (tags.length === 0) return [];
    return [{ file, title: raw.replaceAll(/\$\{[^}]*\}/g, '…').replaceAll(/\\(.)/g, '$1'), tags }];
  });
}

/** The tags before the first colon; none if anything else precedes it. */
export function tagsOf(title: string): readonly string[] {
  const [before = '', after] = title.split(':', 2);
  if (after === undefined || !TAGS_ONLY.test(before)) return [];
  return [...before.matchAll(TAG)].flatMap(([, letter, first, last = first]) => {
    const count = Number(last) - Number(first) + 1;
    return Array.from({ length: count }, (_, place) => `${letter}${Number(first) + place}`);
  });
}
