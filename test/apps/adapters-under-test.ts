/** What the hubs of the end-to-end tests run on: one place for all of them, so that a run tries another combination. */
import { STORAGES, TRANSPORTS } from '../../apps/quickstart/config-text.ts';
import type { HubClient } from '../../apps/client/index.ts';

export interface AdaptersUnderTest {
  readonly storage: string;
  readonly transport: string;
}

/** From `AGENTCOM_TRANSPORT`; what is not there is an error, never another one instead. */
export const adaptersUnderTest = (): AdaptersUnderTest => {
  const transport = process.env['AGENTCOM_TRANSPORT'] ?? 'ws';
  if (!Object.hasOwn(TRANSPORTS, transport))
    throw new Error(`AGENTCOM_TRANSPORT is ${transport}; there are ${Object.keys(TRANSPORTS).join(', ')}`);
  return { storage: Object.keys(STORAGES)[0] ?? '', transport };
};

/** Fails unless the hub itself says that it runs on these. */
export const requireAdapters = async (api: Pick<HubClient, 'health'>, { storage, transport }: AdaptersUnderTest): Promise<void> => {
  const says = await api.health();
  if (says['storage'] === storage && says['transport'] === transport) return;
  throw new Error(`The hub runs on ${String(says['storage'])} and ${String(says['transport'])}, not on ${storage} and ${transport}.`);
};
