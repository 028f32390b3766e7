/** Loads the protocol's SDK when a sidecar that uses it is created. */
import type * as Acp from '@agentclientprotocol/sdk';
import { AgentcomError } from '../plugin.ts';

export type AcpPackage = Pick<typeof Acp, 'client' | 'RequestError' | 'PROTOCOL_VERSION'>;
export type { AnyMessage, ClientContext, RequestPermissionRequest, RequestPermissionResponse, Stream } from '@agentclientprotocol/sdk';

/**
 * The SDK, as installed beside this package. Rejects with `AC_PACKAGE_MISSING` if it is missing; `load` is for tests.
 */
export async function loadAcp(load: () => Promise<AcpPackage> = () => import('@agentclientprotocol/sdk')): Promise<AcpPackage> {
  try {
    return await load();
  } catch (thrown) {
    throw new AgentcomError(
      'AC_PACKAGE_MISSING',
      'Cannot use the wake runner "acp": package @agentclientprotocol/sdk 2 cannot be loaded. Run: npm install @agentclientprotocol/sdk@2. ' +
        'Or choose the runner of the program itself: claudeCode(), codex(), gemini(), opencode().',
      { cause: thrown },
    );
  }
}
