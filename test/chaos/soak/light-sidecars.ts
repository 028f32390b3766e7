/**
 * Many whole sidecars in one process: their journals, files and agents are in memory, their link is the real one. Its
 * arguments are the hub's ports to call, one after the other, and a file with `{agentId, token}`s; its first line of
 * standard output says that all of them were identified.
 */
import { readFileSync } from 'node:fs';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { systemIds } from '../../../adapters/ids-system/system-ids.ts';
import { memoryJournal } from '../../../adapters/journal-memory/memory-journal.ts';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { memoryResultInbox } from '../../../adapters/results-memory/memory-result-inbox.ts';
import { programLog } from '../../../apps/program-log.ts';
import { createSidecar, type Sidecar } from '../../../core/application/sidecar/sidecar.ts';
import { SIDECAR_TIMING } from '../../../core/config/times.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../../core/ports/wake-runner.ts';

const [portsText = '', tokensFile = ''] = process.argv.slice(2);
const ports = portsText.split(',');
const tokens = JSON.parse(readFileSync(tokensFile, 'utf8')) as readonly { readonly agentId: string; readonly token: string }[];
const log = programLog('sidecar');
const clock = systemClock();
const ids = systemIds({ clock });
const digest = systemDigest();

const sidecars = tokens.map(({ agentId, token }, n): Sidecar =>
  createSidecar({
    config: {
      hubs: [`ws://127.0.0.1:${ports[n % ports.length]}/ws`],
      agentId,
      name: agentId,
      token,
      capabilities: ['code'],
      slots: 1,
      timing: { ...SIDECAR_TIMING, reportRepeat: { firstMs: 1_000, maxMs: 4_000 } },
    },
    link: wsLink({ log }),
    journal: memoryJournal({ instanceId: `instance-${agentId}` }),
    results: memoryResultInbox({ clock }),
    runner: memoryAgents(clock),
    clock,
    ids,
    digest,
    log: log.with({ agent_id: agentId }),
    stopController: () => new AbortController(),
  }),
);
await Promise.all(sidecars.map((sidecar) => sidecar.start()));
await Promise.all(sidecars.map((sidecar) => sidecar.ready));
process.stdout.write(`${sidecars.length} sidecars ready\n`);
process.once('SIGTERM', () => {
  void Promise.all(sidecars.map((sidecar) => sidecar.stop())).then(() => process.exit(0));
});

/** Agents that work as long as the task's text says (`KEY HOW SECONDS`) and leave nothing behind. */
function memoryAgents(clock: Clock): WakeRunner {
  async function* work(request: WakeRequest, signal: StopSignal): AsyncGenerator<WakeEvent> {
    yield { type: 'spawned', process: { pid: 1, startTime: request.runId, bootId: 'in memory' } };
    yield { type: 'started' };
    const seconds = Number(request.task.description.split(' ')[2] ?? 0);
    await new Promise<void>((resolve) => {
      const timer = clock.after(seconds * 1_000, resolve);
      signal.addEventListener(
        'abort',
        () => {
          timer.cancel();
          resolve();
        },
        { once: true },
      );
    });
    if (signal.aborted) return yield { type: 'stopped', survivors: [] };
    yield { type: 'completed', output: { generation: request.generation } };
    yield { type: 'exited', exitCode: 0, signal: null, stderrTail: '' };
  }
  return { adoptable: false, wake: work, attach: () => gone() };
}

/** A run of an earlier process is never there: it was in its memory. */
async function* gone(): AsyncGenerator<WakeEvent> {
  yield await Promise.resolve({ type: 'exited', exitCode: null, signal: null, stderrTail: '' } as const);
}
