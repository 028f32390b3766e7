/** `OutputStore` in memory. */
import { utf8Bytes } from '../../core/domain/encoded-text.ts';
import { OUTPUT_PAGE_BYTES, type OutputBounds, type OutputStore, type StoredOutput } from '../../core/ports/output-store.ts';
import type { MemoryDatabase } from './memory-database.ts';

export const memoryOutputStore = (use: () => MemoryDatabase): OutputStore => ({
  async append(chunks, bounds) {
    const { tasks, eventsOf, outputOf } = use();
    for (const chunk of chunks) {
      const { taskId, generation, agentId } = chunk;
      const wasAssigned = eventsOf
        .get(taskId)
        ?.some((event) => event.event === 'assigned' && event.generation === generation && event.agentId === agentId);
      if (!tasks.has(taskId) || wasAssigned !== true) continue;
      const stored = outputOf.get(taskId) ?? [];
      const all = [...stored, { ...chunk, n: (stored.at(-1)?.n ?? 0) + 1 }];
      outputOf.set(taskId, within(all, generation, bounds));
    }
  },

  async read({ taskId, after, limit }) {
    const page: StoredOutput[] = [];
    let bytes = 0;
    const { tasks, outputOf } = use();
    for (const chunk of (tasks.has(taskId) ? outputOf.get(taskId) : null) ?? []) {
      if (chunk.n <= after) continue;
      if (page.length === limit || bytes >= OUTPUT_PAGE_BYTES) return { chunks: page, more: true };
      page.push(chunk);
      bytes += utf8Bytes(chunk.text);
    }
    return { chunks: page, more: false };
  },

  async removeBefore(beforeMs, limit) {
    const { tasks, outputOf } = use();
    let removed = 0;
    for (const [taskId, chunks] of outputOf) {
      if (!tasks.has(taskId)) {
        outputOf.delete(taskId);
        continue;
      }
      const kept = chunks.filter(({ atMs }) => {
        const isOld = atMs < beforeMs && removed < limit;
        if (isOld) removed += 1;
        return !isOld;
      });
      if (kept.length === 0) outputOf.delete(taskId);
      else outputOf.set(taskId, kept);
    }
    return removed;
  },
});

/** These chunks without the oldest ones of this generation that exceed the bounds. */
function within(chunks: readonly StoredOutput[], generation: number, { bytesMax, chunksMax }: OutputBounds): StoredOutput[] {
  const over = new Set<StoredOutput>();
  let [bytes, count] = [0, 0];
  for (const chunk of chunks.toReversed()) {
    if (chunk.generation !== generation) continue;
    bytes += utf8Bytes(chunk.text);
    count += 1;
    if (bytes > bytesMax || count > chunksMax) over.add(chunk);
  }
  return chunks.filter((chunk) => !over.has(chunk));
}
