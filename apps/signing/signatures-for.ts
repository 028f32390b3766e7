/** What checks the signatures of tasks, for a sidecar or a worker that accepts signed ones only. */
import { join } from 'node:path';
import type { ResolvedAccept } from '../../core/config/accept.ts';
import type { TaskSignatures } from '../../core/ports/trust/task-signatures.ts';

/** In the data directory. */
export const NONCE_FILE = 'nonces.log';

/** Null if tasks need no signature: jose is not loaded then. `dataDir` null: nonces are remembered as long as the process lives. */
export async function signaturesFor({ signedBy }: ResolvedAccept, dataDir: string | null): Promise<TaskSignatures | null> {
  if (signedBy.length === 0) return null;
  const { trustedSignatures } = await import('./trusted-signatures.ts');
  return trustedSignatures({ signedBy, nonceFile: dataDir === null ? null : join(dataDir, NONCE_FILE) });
}
