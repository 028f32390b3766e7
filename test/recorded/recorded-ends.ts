/** The two ends of a recorded conversation: a current hub and a current sidecar, over the in-memory wire and one virtual clock. */
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { createSidecar, type Sidecar } from '../../core/application/sidecar/sidecar.ts';
import { SIDECAR_TIMING } from '../../core/config/times.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import { hubRig, type HubRig } from '../core/hub/hub-rig.ts';
import { aBody } from '../product/contracts/fixtures.ts';
import type { VirtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { memoryJournal } from '../product/twins/journal-memory/memory-journal.ts';
import { memoryLog } from '../product/twins/log-memory/memory-log.ts';
import { memoryResultInbox } from '../product/twins/results-memory/memory-result-inbox.ts';
import { scriptedRunner } from '../product/twins/runner-scripted/scripted-runner.ts';
import type { MemoryWire } from '../product/twins/wire-memory/memory-wire.ts';
import { AGENT, agentFor, HUB_IDS, HUB_URL, SIDECAR_IDS, TOKEN, type Action } from './recorded-conversation.ts';

export interface Ends {
  readonly clock: VirtualClock;
  readonly wire: MemoryWire;
}

/** Every time that the dialogue depends on has the value it had at the recording. */
const HUB_TIMES = { reconnectGraceMs: 120_000, stopResendMs: 30_000, killGraceMs: 5_000 };

export const presentHub = ({ clock, wire }: Ends): Promise<HubRig> => hubRig({ clock, wire, ids: HUB_IDS, timing: HUB_TIMES });

export function presentSidecar({ clock, wire }: Ends): Sidecar {
  return createSidecar({
    config: {
      hubs: [HUB_URL],
      agentId: AGENT,
      name: 'Worker 1',
      token: TOKEN,
      capabilities: ['code'],
      slots: 2,
      timing: SIDECAR_TIMING,
    },
    link: wire.link(),
    journal: memoryJournal({ instanceId: 'instance-recorded' }),
    results: memoryResultInbox({ clock }),
    runner: scriptedRunner({ clock, script: ({ task }) => agentFor(task.description) }),
    clock,
    ids: SIDECAR_IDS,
    digest: systemDigest(),
    log: memoryLog(),
    stopController: () => new AbortController(),
  });
}

/** What an operator does at the hub. */
export async function doAtHub(rig: HubRig, deed: Action): Promise<void> {
  switch (deed.do) {
    case 'submit': {
      const body = aBody({ description: deed.description });
      await rig.submit({ id: deed.task_id as TaskId, neededCapabilities: ['code'], maxRetries: deed.max_retries, body });
      return;
    }
    case 'cancel':
      await rig.queue.do({ kind: 'cancel', taskId: deed.task_id as TaskId, by: 'op' });
      break;
    case 'drain':
    case 'resume':
      await rig.queue.do({ kind: 'agent_control', agentId: AGENT as AgentId, change: deed.do });
      break;
    default:
  }
  await rig.pass(0);
}
