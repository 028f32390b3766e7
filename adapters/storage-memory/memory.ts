/** `memory()` in a config: for a hub whose tasks need not outlive it. */
import type { StorageChoice } from '../../core/config/config.ts';
import { memoryDatabase } from './memory-database.ts';
import { MEMORY_CAPABILITIES, memoryStorage } from './memory-storage.ts';

/**
 * Keeps tasks in the hub's memory: for trying things out, and for tests. Everything is lost when the hub stops. The next start has a new
 * `storeId`, so that sidecars notice.
 */
export function memory(): StorageChoice {
  return {
    port: 'storage',
    name: 'memory',
    options: {},
    capabilities: { ...MEMORY_CAPABILITIES },
    problems: () => [],
    create: async ({ clock }) => memoryStorage({ clock, database: memoryDatabase(`memory-${clock.nowMs()}-${clock.monotonicMs()}`) }),
  };
}
