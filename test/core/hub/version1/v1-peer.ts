/** A peer that speaks version 1. */
import type { HubRig, Peer } from '../hub-rig.ts';

export const V1 = { protocol_version: 1, instance_id: undefined, held: undefined, status: 'idle' };
/** A task that does not exist. */
export const UNKNOWN = 'task-ffffffffffffffff';

/** A peer that, by asking for a task that does not exist, has shown that it holds nothing. */
export async function freePeer(rig: HubRig, agentId: string): Promise<Peer> {
  const peer = await rig.peer(agentId);
  await peer.identify(V1);
  await peer.send({ type: 'task_recovering', task_id: UNKNOWN });
  peer.newFrames();
  return peer;
}
