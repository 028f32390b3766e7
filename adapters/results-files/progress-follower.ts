/** Follows the JSON lines that an agent appends to its progress file. */
import { readProgress, type ReadProgress } from '../../core/protocol/agent-files.ts';
import { readBytes, withRegularFile, type FileFacts } from './regular-file.ts';

export interface ProgressFollower {
  /**
   * The lines that are new since the call before, oldest first; only whole ones. Of what was there before the first
   * call only the newest: it was told already, or is old.
   */
  read(path: string): Promise<readonly ReadProgress[]>;
}

/** Read at a time; of a longer stretch, and of a longer line, only the end counts. */
const CHUNK_BYTES = 262_144;
/** Told at a time, the newest: an agent may write faster than anybody wants to know. */
const LINES_MAX = 100;
const NEWLINE = 0x0a;

export function progressFollower(): ProgressFollower {
  let inode: number | null = null;
  let offsetBytes = 0;
  let isFirst = true;

  async function readNew(file: FileFacts): Promise<readonly ReadProgress[]> {
    // Another file, or one that was begun anew.
    if (file.inode !== inode || file.sizeBytes < offsetBytes) [inode, offsetBytes] = [file.inode, 0];
    const from = Math.max(offsetBytes, file.sizeBytes - CHUNK_BYTES);
    const bytes = await readBytes(file.handle, from, file.sizeBytes - from);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    offsetBytes = end === 0 && bytes.length === CHUNK_BYTES ? file.sizeBytes : from + end;
    const lines = bytes.subarray(0, end).toString('utf8').split('\n');
    return lines.flatMap((line) => readProgress(line) ?? []).slice(-LINES_MAX);
  }

  return {
    async read(path) {
      const found = await withRegularFile(path, readNew);
      const lines = found.kind === 'file' ? found.value : [];
      const told = isFirst ? lines.slice(-1) : lines;
      isFirst = false;
      return told;
    },
  };
}
