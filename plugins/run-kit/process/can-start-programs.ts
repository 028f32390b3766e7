/** Whether a wake runner can start programs here, so that it can also stop them. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';

/**
 * Throws `AC_PLUGIN_INVALID` on Windows. A cancel has to stop an agent and everything that it started, and to confirm that; Windows has
 * no process groups to signal and no `ps` to check on them.
 */
export function assertCanStartPrograms(platform: string = process.platform): void {
  if (platform !== 'win32') return;
  throw new AgentcomError('AC_PLUGIN_INVALID', 'A wake runner cannot start programs on Windows, because it could not stop them reliably.', {
    hint: 'Run the sidecar in WSL. On Windows itself use webhook(), agentcom/worker, or an agent that polls.',
    details: { platform },
  });
}
