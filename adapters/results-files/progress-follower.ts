/** Follows the JSON lines that an agent appends to its progress file. */
import { readProgress, type ReadProgress } from '../../core/protocol/agent-files.ts';
import { readBytes, withRegularFile, type FileFacts } from './regular-file.ts';

export interface ProgressFollower {
  /**
   * The complete lines added since the last call, oldest first. The first call returns only the newest line, since the
   * others were already reported or are outdated.
   */
  read(path: string): Promise<readonly ReadProgress[]>;
}

/** Maximum bytes per read; of anything longer only the end is used. */
const CHUNK_BYTES = 262_144;
/** Maximum lines per call, the newest: an agent may write faster than anyone needs. */
const LINES_MAX = 100;
const NEWLINE = 0x0a;

export function progressFollower(): ProgressFollower {
  let inode: number | null = null;
  let offsetBytes = 0;
  let isFirst = true;

  async function readNew(file: FileFacts): Promise<readonly ReadProgress[]> {
    // A new file, or one that was truncated.
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
      const added = found.kind === 'file' ? found.value : [];
      const lines = isFirst ? added.slice(-1) : added;
      isFirst = false;
      return lines;
    },
  };
}
