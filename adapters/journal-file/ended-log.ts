/**
 * The list of ended assignments, stored apart from the state, so that the cost of a save depends on the change, not on the list.
 * Each save appends one line to `ended-<n>.log`:
 *
 *     {"less":[indexes removed],"more":[entries added]}
 *
 * `queue.json` records how many bytes of which file are valid, and their digest. Anything after them was never
 * acknowledged: it is not read, and the next save overwrites it. A file that grew too long is rewritten under the next
 * number; the old one is kept while a copy of the state refers to it.
 */
import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { writeDurably, type JournalFiles } from './journal-files.ts';

/** The valid part of a file. */
export interface EndedMark {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The list as stored on disk. */
export interface KeptList {
  /** Null for an empty list, which needs no file. */
  readonly mark: EndedMark | null;
  readonly list: readonly string[];
  /** Size of the list as JSON, bytes. */
  readonly listBytes: number;
  /** Hash state over the valid bytes, to continue from. */
  readonly hash: Hash;
}

export interface ListChange {
  readonly less: readonly number[];
  readonly more: readonly string[];
  readonly list: readonly string[];
  readonly listBytes: number;
}

export interface EndedLog {
  /**
   * Continues from a list that was read. With `isDoubtful` its file is never written again. `names` are the files in
   * the folder.
   */
  adopt(kept: KeptList, isDoubtful: boolean, names: readonly string[]): void;
  /** What saving this list would change. */
  changeTo(list: readonly string[]): ListChange;
  /**
   * Writes the change, syncs it and reads it back. It is valid once a copy of the state refers to it and `keep` was
   * called.
   */
  write(change: ListChange): Promise<KeptList>;
  keep(kept: KeptList): void;
  /** After a power loss a copy of the state might refer to more than was kept, so nothing there may be overwritten. */
  doubt(): void;
}

/** A file is rewritten when it exceeds twice its minimum size plus this, bytes. */
const REWRITE_SLACK_BYTES = 65_536;

const NAME = /^ended-([0-9]{1,15})\.log/;
export const isEndedFile = (name: string): boolean => /^ended-[0-9]{1,15}\.log$/.test(name);

/** The digest proves that this was written deliberately, but not that a sidecar wrote it. */
export function isMark(value: unknown): value is EndedMark {
  const { file, bytes, sha256 } = (value ?? {}) as Readonly<Record<keyof EndedMark, unknown>>;
  const isSize = Number.isSafeInteger(bytes) && (bytes as number) > 0;
  return typeof file === 'string' && isEndedFile(file) && isSize && typeof sha256 === 'string';
}

export const NOTHING_ENDED: KeptList = { mark: null, list: [], listBytes: 0, hash: createHash('sha256') };

export function endedLog(folder: string, files: JournalFiles): EndedLog {
  let current = NOTHING_ENDED;
  let isDoubtful = false;
  let nextNumber = 1;
  /** After a failed rewrite (full disk), do not retry before the file has this size. */
  let rewriteFromBytes = 0;

  async function rewrite({ list, listBytes }: ListChange): Promise<KeptList> {
    const file = `ended-${nextNumber}.log`;
    nextNumber += 1;
    const line = lineOf([], list);
    await writeDurably(files, folder, join(folder, file), line);
    const hash = createHash('sha256').update(line);
    return { mark: markOf(file, line.length, hash), list, listBytes, hash };
  }

  async function append(mark: EndedMark, line: Buffer, { list, listBytes }: ListChange): Promise<KeptList> {
    const path = join(folder, mark.file);
    await files.append(path, mark.bytes, line);
    const found = await files.readFrom(path, mark.bytes);
    if (found?.equals(line) !== true) {
      const message = `Added ${line.length} bytes to "${path}", but read back ${found?.length ?? 0} different ones. Is the disk full?`;
      throw new AgentcomError('AC_JOURNAL_WRITE', message);
    }
    const hash = current.hash.copy().update(line);
    return { mark: markOf(mark.file, mark.bytes + line.length, hash), list, listBytes, hash };
  }

  return {
    adopt(kept, doubtful, names) {
      current = kept;
      isDoubtful = doubtful;
      nextNumber = 1 + Math.max(0, ...names.map((name) => Number(NAME.exec(name)?.[1] ?? 0)));
      rewriteFromBytes = 0;
    },

    changeTo(list) {
      const { less, more } = changeOf(current.list, list);
      const gone = less.map((place) => current.list[place] as string);
      return { less, more, list, listBytes: current.listBytes + bytesOf(more) - bytesOf(gone) };
    },

    async write(change) {
      if (change.list.length === 0) return NOTHING_ENDED;
      const { mark } = current;
      if (mark === null) return await rewrite(change);
      if (change.less.length === 0 && change.more.length === 0) return current;
      if (isDoubtful) return await rewrite(change);
      const line = lineOf(change.less, change.more);
      const bytes = mark.bytes + line.length;
      if (bytes > Math.max(rewriteFromBytes, 2 * change.listBytes + REWRITE_SLACK_BYTES)) {
        try {
          return await rewrite(change);
        } catch {
          rewriteFromBytes = 2 * bytes; // There may still be space for one line; if not, append reports it.
        }
      }
      return await append(mark, line, change);
    },

    keep(kept) {
      if (kept.mark?.file !== current.mark?.file) isDoubtful = false;
      current = kept;
    },

    doubt() {
      isDoubtful = true;
    },
  };
}

/** The list that a mark refers to. `why` completes the sentence "The file …". */
export async function readEnded(
  folder: string,
  files: JournalFiles,
  mark: EndedMark,
): Promise<{ readonly kind: 'good'; readonly kept: KeptList } | { readonly kind: 'bad'; readonly why: string }> {
  const bytes = await files.read(join(folder, mark.file));
  if (bytes === null) return bad('is missing');
  if (bytes.length < mark.bytes) return bad(`has ${bytes.length} bytes instead of ${mark.bytes}`);
  const counts = bytes.subarray(0, mark.bytes);
  const hash = createHash('sha256').update(counts);
  if (hash.copy().digest('hex') !== mark.sha256) return bad('does not match its SHA-256 digest');
  const list: string[] = [];
  try {
    for (const line of counts.toString('utf8').split('\n').slice(0, -1)) {
      const { less, more } = JSON.parse(line) as Pick<ListChange, 'less' | 'more'>;
      for (const place of less.toReversed()) list.splice(place, 1);
      for (const text of more) list.push(text);
    }
  } catch {
    return bad('has an invalid line');
  }
  return { kind: 'good', kept: { mark, list, listBytes: bytesOf(list), hash } };
}

/** Indexes of removed entries, in order, and the added ones. Entries never change their order. */
function changeOf(before: readonly string[], after: readonly string[]): { less: readonly number[]; more: readonly string[] } {
  if (after === before) return { less: [], more: [] };
  const less: number[] = [];
  let stayed = 0;
  for (let place = 0; place < before.length; place += 1) {
    if (stayed < after.length && after[stayed] === before[place]) stayed += 1;
    else less.push(place);
  }
  return { less, more: after.slice(stayed) };
}

const lineOf = (less: readonly number[], more: readonly string[]): Buffer => Buffer.from(`${JSON.stringify({ less, more })}\n`);

const markOf = (file: string, bytes: number, hash: Hash): EndedMark => ({ file, bytes, sha256: hash.copy().digest('hex') });

/** As JSON, with commas. */
function bytesOf(list: readonly string[]): number {
  let bytes = 0;
  for (const text of list) bytes += Buffer.byteLength(JSON.stringify(text)) + 1;
  return bytes;
}

const bad = (why: string): { readonly kind: 'bad'; readonly why: string } => ({ kind: 'bad', why });
