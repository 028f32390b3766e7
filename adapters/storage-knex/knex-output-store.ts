/** `OutputStore` over an engine. */
import type { OutputStream } from '../../core/domain/assignment/output-stream.ts';
import { utf8Bytes } from '../../core/domain/encoded-text.ts';
import type { AgentId, Generation, TaskId } from '../../core/domain/ids.ts';
import { OUTPUT_PAGE_BYTES, type OutputChunk, type OutputStore, type StoredOutput } from '../../core/ports/output-store.ts';
import type { OpenEngine, Row } from './engine.ts';

/** The oldest chunks of an assignment are removed once this many chunks, or this share of the bytes that are kept, were added. */
const TRIM_AFTER = { chunks: 32, share: 1 / 8 };
/** Maximum number of assignments for which this is tracked; for any other, the oldest chunks are removed with the next chunk. */
const ASSIGNMENTS_KNOWN = 4_096;

type Assignment = Pick<OutputChunk, 'taskId' | 'generation'>;

export function knexOutputStore(use: () => OpenEngine): OutputStore {
  /**
   * How much was added to each assignment since its oldest chunks were removed; at 1 they are removed again. The assignment that was added
   * to last is at the end.
   */
  const added = new Map<string, number>();

  const dueForTrim = (chunks: readonly OutputChunk[], bytesMax: number): readonly Assignment[] => {
    const due = new Map<string, Assignment>();
    for (const { taskId, generation, text } of chunks) {
      const key = `${taskId} ${generation}`;
      const sum = (added.get(key) ?? 1) + 1 / TRIM_AFTER.chunks + utf8Bytes(text) / (bytesMax * TRIM_AFTER.share);
      added.delete(key);
      added.set(key, sum);
      if (sum >= 1) due.set(key, { taskId, generation });
    }
    for (const key of due.keys()) added.set(key, 0);
    for (const oldest of added.keys()) {
      if (added.size <= ASSIGNMENTS_KNOWN) break;
      added.delete(oldest);
    }
    return [...due.values()];
  };

  return {
    append: async (chunks, { bytesMax, chunksMax }) =>
      use().write(null, async (transaction) => {
        await transaction.change('appendOutput', chunks);
        const of = dueForTrim(chunks, bytesMax);
        if (of.length > 0) await transaction.change('trimOutput', { of, bytesMax, chunksMax });
      }),

    read: async ({ taskId, after, limit }) =>
      use().read(async (db) => {
        const page = db('task_output').where('task_id', taskId).where('n', '>', after).orderBy('n').limit(limit + 1); // prettier-ignore
        const summed = db.select('*', db.raw('sum(octet_length(text)) OVER (ORDER BY n) - octet_length(text) AS bytes_before')).from(page.as('page')); // prettier-ignore
        // One row more than a page shows that there are more.
        const rows = (await db.select('*').from(summed.as('summed')).orderBy('n')) as Row[];
        const chunks = rows.filter((row, index) => index < limit && Number(row['bytes_before']) < OUTPUT_PAGE_BYTES).map(chunkIn);
        return { chunks, more: rows.length > chunks.length };
      }, true),

    removeBefore: async (beforeMs, limit) => use().write(null, (transaction) => transaction.change('removeOutput', { beforeMs, limit })),
  };
}

const chunkIn = (row: Row): StoredOutput => ({
  taskId: row['task_id'] as TaskId,
  n: Number(row['n']),
  generation: Number(row['generation']) as Generation,
  agentId: row['agent_id'] as AgentId,
  atMs: Number(row['at']),
  stream: row['stream'] as OutputStream,
  text: row['text'] as string,
  seq: Number(row['seq']),
  dropped: Number(row['dropped']),
});
