/**
 * What ended, apart from the state, so that a save costs what changed and not what is remembered: `ended-<n>.log`, to which
 * a save adds one line.
 *
 *   {"less":[places of those that went],"more":[those that came]}
 *
 * `queue.json` marks how many bytes of which file count, and their digest. What stands behind them was never acknowledged:
 * it is not read, and the next save writes over it. A file that has become long is written anew under the next number; the
 * older one stays as long as a copy of the state names it.
 */
import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { writeDurably, type JournalFiles } from './journal-files.ts';

/** The part of a file that counts. */
export interface EndedMark {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A list as it is on disk. */
export interface KeptList {
  /** Null for an empty list, which needs no file. */
  readonly mark: EndedMark | null;
  readonly list: readonly string[];
  /** What the list takes as JSON, bytes. */
  readonly listBytes: number;
  /** Of the bytes that count, to go on with. */
  readonly hash: Hash;
}

export interface ListChange {
  readonly less: readonly number[];
  readonly more: readonly string[];
  readonly list: readonly string[];
  readonly listBytes: number;
}

export interface EndedLog {
  /** Goes on from a list that was read. With `isDoubtful` its file is never written to again. `names` are those in the folder. */
  adopt(kept: KeptList, isDoubtful: boolean, names: readonly string[]): void;
  /** What a save of this list would change. */
  changeTo(list: readonly string[]): ListChange;
  /** Writes the change, synced and read back. It counts once a copy of the state names it and `keep` was called. */
  write(change: ListChange): Promise<KeptList>;
  keep(kept: KeptList): void;
  /** A copy of the state may name, after a loss of power, more than was kept: what stands there is not written over. */
  doubt(): void;
}

/** Of a file whose lines say in vain what a new one would say shorter, bytes: it may be twice as long as that, and this. */
const REWRITE_SLACK_BYTES = 65_536;

const NAME = /^ended-([0-9]{1,15})\.log/;
export const isEndedFile = (name: string): boolean => /^ended-[0-9]{1,15}\.log$/.test(name);

/** Whoever wrote it knew how digests are made; it may still be no sidecar. */
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
  /** A file that could not be written anew, on a full disk, is not tried again before it has this length. */
  let rewriteFromBytes = 0;

  async function writeAnew({ list, listBytes }: ListChange): Promise<KeptList> {
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
      const message = `Added ${line.length} bytes to "${path}", and read back ${found?.length ?? 0} that are not the same. Is the disk full?`;
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
      if (mark === null) return await writeAnew(change);
      if (change.less.length === 0 && change.more.length === 0) return current;
      if (isDoubtful) return await writeAnew(change);
      const line = lineOf(change.less, change.more);
      const bytes = mark.bytes + line.length;
      if (bytes > Math.max(rewriteFromBytes, 2 * change.listBytes + REWRITE_SLACK_BYTES)) {
        try {
          return await writeAnew(change);
        } catch {
          rewriteFromBytes = 2 * bytes; // There may be room for a line all the same; if not, that is told.
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

/** The list that a mark stands for. `why` completes the sentence "The file …". */
export async function readEnded(
  folder: string,
  files: JournalFiles,
  mark: EndedMark,
): Promise<{ readonly kind: 'good'; readonly kept: KeptList } | { readonly kind: 'bad'; readonly why: string }> {
  const bytes = await files.read(join(folder, mark.file));
  if (bytes === null) return bad('is missing');
  if (bytes.length < mark.bytes) return bad(`has ${bytes.length} bytes where ${mark.bytes} are wanted`);
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
    return bad('has a line that no sidecar writes');
  }
  return { kind: 'good', kept: { mark, list, listBytes: bytesOf(list), hash } };
}

/** Places of those that went, in order, and those that came; what stayed is in its order. */
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

/** As JSON, with their commas. */
function bytesOf(list: readonly string[]): number {
  let bytes = 0;
  for (const text of list) bytes += Buffer.byteLength(JSON.stringify(text)) + 1;
  return bytes;
}

const bad = (why: string): { readonly kind: 'bad'; readonly why: string } => ({ kind: 'bad', why });
